"""MuJoCo's contact model here and in MuJoCo's C engine: the same steps of Gymnasium's robots, and their derivatives."""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import genesis as gs
from genesis.loaders.lazy_import import mujoco
from scripts.benchmarks import report
from scripts.benchmarks.hold import GRIPPER

Name = Literal["ant", "half_cheetah", "humanoid", "gripper", "boxes"]
SKIP = 5
"""MuJoCo's steps in a control step, as in Gymnasium's tasks of these robots."""
FORWARD_BARS = {"ant": 3.0, "half_cheetah": 3.0, "humanoid": 2.0, "gripper": 2.0, "boxes": 2.0}
"""How many times faster than MuJoCo's C engine."""
GRADIENT_BARS, MJX_BAR = {"ant": 40.0, "half_cheetah": 40.0}, 10.0
"""How many times faster than its central differences, and than MJX's Jacobian."""
FIRST_BARS = {"cold": 45.0, "warm": 8.0}
"""On the first gradient with an empty cache of kernels and with a warm one, s from the start of the process."""
DIFFERENCE = 1e-6
"""Step of the C engine's central differences."""
SETTLE, STRENGTH = 40, 0.3
"""Control steps of random torques before anything is timed, and their share of full torque: robots stay down."""
HOLD = {"gripper": (0.03, 0.05, 0.05)}
"""Controls around which the random ones lie: closed on the cube. Elsewhere they lie around zero."""
BOXES = "".join(
    f'<body pos="{0.002 * (k % 3)} {0.002 * (k % 2)} {0.05 + 0.1 * k}"><freejoint/>'
    '<geom type="box" size=".05 .05 .05"/></body>'
    for k in range(10)
)
TEXTS = {
    "gripper": GRIPPER,
    "boxes": f'<mujoco><option timestep="0.01" integrator="implicitfast"/><worldbody>'
    f'<geom type="plane" size="1 1 .1"/>{BOXES}</worldbody></mujoco>',
}
"""What is not Gymnasium's: a gripper that holds a cube, and ten boxes in a stack."""
PEER = report.ROOT / "scripts" / "peers" / "mjx_jacobian.py"


