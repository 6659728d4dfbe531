"""A gripper and a hand that close on a cube and let go, beside MuJoCo: how far the cube gets from MuJoCo's.

What is printed beside it says what such a difference means: how far MuJoCo's own cube gets when it begins 1e-12 m off.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import genesis as gs
from genesis.loaders.lazy_import import mujoco
from scripts.benchmarks import report

BAR = 1e-3
"""m, of the cube's corners."""
HELD = 5
"""Steps of MuJoCo's between two controls."""
OFF = 1e-12
"""m by which MuJoCo's cube begins elsewhere, for comparison."""
FINGER = """
<body name="{name}" pos="0 {y} 0.02">
  <joint name="{name}" type="slide" axis="0 {toward} 0" range="0 0.06" damping="20" armature="0.1" frictionloss="0.2"/>
  <geom type="box" size="0.01 0.006 0.03" density="2000" friction="1.5 0.01 0.0001" condim="4"/>
</body>"""
GRIPPER = f"""
<mujoco model="gripper">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="implicitfast"/>
  <worldbody>
    <geom name="floor" type="plane" size="1 1 0.1"/>
    <body name="wrist" pos="0 0 0.03">
      <joint name="lift" type="slide" axis="0 0 1" range="-0.01 0.2" damping="30"/>
      <geom type="box" size="0.03 0.08 0.01" pos="0 0 0.06" density="1000"/>
      {FINGER.format(name="left", y=-0.05, toward=1)}
      {FINGER.format(name="right", y=0.05, toward=-1)}
    </body>
    <body name="cube" pos="0.002 0.004 0.0199"><freejoint name="cube"/>
      <geom name="cube" type="box" size="0.02 0.02 0.02" density="500" condim="4"/></body>
  </worldbody>
  <actuator>
    <position joint="lift" kp="800" ctrlrange="-0.01 0.2"/>
    <position joint="left" kp="400" ctrlrange="0 0.06" forcerange="-20 20"/>
    <position joint="right" kp="400" ctrlrange="0 0.06" forcerange="-20 20"/>
  </actuator>
</mujoco>"""
KNUCKLES = """
<body name="{name}" pos="{at}" euler="0 0 {turn}">
  <joint name="{name} 1" axis="0 1 0" range="-1.8 0.1" damping="0.03" armature="0.001"/>
  <geom type="capsule" size="0.008" fromto="0 0 0 0.04 0 0"/>
  <body name="{name} end" pos="0.04 0 0">
    <joint name="{name} 2" axis="0 1 0" range="-1.8 0.1" damping="0.03" armature="0.001"/>
    <geom type="capsule" size="0.007" fromto="0 0 0 0.035 0 0"/>
  </body>
</body>"""
FINGERS = {
    "first": ("0.05 -0.03 0", 0.0), "middle": ("0.05 0 0", 0.0), "ring": ("0.05 0.03 0", 0.0),
    "thumb": ("-0.05 0.01 0", 3.1),
}  # fmt: skip
PADS = "".join(f'<geom size="0.012" pos="{x} {y} 0"/>' for x in (-0.015, 0.022) for y in (-0.016, 0.018))
"""What the cube lies on: of two boxes' faces on each other, which one's normal counts is a matter of rounding."""
HAND = f"""
<mujoco model="hand">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.002" integrator="implicitfast"/>
  <default><geom condim="4" friction="1 0.005 0.0001"/></default>
  <worldbody>
    <body name="palm" pos="0 0 0.2">
      <geom type="box" size="0.05 0.045 0.012" contype="0" conaffinity="0"/>
      {PADS}
      {"".join(KNUCKLES.format(name=name, at=at, turn=turn) for name, (at, turn) in FINGERS.items())}
    </body>
    <body name="cube" pos="0.005 0.002 0.2368" euler="0 0 0.2"><freejoint name="cube"/>
      <geom name="cube" type="box" size="0.025 0.025 0.025" density="567"/></body>
  </worldbody>
  <actuator>
    {"".join(f'<position joint="{name} {k}" kp="1" ctrlrange="-1.8 0.1"/>' for name in FINGERS for k in (1, 2))}
  </actuator>
</mujoco>"""


