"""`gs.init`, `gs.destroy` and what they decide. What starts or stops the toolkit runs in a process of its own."""

import os
import textwrap
import time

import pytest
import torch

import genesis as gs
from genesis import runtime
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError
from tests import processes


def run(program, **environment):
    """What `program` prints; it must succeed and say nothing else."""
    done = processes.program("import genesis as gs, torch\n" + textwrap.dedent(program), env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def test_constants_of_the_running_toolkit():
    current = runtime.current()
    assert gs.is_initialized() and gs.backend is gs.cpu and gs.device == torch.device("cpu")
    assert gs.tc_float == current.real == {"32": torch.float32, "64": torch.float64}[current.precision]
    assert gs.zeros(1).numpy().dtype == gs.np_float and gs.arange(1).numpy().dtype == gs.np_int
    assert gs.tc_int == torch.int32 and gs.tc_bool == torch.bool
    assert max(1e-15, torch.finfo(gs.tc_float).eps) == gs.EPS and gs.SEED == 0
    assert gs.logger.name == "genesis" and current.pid == os.getpid() and current.generation == 1
    assert repr(gs.cuda) == "gs.cuda" and gs.__version__
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = gs.nonsense
    assert all(hasattr(gs, name) for name in gs.__all__)


def test_a_second_init_raises_and_changes_nothing():
    before = runtime.current()
    with pytest.raises(GenesisRuntimeError, match="already initialized.*gs.destroy"):
        gs.init(backend=gs.cpu, precision="32")
    assert runtime.current() is before


def test_init_takes_keywords_only():
    with pytest.raises(TypeError):
        gs.init(gs.cpu)


def test_everything_before_init_raises_and_names_it():
    program = """
    from genesis import runtime
    calls = [lambda: gs.zeros(1), lambda: gs.tensor(1), lambda: gs.from_torch(torch.ones(1)), lambda: gs.Tensor([1.0]),
             lambda: gs.rand(1), lambda: gs.device, lambda: gs.tc_float, lambda: gs.SEED, runtime.current]
    gs.destroy()
    def check():
        assert not gs.is_initialized()
        for call in calls:
            try:
                call()
            except gs.GenesisException as error:
                assert "Genesis not initialized yet." in str(error) and "gs.init" in str(error), error
            else:
                raise AssertionError(call)
    check()
    gs.init(backend=gs.cpu, logging_level="warning")
    gs.zeros(1)
    gs.destroy()
    check()
    """
    assert run(program) == ("", "")


def test_init_again_with_another_precision():
    program = """
    from genesis import compiler, runtime
    for generation, precision, dtype in ((1, "64", torch.float64), (2, "32", torch.float32), (3, "64", torch.float64)):
        gs.init(backend=gs.cpu, precision=precision, logging_level="error")
        assert gs.tc_float == dtype == gs.zeros(1).dtype == compiler.layout().dtype
        assert runtime.current().generation == generation
        assert torch.get_default_dtype() == torch.float32
        gs.destroy()
        gs.destroy()
    """
    assert run(program) == ("", "")


def test_seed_repeats_every_generator():
    program = """
    import random, numpy
    from genesis.compiler import impl
    draws, kernels = [], []
    for seed in (5, 5, 6):
        gs.init(backend=gs.cpu, seed=seed, logging_level="error")
        draws.append((gs.rand(3).tolist(), random.random(), numpy.random.rand(), torch.rand(1).item()))
        kernels.append(impl.current_cfg().random_seed)
        gs.destroy()
    assert draws[0] == draws[1] != draws[2]
    assert kernels[0] == kernels[1] == kernels[2], "another seed must not compile all kernels anew"
    torch.manual_seed(1)
    first = torch.rand(1)
    torch.manual_seed(1)
    gs.init(backend=gs.cpu, logging_level="error")
    assert torch.equal(torch.rand(1), first) and gs.SEED is None, "without a seed nothing is seeded"
    """
    assert run(program) == ("", "")


def test_cameras_of_a_stopped_toolkit_are_refused():
    """Whether or not it has been started again: their kernels are gone."""
    program = """
    gs.init(backend=gs.cpu, logging_level="error")
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Sphere(), material=gs.materials.Tool())
    used, fresh = (scene.add_camera(res=(16, 16)) for _ in range(2))
    scene.build()
    used.render()
    for start in (lambda: None, lambda: gs.init(backend=gs.cpu, logging_level="error")):
        gs.destroy()
        start()
        for call in (used.render, fresh.render, fresh.world_pose):
            try:
                call()
            except gs.GenesisException as error:
                print(error)
    """
    said = "a scene must be used under the gs.init that it was built under, got a call after gs.destroy()."
    out, err = run(program)
    assert [line.startswith(said) for line in out.splitlines()] == [True] * 6 and err == ""


@pytest.mark.skipif(not os.path.exists("/proc/self/task"), reason="threads and memory are read from Linux' /proc")
def test_a_stopped_toolkit_keeps_neither_threads_nor_memory():
    """Not even where a scene and a tensor with its graph, after a backward pass, are still held."""
    program = """
    import ctypes, gc, os
    trim = getattr(ctypes.CDLL(None), "malloc_trim", int)
    def cycle():
        gs.init(backend=gs.cpu, logging_level="error")
        scene = gs.Scene(sim_options=gs.options.SimOptions(requires_grad=True),
                         rigid_options=gs.options.RigidOptions(contact=gs.options.CompliantContact()))
        robot = scene.add_entity(gs.morphs.Robot(name="hopper"))
        scene.build(n_envs=4)
        force = torch.zeros(6, requires_grad=True)
        robot.control_dofs_force(force)
        scene.step()
        height = robot.get_qpos().sum()
        height.backward(retain_graph=True)
        gs.destroy()
        return scene, height
    def used():
        gc.collect()
        trim(0)  # memory that is free, but that the C library keeps, is nobody's
        status = open("/proc/self/status").read()
        return len(os.listdir("/proc/self/task")), int(status.split("VmRSS:")[1].split()[0]) / 1024
    cycle()
    begin = used()
    (scene, height), _ = cycle(), cycle()
    end = used()
    print(end[0] - begin[0], (end[1] - begin[1]) / 2)
    gs.init(backend=gs.cpu, logging_level="error")
    for call in (scene.step, height.backward):
        try:
            call()
        except gs.GenesisException as error:
            print(error)
    """
    out, err = run(program)
    (threads, megabytes), *said = (line.split() for line in out.splitlines())
    assert threads == "0" and float(megabytes) < 10, "22 MB and six threads belong to a compiler"
    refused = "a scene must be used under the gs.init that it was built under, got a call after gs.destroy()."
    assert [" ".join(line).startswith(refused) for line in said] == [True] * 2 and err == ""


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_gpu_falls_back_with_a_warning_and_cuda_raises():
    program = """
    try:
        gs.init(backend=gs.cuda)
    except gs.GenesisException as error:
        print(error)
    assert not gs.is_initialized()
    gs.init(backend=gs.gpu)
    assert gs.backend is gs.cpu
    gs.destroy()
    gs.init(logging_level="warning")
    assert gs.backend is gs.cpu
    """
    out, err = run(program)
    assert out == "gs.cuda must have a CUDA device, got none from torch. Use gs.cpu or gs.gpu."
    assert err.count("falling back to gs.cpu") == 1 and err.strip().endswith("running on cpu, precision 32.")


@pytest.mark.gpu
def test_cuda():
    program = """
    gs.init(backend=gs.gpu, logging_level="error")
    assert gs.backend is gs.cuda and gs.zeros(1).device == gs.device == torch.device("cuda:0")
    assert gs.tensor([1.0]).is_cuda and gs.randperm(3).is_cuda and gs.from_torch(torch.ones(1)).is_cuda
    """
    assert run(program) == ("", "")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"precision": 64}, GenesisValueError, 'precision must be "32" or "64" .a string., got 64'),
        ({"precision": "16"}, GenesisValueError, "got '16'"),
        ({"precision": ["64"]}, GenesisValueError, "precision"),
        ({"backend": "cpu"}, GenesisTypeError, "backend must be gs.cpu, gs.cuda, gs.gpu or None, got 'cpu'"),
        ({"seed": 1.5}, GenesisTypeError, "seed must be an int or None, got 1.5"),
        ({"seed": True}, GenesisTypeError, "seed"),
        ({"seed": -1}, GenesisValueError, r"seed must be in \[0, 2\^63\), got -1"),
        ({"logging_level": "loud"}, GenesisValueError, "logging_level must be one of debug, info, warning, error"),
        ({"logging_level": True}, GenesisValueError, "logging_level"),
        ({"eps": 0.0}, GenesisValueError, "eps must be a positive number, got 0.0"),
        ({"eps": float("nan")}, GenesisValueError, "eps"),
        ({"theme": "pink"}, GenesisValueError, "theme must be one of dark, light, dumb, got 'pink'"),
    ],
)
def test_bad_arguments_raise_before_anything_changes(monkeypatch, arguments, error, message):
    monkeypatch.setattr(runtime, "_slot", runtime._Slot())
    level, random_state = gs.logger.level, torch.get_rng_state()
    with pytest.raises(error, match=message):
        gs.init(**({"seed": 3, "logging_level": "debug"} | arguments))
    assert not gs.is_initialized() and gs.logger.level == level
    assert torch.equal(torch.get_rng_state(), random_state)


