"""Who may import whom, and other rules for the source text, read from it without running it."""

import ast
import subprocess
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("genesis", "envs", "agents", "scripts")
PEERS = ROOT / "scripts" / "peers"  # programs for other engines' environments, where `genesis` is another package

LAYERS = (
    "errors folders public_names warning",
    "public_engine convert",
    "checks compiler grad.batch grad.modes",
    "arrays",
    "launch runtime math",
    "meshes",
    "contact utils tools",
    "options morphs materials renderers surfaces textures visible",
    "grad.tensor",
    "grad.creation loaders",
    "solvers",
    "engine.failures engine.inputs engine.parameters engine.placing engine.sampling engine.stability engine.state",
    "engine.coupling engine.placements",
    "engine.simulator",
    "grad.bridge",
    "engine.values",
    "engine.entities engine.solver_view",
    "render",
    "engine.articulated",
    "engine.kinds",
    "engine.assembly",
    "engine.scene",
    "identification",
)
"""Parts of genesis, from the ground up: a module imports from its own layer and those above this line."""

MAX_LINES = 420
MAX_ARGUMENTS = 10
BUILDING_A_SCENE = {"Scene", "options", "morphs", "materials", "surfaces"}


def files(*folders):
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


@cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): path for path in files(*PACKAGES) if PEERS not in path.parents}


def only_for_type_checkers(node):
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


@cache
def imported_by(path, at_run_time=False):
    """Names of the modules that a file imports, ours in full."""
    skipped = set()
    if at_run_time:
        for node in filter(only_for_type_checkers, ast.walk(tree(path))):
            skipped.update(map(id, ast.walk(node)))
    found = set()
    for node in ast.walk(tree(path)):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in MODULES else str(node.module))
    return found


def layer_of(module):
    name = module.removeprefix("genesis.")
    for height, layer in enumerate(LAYERS):
        if any(name == part or name.startswith(f"{part}.") for part in layer.split()):
            return height
    return None


def test_every_module_of_genesis_has_its_layer():
    packages = {"genesis", "genesis.engine", "genesis.grad"}
    lost = [module for module in MODULES if module.split(".")[0] == "genesis" and layer_of(module) is None]
    assert set(lost) <= packages, "give new modules their place in LAYERS"


def test_imports_inside_genesis_point_one_way():
    wrong = [
        f"{module} imports {name}"
        for module, path in MODULES.items()
        if layer_of(module) is not None
        for name in imported_by(path)
        if name.split(".")[0] == "genesis" and (layer_of(name) is None or layer_of(name) > layer_of(module))
    ]
    assert not wrong


def test_there_are_no_import_cycles():
    graph = {
        module: imported_by(path, at_run_time=True) & MODULES.keys() - {module} for module, path in MODULES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"import cycle: {' -> '.join(error.args[1])}")


def test_packages_import_only_what_is_below_them():
    allowed = {
        "genesis": {"genesis"},
        "envs": {"genesis", "envs"},
        "agents": {"genesis", "agents", "envs.base", "envs.parts", "envs.streams"},
        "scripts": {"genesis", "envs", "agents", "scripts"},
    }
    wrong = []
    for module, path in MODULES.items():
        package = module.split(".")[0]
        for name in imported_by(path):
            ours = name.split(".")[0] in (*PACKAGES, "tests")
            if ours and not any(name == part or name.startswith(f"{part}.") for part in allowed[package]):
                wrong.append(f"{module} imports {name}")
    assert not wrong


def test_genesis_knows_neither_gymnasium_nor_its_own_public_interface():
    for path in files("genesis"):
        for name in imported_by(path):
            assert name != "genesis", f"{path} imports the package that it is part of"
            assert name.split(".")[0] not in {"gymnasium", "tensorboard", "tyro", "tqdm"}, f"{path} imports {name}"


def test_only_the_compiler_interface_imports_taichi():
    importers = {path for path in files(*PACKAGES) for name in imported_by(path) if name.split(".")[0] == "taichi"}
    assert {path for path in importers if PEERS not in path.parents} == {ROOT / "genesis" / "compiler.py"}


def test_solvers_do_not_know_each_other():
    for module, path in MODULES.items():
        if module.startswith("genesis.solvers.") and module != "genesis.solvers.base":
            own = ".".join(module.split(".")[:3])
            for name in imported_by(path):
                if name.startswith("genesis.solvers"):
                    assert name == "genesis.solvers.base" or f"{name}.".startswith(f"{own}."), f"{module}: {name}"


