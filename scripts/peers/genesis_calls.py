"""Which calls of the public Genesis engine's scripts does this package have?

    python scripts/peers/genesis_calls.py path/to/Genesis   # a checkout of the public engine: reads its scripts
    python scripts/peers/genesis_calls.py                   # reads the list beside this file

A checkout's list replaces the one beside this file. A call counts once in a script, with all keywords that the script
gives it; it resolves if there is something of that name that takes all of them, or takes them with a notice. What of
the rest is refused by a message that names what to write instead is told apart from what is unknown.
"""

import ast
import inspect
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from genesis.engine.scene import Scene
from genesis.errors import GenesisException
from genesis.options import SolverOptions
from genesis.public_engine import accepted, remedy

SCRIPTS = {
    "tests/test_grad.py": ("test_differentiable_push", "test_differentiable_rigid"),
    "examples/differentiable_push.py": (),
    "examples/locomotion/go2_env.py": (),
    "examples/rigid/domain_randomization.py": (),
    "examples/tutorials/advanced_worm.py": (),
    "examples/tutorials/control_your_robot.py": (),
    "examples/tutorials/mpm.py": (),
    "examples/tutorials/visualization.py": (),
}
"""Of a checkout, and the functions of each that are read; none for all of it."""
LIST = Path(__file__).with_suffix(".txt")
OWNERS = {
    "gs": "genesis",
    "genesis.utils.geom": "genesis.utils.geom",
    "Scene": "genesis.engine.scene.Scene",
    "Solver": "genesis.engine.solver_view.SolverView",
    "SceneState": "genesis.engine.state.SceneState",
    "ParticleState": "genesis.engine.state.MPMState",
    "RigidState": "genesis.engine.state.RigidEntityState",
    "ToolState": "genesis.engine.state.ToolState",
    "ParticleEntity": "genesis.engine.entities.particle.ParticleEntity",
    "ToolEntity": "genesis.engine.entities.tool.ToolEntity",
    "RigidEntity": "genesis.engine.entities.rigid.RigidEntity",
    "Link": "genesis.engine.entities.articulated.RigidLink",
    "Joint": "genesis.engine.entities.articulated.RigidJoint",
    "Camera": "genesis.render.camera.Camera",
    "Timer": "genesis.tools.Timer",
    "Tensor": "genesis.grad.tensor.Tensor",
}
"""What is called -> what has it here."""
RESULTS = {
    "gs.Scene": "Scene",
    "gs.tensor": "Tensor",
    "gs.tools.Timer": "Timer",
    "Scene.add_camera": "Camera",
    "Scene.get_state": "SceneState",
    "Scene.mpm_solver": "Solver",
    "Scene.rigid_solver": "Solver",
    "SceneState.solvers_state": "ParticleState",
    "ParticleEntity.get_state": "ParticleState",
    "RigidEntity.get_state": "RigidState",
    "RigidEntity.get_joint": "Joint",
    "RigidEntity.get_link": "Link",
    "RigidEntity.joints": "Joint",
}
"""What a call or an attribute gives; an entry of a list counts as the list."""
MADE = {"RigidEntity.joints", "RigidEntity.links", "ParticleEntity.material"}
"""Attributes that objects have and their classes do not."""
NAMESPACES = {
    f"gs.{name}"
    for name in "options morphs materials materials.MPM surfaces textures renderers tools "
    "constraint_solver integrator".split()
}
"""Attributes of the public engine that are no calls themselves."""