@dataclass
class Mujoco:
    """MuJoCo's contact model: speed beside MuJoCo's C engine on as many threads, and its central differences.

    Both take the same steps from the same states in contact, at the timestep and integrator of the files, both with
    Newton's method. A control step is five steps. A bar is how many times faster this engine has to be. Humanoid
    touches itself; the gripper holds a cube; the boxes are a stack of ten.
    """

    case: tuple[Name, ...] = ("ant", "half_cheetah")
    """Robots and scenes to run."""
    parts: tuple[Literal["speed", "fresh"], ...] = ("speed", "fresh")
    """speed: control steps per second; fresh: seconds to the first gradient, in fresh processes."""
    n_envs: int = 64
    """Environments in the batch."""
    threads: int = 2
    """Threads of MuJoCo's C engine; this engine takes what cores there are."""
    steps: int = 32
    """Control steps in a window."""
    repetitions: int = 9
    """Windows of each kind; the median is reported, and the slowest and the fastest."""
    peer_python: Path | None = None
    """Python of an environment with mujoco-mjx and jax, whose forward-mode Jacobian is timed too."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Measure, print a table, return the report."""
        about = {**report.machine(), "mujoco": version("mujoco"), "gymnasium": version("gymnasium")}
        settings = {key: str(v) if isinstance(v, Path) else v for key, v in asdict(self).items()}
        result: dict[str, Any] = {"benchmark": "mujoco", "machine": about, "settings": settings}
        if "speed" in self.parts:
            result["cases"] = self._speed()
        if "fresh" in self.parts:
            result["fresh"] = {robot: first_gradient(robot) for robot in self.case}
            report.print_table(
                "64 environments, seconds from the start of the process",
                ["robot", "cache", "imported", "scene built", "first gradient", "bar"],
                [
                    [robot, name, *times.values(), FIRST_BARS[name]]
                    for robot, both in result["fresh"].items()
                    for name, times in both.items()
                ],
            )
        report.finish(result, self.json)
        return result

    def _speed(self) -> list[dict[str, Any]]:
        gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
        cases = [self._measure(robot) for robot in self.case]
        gs.destroy()
        lines = []
        for case in cases:
            for name, row in case["rows"].items():
                spread = f"{row['slowest'] / 1e3:.3g}-{row['fastest'] / 1e3:.3g}"
                speed = row["env_steps_per_second"] / 1e3
                lines.append([case["robot"], name, speed, spread, row.get("ratio"), row.get("bar")])
        report.print_table(
            f"{self.n_envs} environments, thousand control steps of an environment per second, median of "
            f"{self.repetitions}; how many times the C engine's",
            ["robot", "row", "speed", "slowest-fastest", "ratio", "bar"],
            lines,
        )
        for case in cases:
            bytes_, contacts = case["frame_bytes"], case["contacts"]
            print(f"{case['robot']}: {bytes_:.0f} bytes an environment and control step; {contacts:.2f} contact points")
        return cases

    def _measure(self, robot: Name) -> dict[str, Any]:
        print(f"{robot}: building and compiling", flush=True)
        engine = Engine(robot, self.threads)
        start = engine.settled(self.n_envs)
        around = engine.around(start)
        scenes = {grad: Scene(engine, start, grad) for grad in (False, True)}
        n = self.n_envs
        windows: dict[str, tuple[Callable[[int], float], int]] = {
            "forward": (lambda seed: scenes[False].window(self.steps, seed), self.steps),
            "forward, C": (lambda seed: engine.window(start, self.steps, seed), self.steps),
            "forward+backward": (lambda seed: scenes[True].window(self.steps, seed), self.steps),
            "central differences, C": (lambda seed: engine.differences(around, seed), 1),
        }
        if engine.has_transitions:
            windows["mjd_transitionFD, C"] = (lambda seed: engine.transitions(start, seed), 1)
        for window, _ in windows.values():
            window(0)
        seconds: dict[str, list[float]] = {name: [] for name in windows}
        for seed in range(1, 1 + self.repetitions):
            for name, (window, _) in windows.items():
                seconds[name].append(window(seed))
        rows: dict[str, dict[str, Any]] = {}
        for name, times in seconds.items():
            work = n * windows[name][1]
            rows[name] = {
                "env_steps_per_second": work / statistics.median(times),
                "slowest": work / max(times),
                "fastest": work / min(times),
            }
        self._compare(rows, "forward", "forward, C", FORWARD_BARS[robot])
        differences = [name for name in rows if name in ("central differences, C", "mjd_transitionFD, C")]
        fastest = max(differences, key=lambda name: rows[name]["env_steps_per_second"])
        self._compare(rows, "forward+backward", fastest, GRADIENT_BARS.get(robot))
        case = {"robot": robot, "substeps": SKIP, "rows": rows, "contacts": engine.contacts(start)}
        case["frame_bytes"] = scenes[True].frame_bytes()
        if self.peer_python is not None:
            case["mjx"] = self._mjx(robot, engine, rows)
        return case

    @staticmethod
    def _compare(rows: dict[str, dict[str, Any]], ours: str, theirs: str, bar: float | None) -> None:
        rows[ours]["ratio"] = rows[ours]["env_steps_per_second"] / rows[theirs]["env_steps_per_second"]
        rows[ours]["bar"] = bar

    def _mjx(self, robot: str, engine: "Engine", rows: dict[str, dict[str, Any]]) -> dict[str, Any]:
        arguments = [str(PEER), "--xml", str(engine.path), "--n-envs", str(self.n_envs), "--substeps", str(SKIP)]
        try:
            other = report.run_json(self.peer_python or "", arguments)
        except RuntimeError as error:
            print(f"{robot}: MJX skipped: {str(error).splitlines()[-1]}", flush=True)
            return {"skipped": str(error)}
        row = other["rows"][0]
        ratio = rows["forward+backward"]["env_steps_per_second"] / row["env_steps_per_second"]
        rows[f"forward-mode Jacobian, {other['engine']}"] = row
        rows["forward+backward over MJX's Jacobian"] = {**rows["forward+backward"], "ratio": ratio, "bar": MJX_BAR}
        return other


