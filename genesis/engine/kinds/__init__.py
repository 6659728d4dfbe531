"""The kinds of matter and of bodies that a scene can have. A new one is a file here, a solver, and a line below:
no other module knows any by name."""

from typing import Any

from genesis.engine.kinds.articulated import ArticulatedKind
from genesis.engine.kinds.base import Kind
from genesis.engine.kinds.particles import ParticleKind
from genesis.engine.kinds.tools import ToolKind
from genesis.errors import GenesisTypeError
from genesis.morphs import Morph

KINDS: list[Kind] = [ToolKind(), ArticulatedKind(), ParticleKind()]
"""In the order in which solvers advance and states are listed."""


def kind_of(morph: Morph, material: Any) -> tuple[Kind, Any]:
    """Whose entity a morph of a material is, and the material: the default one for None.

    Raises:
        GenesisTypeError: No kind has such a material.
    """
    for kind in KINDS:
        chosen = kind.default_material(morph) if material is None else material
        if isinstance(chosen, kind.materials):
            return kind, chosen
    bases = [base for kind in KINDS for base in kind.materials]
    found = [material for base in bases for material in base.__subclasses__() or [base]]
    names = [f"{material.__module__.split('.')[-1]}.{material.__qualname__}" for material in found]
    got = f"a {type(morph).__name__} without one" if material is None else type(material).__name__
    raise GenesisTypeError(f"material must be one of {', '.join(names)}, got {got}. Construct one.")