class Reader(ast.NodeVisitor):
    """Finds the calls of one script by following what its variables hold."""

    def __init__(self) -> None:
        self.kinds: dict[str, str] = {"gs": "gs"}
        self.calls: dict[str, set[str]] = {}

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.module == "genesis.utils.geom":
            self.kinds.update({alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names})

    def visit_Assign(self, node: ast.Assign) -> None:
        self.visit(node.value)
        kind = self.kind(node.value)
        for target in node.targets:
            if kind is not None:
                self.kinds[ast.unparse(target)] = kind

    def visit_comprehension(self, node: ast.comprehension) -> None:
        kind = self.kind(node.iter)
        if kind is not None:
            self.kinds[ast.unparse(node.target)] = kind
        self.generic_visit(node)

    def visit_ListComp(self, node: ast.ListComp) -> None:
        for generator in node.generators:
            self.visit(generator)
        self.visit(node.elt)

    def visit_Call(self, node: ast.Call) -> None:
        self.generic_visit(node)
        name = self.name(node.func)
        if name is not None:
            self.calls[name] |= {keyword.arg for keyword in node.keywords if keyword.arg}

    def visit_Attribute(self, node: ast.Attribute) -> None:
        self.generic_visit(node)
        name = self.name(node)
        if name is not None and name not in NAMESPACES:
            self.calls.setdefault(name, set())

    def visit_Name(self, node: ast.Name) -> None:
        name = self.name(node)
        if name is not None and name.startswith("genesis."):
            self.calls.setdefault(name, set())

    def name(self, node: ast.expr) -> str | None:
        """Of what a node names, with the kind of what has it: "Scene.add_entity"."""
        if isinstance(node, ast.Attribute):
            kind = self.kind(node.value)
            return None if kind is None else f"{kind}.{node.attr}"
        kind = self.kinds.get(node.id) if isinstance(node, ast.Name) else None
        return kind if kind is not None and kind.startswith("genesis.") else None

    def kind(self, node: ast.expr) -> str | None:
        """Of what an expression gives."""
        known = self.kinds.get(ast.unparse(node))
        if known is not None:
            return known
        if isinstance(node, ast.Subscript):
            return self.kind(node.value)
        if isinstance(node, ast.Call):
            name = self.name(node.func)
            return self.entity(node) if name == "Scene.add_entity" else RESULTS.get(name or "")
        if isinstance(node, ast.Attribute):
            name = self.name(node)
            return name if name in NAMESPACES else RESULTS.get(name or "")
        return None

    def entity(self, call: ast.Call) -> str:
        material = next((ast.unparse(k.value) for k in call.keywords if k.arg == "material"), "")
        if material.startswith("gs.materials.MPM"):
            return "ParticleEntity"
        return "ToolEntity" if material.startswith("gs.materials.Tool") else "RigidEntity"


def read(checkout: Path) -> dict[str, dict[str, set[str]]]:
    """Script -> call -> keywords."""
    found = {}
    for script, functions in SCRIPTS.items():
        reader = Reader()
        for node in ast.parse((checkout / script).read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ImportFrom) or not functions or getattr(node, "name", "") in functions:
                reader.visit(node)
        found[script] = reader.calls
    return found


def listed() -> dict[str, dict[str, set[str]]]:
    """The same from the list beside this file."""
    found: dict[str, dict[str, set[str]]] = {}
    calls: dict[str, set[str]] = {}
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line.startswith("    "):
            name, *keywords = line.split()
            calls[name] = set(keywords)
        else:
            calls = found.setdefault(line, {})
    return found


def _here(name: str) -> Any:
    """What stands for a name of the list in this package; None if nothing does."""
    if name in MADE:
        return True
    place = next(owner for owner in sorted(OWNERS, key=len, reverse=True) if f"{name}.".startswith(f"{owner}."))
    parts = OWNERS[place].split(".")
    module = next(k for k in range(len(parts), 0, -1) if _is_module(".".join(parts[:k])))
    found: Any = import_module(".".join(parts[:module]))
    for part in (*parts[module:], *name.removeprefix(place).split(".")[1:]):
        annotated = part in getattr(found, "__annotations__", {})
        try:
            found = getattr(found, part, annotated or None)
        except GenesisException:  # what is known from gs.init on
            return True
    return found


def _is_module(name: str) -> bool:
    try:
        import_module(name)
    except ImportError:
        return False
    return True


def verdict(name: str, keywords: set[str]) -> str:
    """ "resolves", "refused: what to write instead", or "unknown"."""
    owner, _, last = name.rpartition(".")
    found = _here(name)
    if found is None:
        told = remedy(owner, last)
        return f"refused: {told}" if told else "unknown"
    if not callable(found):
        return "resolves"
    known = set(inspect.signature(found).parameters) | (SolverOptions.__optional_keys__ if found is Scene else set())
    for keyword in sorted(keywords - known):
        if not accepted(found.__init__ if found is Scene else found, keyword):
            return f"unknown argument: {keyword}"
    return "resolves"


def rows(calls: dict[str, dict[str, set[str]]]) -> Iterator[tuple[str, str, set[str], str]]:
    for script, names in calls.items():
        for name in sorted(names):
            yield script, name, names[name], verdict(name, names[name])


def main() -> int:
    if sys.argv[1:]:
        found = read(Path(sys.argv[1]))
        lines = []
        for script, names in found.items():
            lines += [script, *(" ".join(["   ", name, *sorted(names[name])]) for name in sorted(names))]
        LIST.write_text("\n".join(lines) + "\n", encoding="utf-8")
    table = list(rows(listed()))
    for script, name, keywords, said in table:
        print(f"{script:45} {name}({', '.join(sorted(keywords))})  {said}")
    whole = sum(said == "resolves" for *_, said in table)
    distinct = {(name, *sorted(keywords)): said for _, name, keywords, said in table}
    print(
        f"{whole} of {len(table)} calls resolve; of {len(distinct)} different ones "
        f"{sum(said == 'resolves' for said in distinct.values())}."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