def first_gradient(robot: str) -> dict[str, dict[str, float]]:
    """Seconds from the start of a process until imports are done, the scene is built, and there is a gradient."""
    found = {}
    with tempfile.TemporaryDirectory() as cache:
        for name in FIRST_BARS:
            started = time.time()
            arguments = ["-m", "scripts.benchmarks.mujoco_fresh", robot]
            times = report.own_json(arguments, {"TI_OFFLINE_CACHE_FILE_PATH": cache})
            found[name] = {key: moment - started for key, moment in times.items()}
    return found


def file_of(name: str) -> Path:
    """Gymnasium's file of a robot, or one that is written to the temporary folder."""
    if name in TEXTS:
        path = Path(tempfile.gettempdir()) / f"genesis_benchmark_{name}.xml"
        path.write_text(TEXTS[name])
        return path
    spec = find_spec("gymnasium")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "envs" / "mujoco" / "assets" / f"{name}.xml"


class Engine:
    """A case in MuJoCo's C engine, with the solver's settings of its file but Newton's method."""

    def __init__(self, name: str, threads: int) -> None:
        self.path = file_of(name)
        self.model: Any = mujoco().MjModel.from_xml_path(os.fspath(self.path))
        self.model.opt.solver = mujoco().mjtSolver.mjSOL_NEWTON
        self.threads, self.skip = threads, SKIP
        self.hold = np.array(HOLD.get(name, np.zeros(self.model.nu)))
        self.full = mujoco().mjtState.mjSTATE_FULLPHYSICS
        self.data = [mujoco().MjData(self.model) for _ in range(threads)]
        from mujoco.rollout import Rollout

        self.pool = Rollout(nthread=threads)

    def controls(self, n_envs: int, steps: int, seed: int) -> np.ndarray:
        """(B, steps, nu), uniform in `STRENGTH` of the motors' range, or close to what holds."""
        low, high = (STRENGTH if not self.hold.any() else 0.1 * STRENGTH) * self.model.actuator_ctrlrange.T
        return self.hold + np.random.default_rng(seed).uniform(low, high, (n_envs, steps, self.model.nu))

    def settled(self, n_envs: int) -> np.ndarray:
        """(B, n) full states in contact."""
        data, state = self.data[0], np.zeros(mujoco().mj_stateSize(self.model, self.full))
        mujoco().mj_resetData(self.model, data)
        mujoco().mj_getState(self.model, data, state, self.full)
        return self._roll(np.tile(state, (n_envs, 1)), self.controls(n_envs, SETTLE, 1000))

    def _roll(self, start: np.ndarray, controls: np.ndarray) -> np.ndarray:
        states: Any = self.pool.rollout(self.model, self.data, start, controls.repeat(self.skip, axis=1))[0]
        return states[:, -1]

    def contacts(self, states: np.ndarray) -> float:
        """Mean number of contact points of an environment."""
        data, total = self.data[0], 0
        for state in states:
            mujoco().mj_setState(self.model, data, state, self.full)
            mujoco().mj_forward(self.model, data)
            total += data.ncon
        return total / len(states)

    def window(self, start: np.ndarray, steps: int, seed: int) -> float:
        """Seconds of so many control steps of all environments."""
        controls = self.controls(len(start), steps, seed)
        begin = time.perf_counter()
        self._roll(start, controls)
        return time.perf_counter() - begin

    @property
    def has_transitions(self) -> bool:
        """Whether MuJoCo's own `mjd_transitionFD` knows the integrator."""
        return self.model.opt.integrator != mujoco().mjtIntegrator.mjINT_RK4

    def around(self, start: np.ndarray) -> np.ndarray:
        """(B, 2 (2 nv + nu), n) full states moved along each position and velocity, and unmoved ones for controls."""
        model, m = self.model, mujoco()
        moved = start[:, None].repeat(2 * (2 * model.nv + model.nu), axis=1)
        for states in moved:
            for k in range(model.nv):
                for sign in (0, 1):
                    way = np.eye(model.nv)[k] * (DIFFERENCE, -DIFFERENCE)[sign]
                    m.mj_integratePos(model, states[2 * k + sign, 1 : 1 + model.nq], way, 1.0)
                    states[2 * (model.nv + k) + sign, 1 + model.nq + k] += way[k]
        return moved

    def differences(self, around: np.ndarray, seed: int) -> float:
        """Seconds of a control step from all states `around`: what its Jacobian by central differences takes."""
        model, n = self.model, len(around)
        controls = self.controls(n, 1, seed).repeat(around.shape[1], axis=1)
        first = 4 * model.nv
        for k in range(model.nu):
            controls[:, first + 2 * k, k] += DIFFERENCE
            controls[:, first + 2 * k + 1, k] -= DIFFERENCE
        rows = np.ascontiguousarray(controls.reshape(n * around.shape[1], 1, model.nu))
        states = np.ascontiguousarray(around.reshape(len(rows), -1))
        begin = time.perf_counter()
        self._roll(states, rows)
        return time.perf_counter() - begin

    def transitions(self, start: np.ndarray, seed: int) -> float:
        """Seconds of a control step with `mjd_transitionFD` of each of its steps, centred."""
        model, size = self.model, 2 * self.model.nv + self.model.na
        controls = self.controls(len(start), 1, seed)[:, 0]

        def work(data: Any, states: np.ndarray, rows: np.ndarray) -> None:
            a, b = np.zeros((size, size)), np.zeros((size, model.nu))
            for state, row in zip(states, rows, strict=True):
                mujoco().mj_setState(model, data, state, self.full)
                data.ctrl[:] = row
                for _ in range(self.skip):
                    mujoco().mjd_transitionFD(model, data, DIFFERENCE, True, a, b, None, None)
                    mujoco().mj_step(model, data)

        begin = time.perf_counter()
        with ThreadPoolExecutor(self.threads) as pool:
            parts = (np.array_split(x, self.threads) for x in (start, controls))
            list(pool.map(work, self.data, *parts))
        return time.perf_counter() - begin