@dataclass
class Hold:
    """A gripper and a hand that close on a cube and let go, beside MuJoCo."""

    folder: Path | None = None
    """Unpacked packages with robosuite's Panda gripper and gymnasium-robotics' Shadow hand, which are then run too."""
    seconds: float = 2.0
    """From open to open."""
    json: Path | None = None
    """Where to write the report."""

    def run(self) -> dict[str, Any]:
        """Simulate, print a table, return the report."""
        about = report.machine()
        gs.init(backend=gs.cpu, precision="64", seed=0, logging_level="error")
        cases = dict(SHIPPED)
        if self.folder is not None:
            cases |= of_packages(self.folder)
        found = {}
        for name, case in cases.items():
            found[name] = beside(*case, self.seconds)
            print(f"{name}: {found[name]}", file=sys.stderr)
        report.print_table(
            f"corners of the cube within {self.seconds:g} s, in m from MuJoCo's",
            ["scene", "moves by", "farthest apart", "MuJoCo's own, 1e-12 m off", "bar"],
            [
                [name, f"{row['moved']:.2f}", f"{row['off']:.1e}", f"{row['own']:.1e}", f"{BAR:g}"]
                for name, row in found.items()
            ],
        )
        result = {"benchmark": "hold", "machine": about, "cases": found}
        report.finish(result, self.json)
        return result


Plan = Callable[[Any, float], np.ndarray]
"""Controls (nu,) of a compiled model at a part 0 … 1 of the time."""
Case = tuple[str, Plan, dict[str, float]]
"""MJCF text, controls, and joints that begin elsewhere than in the file."""


def grip(model: Any, t: float) -> np.ndarray:
    """Close, lift, lower, open."""
    lift = 0.1 * smooth(t, 0.25, 0.45) * (1.0 - smooth(t, 0.6, 0.8))
    closed = 0.06 * smooth(t, 0.05, 0.2) * (1.0 - smooth(t, 0.85, 0.9))
    return np.array([lift, closed, closed])


def curl(model: Any, t: float) -> np.ndarray:
    """Fingers of the hand close and open."""
    closed = smooth(t, 0.1, 0.4) * (1.0 - smooth(t, 0.6, 0.9))
    return np.full(model.nu, -1.6) * closed


def swing(model: Any, t: float) -> np.ndarray:
    """Half of the way from the middle of the controls' ranges to their ends, and back."""
    low, high = model.actuator_ctrlrange.T
    return 0.5 * (low + high) + 0.25 * (high - low) * smooth(t, 0.1, 0.5) * (1.0 - smooth(t, 0.5, 0.9))


def pinch(model: Any, t: float) -> np.ndarray:
    """Robosuite's fingers close, and open; one's range is the other's mirrored."""
    closed = smooth(t, 0.1, 0.3) * (1.0 - smooth(t, 0.7, 0.9))
    return np.array([0.04, -0.04]) * (1.0 - closed)


def smooth(t: float, begin: float, end: float) -> float:
    """From 0 to 1."""
    x = min(max((t - begin) / (end - begin), 0.0), 1.0)
    return x * x * (3.0 - 2.0 * x)


SHIPPED: dict[str, Case] = {"gripper": (GRIPPER, grip, {}), "hand": (HAND, curl, {})}