def test_logging():
    program = """
    import logging
    gs.init(backend=gs.cpu, logging_level="INFO")
    gs.logger.debug("unseen")
    gs.logger.warning("seen")
    gs.destroy()
    assert not gs.logger.handlers
    gs.init(backend=gs.cpu, debug=True)
    assert gs.logger.level == logging.DEBUG
    gs.destroy()
    logging.basicConfig(level=logging.CRITICAL, format="mine %(message)s")
    gs.init(backend=gs.cpu, logging_level=logging.WARNING)
    gs.logger.warning("again")
    """
    out, err = run(program)
    assert out == "" and "unseen" not in err
    assert "[genesis] WARNING: seen" in err and err.count("again") == 1 and "mine again" in err


def test_an_environment_says_that_it_started_the_toolkit():
    """In the one form that all messages have."""
    program = """
    import gymnasium, envs
    gymnasium.make_vec("genesis/Pendulum-v0", num_envs=1)
    """
    lines = run(program)[1].splitlines()
    assert lines[-1].startswith("[genesis] INFO: Pendulum called gs.init() with its defaults.")
    assert all(line.startswith("[genesis] ") for line in lines)


def test_import_without_libX11_names_the_package():
    program = """
    import builtins, sys
    for name in [name for name in sys.modules if name.split(".")[0] in ("genesis", "taichi")]:
        del sys.modules[name]
    real = builtins.__import__
    def broken(name, *args, **kwargs):
        if name == "taichi":
            raise ImportError("libX11.so.6: cannot open shared object file: No such file or directory")
        return real(name, *args, **kwargs)
    builtins.__import__ = broken
    try:
        import genesis
    except ImportError as error:
        print(type(error).__name__, error)
    """
    out, _ = run(program)
    assert out.startswith("GenesisImportError") and "apt-get install libx11-6" in out