def test_environments_and_agents_use_public_names():
    for path in files("envs", "agents"):
        for name in imported_by(path):
            public = name in ("genesis", "genesis.errors", "genesis.grad.modes") or not name.startswith("genesis.")
            assert public or (name.startswith("genesis.grad.") and path.is_relative_to(ROOT / "agents")), (path, name)


def test_agents_know_no_scene():
    for path in files("agents"):
        for node in ast.walk(tree(path)):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id in ("gs", "genesis")
            ):
                assert node.attr not in BUILDING_A_SCENE, f"{path}:{node.lineno}"


def test_autograd_functions_live_in_the_bridge_alone():
    found = {
        path.relative_to(ROOT).as_posix()
        for path in files(*PACKAGES)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef) and any("Function" in ast.unparse(base).split(".") for base in node.bases)
    }
    assert found <= {"genesis/grad/bridge.py"}


def test_kernel_files_keep_their_annotations():
    for path in files(*PACKAGES):
        names = {
            alias.name for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not {"ti", "annotations"} <= names, f"{path}: the kernel compiler reads annotations"


def is_of_a_kernel(function):
    """Whether a function is a kernel, or runs or is written down within one."""
    decorators = [node.func if isinstance(node, ast.Call) else node for node in function.decorator_list]
    return any(ast.unparse(node).split(".")[-1] in ("func", "kernel", "traced") for node in decorators)


def test_functions_of_kernels_have_few_arguments():
    """Arrays travel as one object (`genesis.arrays`), what belongs together as one value."""
    places = ("genesis/solvers", "genesis/render/kernels", "genesis/math", "genesis/contact")
    counts = {}
    for path in (*files(*places), ROOT / "genesis" / "engine" / "coupling.py"):
        name = path.relative_to(ROOT).as_posix()
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.FunctionDef) and is_of_a_kernel(node):
                arguments = (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
                counts[f"{name}:{node.lineno} {node.name}"] = len(arguments)
    assert len(counts) > 100
    assert {name: count for name, count in counts.items() if count > MAX_ARGUMENTS} == {}


def test_the_runtime_is_the_only_rebound_global():
    for path in files(*PACKAGES):
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Global):
                assert path == ROOT / "genesis" / "runtime.py", f"{path}:{node.lineno} rebinds {node.names}"


def test_there_is_one_logger():
    """Its messages have the prefix, and `gs.init(logging_level=...)` decides about all of them."""
    calls = [line for path in files(*PACKAGES) for line in path.read_text().splitlines() if "getLogger(" in line]
    assert len(calls) >= 6 and all('getLogger("genesis")' in line for line in calls)


def public_functions(path):
    """Functions and methods that a caller of this file can reach by a public name."""
    stack = [*tree(path).body]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            stack.extend(node.body)
        elif isinstance(node, ast.FunctionDef) and (not node.name.startswith("_") or node.name == "__init__"):
            yield node


def test_public_signatures_name_their_arguments():
    # Gymnasium's and Stable-Baselines3's own signatures; numbers are named by the material's model
    protocols = {"close_extras", "env_method", "set_material"}
    for path in files(*PACKAGES):
        if path in (ROOT / "genesis" / "grad" / "creation.py", ROOT / "genesis" / "arrays.py"):
            continue  # options are torch's; arrays are named by their tables
        for function in public_functions(path):
            kwarg = function.args.kwarg
            typed = kwarg is None or "Unpack[" in ast.unparse(kwarg)  # each keyword is declared
            assert typed or function.name in protocols, f"{path}:{function.lineno}"


def test_tests_import_their_helpers_by_full_names():
    """`from tests.rigid.rigid_worlds import build`, never `import rigid_worlds`, whatever folder a test stands in."""
    names = {path.stem for path in files("tests")}
    wrong = {
        f"{path.relative_to(ROOT).as_posix()}: {name}"
        for path in files("tests")
        for name in imported_by(path)
        if name.split(".")[0] in names - {"conftest"}
    }
    assert not wrong


def test_no_file_is_long():
    long = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in files(*PACKAGES, "tests")}
    assert {path.relative_to(ROOT).as_posix(): n for path, n in long.items() if n > MAX_LINES} == {}


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a checkout")
def test_top_level_holds_nothing_else():
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    folders = {line.split("/")[0] for line in listing if "/" in line}
    assert {folder for folder in folders if not folder.startswith(".")} <= {*PACKAGES, "tests", "docs"}