class Scene:
    """The same robot here, from the same states."""

    def __init__(self, engine: Engine, start: np.ndarray, requires_grad: bool) -> None:
        model, self.engine = engine.model, engine
        h = model.opt.timestep
        options = gs.options.SimOptions(
            dt=h * engine.skip,
            substeps=engine.skip,
            gravity=tuple(model.opt.gravity.tolist()),
            requires_grad=requires_grad,
        )
        contact = gs.options.MujocoContact()
        self.scene: Any = gs.Scene(sim_options=options, rigid_options=gs.options.RigidOptions(contact=contact))
        self.robot: Any = self.scene.add_entity(gs.morphs.MJCF(file=os.fspath(engine.path)))
        self.scene.build(n_envs=len(start))
        self.requires_grad = requires_grad
        # Full states begin with the time.
        qpos, qvel = start[:, 1 : 1 + model.nq], start[:, 1 + model.nq : 1 + model.nq + model.nv]
        self.start = [gs.tensor(x).as_subclass(torch.Tensor) for x in (qpos, qvel)]

    def window(self, steps: int, seed: int) -> float:
        """Seconds of a window: forward, and with gradients its backward pass to start and controls.

        Raises:
            RuntimeError: The final state or a gradient is not finite, or no gradient came.
        """
        drawn = torch.as_tensor(self.engine.controls(len(self.start[0]), steps, seed)).to(self.start[0])
        inputs = [x.clone().requires_grad_(self.requires_grad) for x in (*self.start, *drawn.unbind(1))]
        begin = time.perf_counter()
        self.scene.reset()
        self.robot.set_qpos(inputs[0], zero_velocity=False)
        self.robot.set_dofs_velocity(inputs[1])
        for control in inputs[2:]:
            if control.shape[1]:
                self.robot.control_actuators(control)
            self.scene.step()
        loss = self.robot.get_qpos().square().sum() + self.robot.get_dofs_velocity().square().sum()
        if self.requires_grad:
            loss.backward()
        value = loss.item()
        seconds = time.perf_counter() - begin
        inputs = [x for x in inputs if x.numel()]
        slopes = [x.grad for x in inputs if x.grad is not None]
        good = np.isfinite(value) and all(bool(slope.isfinite().all()) for slope in slopes)
        if not good or (self.requires_grad and len(slopes) < len(inputs)):
            raise RuntimeError(f"a window must give finite gradients to all its inputs, got a loss of {value}.")
        return seconds

    def frame_bytes(self) -> float:
        """Bytes of an environment and control step that are kept for the backward pass."""
        coupling, n = self.scene._values.simulator.coupling, len(self.start[0])
        frames = [coupling.frame_bytes(n, self.engine.skip * steps + 1) for steps in (1, 2)]
        return (frames[1] - frames[0]) / n
