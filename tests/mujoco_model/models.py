"""Models that are compared with MuJoCo, by name: Gymnasium's, random trees, and trees of one kind of everything."""

import functools

from tests.mujoco_model.engine import GYMNASIUM, Engine, gymnasium_text
from tests.mujoco_model.heaps import FREE_BODIES, heap
from tests.mujoco_model.pulled import pulled
from tests.mujoco_model.random_trees import CONES, DIMENSIONS, GEOMS, INTEGRATORS, ROOTS, Kinds, random_tree

PINNED: dict[str, Kinds] = {
    **{f"{kind} geoms": Kinds(geoms=(kind,), friction_loss=0.0, parameters=0.0) for kind in GEOMS},
    **{f"{cone} dimension {dim}": Kinds(dimensions=(dim,), cones=(cone,)) for cone in CONES for dim in DIMENSIONS},
    **{f"{root} root": Kinds(roots=(root,), parameters=0.0) for root in ROOTS},
    **{kind: Kinds(integrators=(kind,)) for kind in INTEGRATORS},
    **{f"{kind} actuators": Kinds(actuators=(kind,)) for kind in ("motor", "position", "velocity")},
    "limits": Kinds(limits=1.0, friction_loss=0.0, parameters=0.0),
    "limits with parameters": Kinds(limits=1.0, friction_loss=0.0, parameters=1.0),
    "friction loss": Kinds(limits=0.0, friction_loss=1.0),
    "fluid": Kinds(fluid=1.0),
    "Euler, pyramidal": Kinds(integrators=("Euler",), cones=("pyramidal",), fluid=0.0),
    "RK4, elliptic": Kinds(integrators=("RK4",), cones=("elliptic",), fluid=0.0),
    "implicitfast, elliptic": Kinds(integrators=("implicitfast",), cones=("elliptic",), fluid=0.0),
}
"""Trees of one kind of something; the seed is their place."""
HEAPS: dict[str, dict] = {
    "heap of round shapes": {
        "kinds": ("sphere", "capsule"), "integrator": "implicitfast", "dimensions": DIMENSIONS
    },
    "heap of round shapes, RK4, elliptic": {
        "kinds": ("sphere", "capsule"), "integrator": "RK4", "cone": "elliptic", "dimensions": DIMENSIONS
    },
    "heap of boxes": {"kinds": ("box",), "integrator": "implicitfast"},
    "heap of primitives": {
        "kinds": ("box", "capsule", "sphere"), "integrator": "Euler", "cone": "elliptic",
        "dimensions": DIMENSIONS,
    },
}  # fmt: skip
"""Bodies on bodies; the seed is their place."""
PULLS: dict[str, dict] = {
    "pulled": {},
    "pulled, implicitfast": {"integrator": "implicitfast"},
    "pulled, RK4, elliptic": {"integrator": "RK4", "option": 'cone="elliptic"', "touch": 1},
}
"""What tendons and sites pull."""
FREE = "free bodies"
FAST = ("half_cheetah", "RK4, elliptic", "heap of boxes")
"""Compared by default; kernels of each are compiled anew."""
RANDOM = tuple(f"tree {seed}" for seed in range(24))
SLOW = tuple(name for name in (*GYMNASIUM, *PINNED, *HEAPS, *PULLS, FREE, *RANDOM) if name not in FAST)


def text_of(name: str) -> str:
    """MJCF text of a model."""
    if name in GYMNASIUM:
        return gymnasium_text(name)
    if name in HEAPS:
        return heap(list(HEAPS).index(name), **HEAPS[name])
    if name in PULLS:
        return pulled(**PULLS[name])
    if name == FREE:
        return FREE_BODIES
    if name in PINNED:
        return random_tree(100 + list(PINNED).index(name), PINNED[name])
    return random_tree(int(name.split()[1]))


@functools.cache
def engine_of(name: str) -> Engine:
    """MuJoCo's engine with the model."""
    return Engine(text_of(name))