def test_where_kernels_cannot_be_kept_a_process_says_so_and_ends_well(tmp_path):
    """The compiler would write them at exit, and end the process by a fault of memory."""
    folder = tmp_path / "file" / "kernels"
    folder.parent.touch()
    program = """
    gs.init(backend=gs.cpu)
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Robot(name="pendulum"))
    scene.build()
    scene.step()
    """
    (tmp_path / "temporary").mkdir()
    _, err = run(program, TI_OFFLINE_CACHE_FILE_PATH=str(folder), TMPDIR=str(tmp_path / "temporary"))
    assert f"got {folder}: every process compiles anew" in err and "Traceback" not in err
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("age, kept", [(3600.0, False), (0.0, True)])
def test_a_killed_process_leaves_no_lock_on_compiled_kernels(tmp_path, age, kept):
    """What it wrote by half goes, too; the lock of a process that writes now stays."""
    lock, half, whole = (tmp_path / name for name in ("ticache.lock", "Ta.tic", "Tb.tic"))
    lock.touch(), half.touch(), whole.write_bytes(b"kernel")
    then = time.time() - age
    os.utime(lock, (then, then))
    out, err = run("gs.init(backend=gs.cpu)", TI_OFFLINE_CACHE_FILE_PATH=str(tmp_path))
    assert (lock.exists(), half.exists(), whole.exists()) == (kept, kept, True)
    assert ("compiled kernels are kept again" in err) != kept