def of_packages(folder: Path) -> dict[str, Case]:
    """Scenes of what the packages hold; raises StopIteration where a file is missing."""
    spec = mujoco().MjSpec.from_file(str(next(folder.rglob("grippers/panda_gripper.xml"))))
    spec.meshdir = str(next(folder.rglob("grippers/panda_gripper.xml")).parent)
    spec.option.timestep = 0.002
    for finger in ("leftfinger", "rightfinger"):  # bodies of which one hangs on the other, were the palm not fixed
        spec.add_exclude(bodyname1="right_gripper", bodyname2=finger)
    palm = spec.body("right_gripper")
    palm.pos, palm.quat = (0.0, 0.0, 0.13), (0.0, 1.0, 0.0, 0.0)
    spec.worldbody.add_geom(type=mujoco().mjtGeom.mjGEOM_PLANE, size=(1, 1, 0.1))
    cube = spec.worldbody.add_body(name="cube", pos=(0.001, 0.002, 0.0199))
    cube.add_freejoint(name="cube")
    cube.add_geom(name="cube", type=mujoco().mjtGeom.mjGEOM_BOX, size=(0.02, 0.02, 0.02), density=500)
    spec.compile()
    block = next(folder.rglob("hand/manipulate_block.xml"))
    hand = mujoco().MjSpec.from_file(str(block))
    hand.meshdir = str((block.parent / hand.meshdir).resolve())
    hand.texturedir = str((block.parent / hand.texturedir).resolve())
    hand.compile()
    is_open = {"finger_joint1": 0.04, "finger_joint2": -0.04}
    return {"robosuite's Panda gripper": (spec.to_xml(), pinch, is_open), "Shadow hand": (hand.to_xml(), swing, {})}


def beside(text: str, plan: Plan, begin: dict[str, float], seconds: float) -> dict[str, float]:
    """How far corners of the cube get from MuJoCo's: ours, and MuJoCo's own from elsewhere."""
    model = mujoco().MjModel.from_xml_string(text)
    n_chunks = round(seconds / model.opt.timestep / HELD)
    controls = [plan(model, k / n_chunks) for k in range(n_chunks)]
    start = model.qpos0.copy()
    for name, value in begin.items():
        start[model.joint(name).qposadr[0]] = value
    theirs = in_mujoco(model, start, controls)
    moved = np.abs(theirs - theirs[0]).max()
    off = np.abs(ours(text, model, start, controls) - theirs).max()
    start[_cube(model)[0]] += OFF
    own = np.abs(in_mujoco(model, start, controls) - theirs).max()
    return {"off": float(off), "own": float(own), "moved": float(moved)}


def in_mujoco(model: Any, start: np.ndarray, controls: list[np.ndarray]) -> np.ndarray:
    """(chunks, 8, 3) corners of the cube."""
    model.opt.solver, model.opt.iterations, model.opt.tolerance = mujoco().mjtSolver.mjSOL_NEWTON, 200, 1e-15
    data = mujoco().MjData(model)
    data.qpos[:] = start
    q = _cube(model)[0]
    path = []
    for ctrl in controls:
        data.ctrl[:] = ctrl
        mujoco().mj_step(model, data, HELD)
        path.append(corners(model, data.qpos[q : q + 7]))
    return np.array(path)


def ours(text: str, model: Any, start: np.ndarray, controls: list[np.ndarray]) -> np.ndarray:
    """(chunks, 8, 3) corners of the cube."""
    timestep, q = float(model.opt.timestep), _cube(model)[0]
    sim = gs.options.SimOptions(dt=timestep * HELD, substeps=HELD, gravity=tuple(model.opt.gravity.tolist()))
    scene = gs.Scene(sim_options=sim)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "scene.xml"
        path.write_text(text)
        robot: Any = scene.add_entity(gs.morphs.MJCF(file=path))
        scene.build(n_envs=1)
    robot.set_qpos(start[None])
    met = []
    for ctrl in controls:
        robot.control_actuators(ctrl[None])
        scene.step()
        met.append(corners(model, robot.get_qpos().numpy()[0, q : q + 7]))
    return np.array(met)


def corners(model: Any, pose: np.ndarray) -> np.ndarray:
    """(8, 3) of the cube whose place and quaternion these are."""
    turn = np.zeros(9)
    mujoco().mju_quat2Mat(turn, pose[3:] / np.linalg.norm(pose[3:]))
    signs = np.stack(np.meshgrid(*[(-1.0, 1.0)] * 3), -1).reshape(-1, 3)
    return pose[:3] + signs * model.geom_size[_cube(model)[1]] @ turn.reshape(3, 3).T


def _cube(model: Any) -> tuple[int, int]:
    """Address of its coordinates, and its geom."""
    name = "cube" if mujoco().mj_name2id(model, mujoco().mjtObj.mjOBJ_BODY, "cube") >= 0 else "object"
    body = model.body(name)
    return int(model.jnt_qposadr[body.jntadr[0]]), int(body.geomadr[0])
