"""Parameters of each environment, judged by a MuJoCo model with the same numbers, one step; gradients by differences of
these; and what contacts and force sensors read."""

from collections.abc import Callable
from typing import Any, NamedTuple

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from genesis.math import quaternion
from tests.mujoco_model.engine import Engine, States, relative
from tests.mujoco_model.ours import number
from tests.rigid.rigid_models import file_of

pytestmark = pytest.mark.precision("64")
B, F64 = 6, torch.float64
STEP, SLOPE = 1e-11, 1e-5

SCENE = """
<mujoco><option timestep="0.004" integrator="Euler"/>
  <default><geom solref="0.02 1" solimp="0.8 0.95 0.01 0.5 2" condim="4"/></default>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" euler="0 4 0" friction="0.1 0.001 0.0001" contype="3"
      conaffinity="3"/>
    <body name="ball" pos="0 0 0.2"><freejoint/><geom name="ball" type="sphere" size="0.1" density="800"/></body>
    <body name="pill" pos="0.02 0.03 0.4" euler="70 20 0"><freejoint/>
      <geom name="pill" type="capsule" size="0.06 0.1" density="600"/></body>
    <body name="brick" pos="0.7 0 0.1" euler="4 3 20"><freejoint/>
      <geom name="brick" type="box" size="0.1 0.15 0.08" density="500" contype="2" conaffinity="0"/></body>
    <body name="drum" pos="-0.8 0 0.14" euler="50 10 0"><freejoint/>
      <geom name="drum" type="cylinder" size="0.1 0.12" density="500" contype="2" conaffinity="0"/></body>
    <body name="egg" pos="0 0.9 0.12" euler="20 30 0"><freejoint/>
      <geom name="egg" type="ellipsoid" size="0.1 0.14 0.08" density="500" contype="2" conaffinity="0"/></body>
    <body name="arm" pos="0 -1 0.5"><joint name="servo" axis="0 1 0" damping="0.2" armature="0.02" stiffness="3"
        frictionloss="0.1"/><geom name="arm" type="capsule" fromto="0 0 0 0.3 0 -0.3" size="0.04"/>
      <site name="seat" size="0.01"/>
      <body name="fore" pos="0.3 0 -0.3"><joint name="muscle" axis="0 1 0" damping="0.1" range="-20 20"/>
        <geom name="fore" type="capsule" fromto="0 0 0 0.2 0 -0.05" size="0.03"/><site name="cuff" size="0.01"/></body>
    </body>
  </worldbody>
  <actuator><position joint="servo" kp="12" kv="0.5"/>
    <general joint="muscle" gear="1.5" gaintype="affine" gainprm="3 0.2 -0.1" biastype="affine" biasprm="0.4 -2 -0.3"/>
  </actuator>
  <sensor><force site="cuff"/><torque site="cuff"/><force site="seat"/><torque site="seat"/></sensor>
</mujoco>
"""
SOLIDS = ("ball", "pill", "brick", "drum", "egg")


class Knob(NamedTuple):
    """A parameter of both programs."""

    setter: str
    own: Callable[[mujoco.MjModel], np.ndarray]
    """(n, …) of a model, in the setter's order; of the ground without n."""
    give: Callable[[mujoco.MjModel, np.ndarray], None]
    """Writes (n, …) into a model."""
    draw: float = 0.3
    """Greatest relative change."""
    of: str = "robot"
    """Whose setter it is."""


def rows(field, indices, columns=slice(None)):
    """`own` and `give` of some rows and columns of a field of a model."""

    def own(m):
        return (
            getattr(m, field)[indices(m)][:, columns] if getattr(m, field).ndim > 1 else getattr(m, field)[indices(m)]
        )

    def give(m, value):
        part = getattr(m, field)
        if part.ndim > 1:
            part[np.ix_(indices(m), np.arange(part.shape[1])[columns])] = value
        else:
            part[indices(m)] = value

    return own, give


def floors(field, columns):
    """The same of the ground, which is one."""
    return (lambda m: getattr(m, field)[0, columns].copy()), (
        lambda m, x: getattr(m, field).__setitem__((0, columns), x)
    )


def bodies(m):
    return np.arange(1, m.nbody)


def geoms(m):
    return np.flatnonzero(m.geom_bodyid > 0)


def dofs(m):
    return np.arange(m.nv)


def joints(m):
    return np.arange(m.nv - 2, m.nv)


def inertia_of(m):
    """Principal axes are the link's only where the file says so: the solids'."""
    out = []
    for body in bodies(m):
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, m.body_iquat[body])
        matrix = turn.reshape(3, 3) @ np.diag(m.body_inertia[body]) @ turn.reshape(3, 3).T
        out.append(matrix[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]])
    return np.array(out)


def refresh(m):
    """MuJoCo keeps the inertia of lone bodies beside their masses; inverse weights stay, as a setter leaves ours."""
    kept = m.dof_invweight0.copy(), m.body_invweight0.copy()
    mujoco.mj_setConst(m, mujoco.MjData(m))
    m.dof_invweight0[:], m.body_invweight0[:] = kept


def give_mass(m, value):
    m.body_mass[bodies(m)] = value
    refresh(m)


def give_inertia(m, value):
    """Whose axes stay: all of a body's six numbers are scaled by one factor."""
    m.body_inertia[bodies(m)] *= (value[:, :3].sum(1) / inertia_of(m)[:, :3].sum(1))[:, None]
    refresh(m)


def give_servo(m, value, which):
    m.actuator_biasprm[0, 1 + which] = -value[-2]
    if which == 0:
        m.actuator_gainprm[0, 0] = value[-2]


def servo(m, which):
    value = np.zeros(m.nv)
    value[-2] = -m.actuator_biasprm[0, 1 + which]
    return value


KNOBS = {
    "mass": Knob("set_mass", lambda m: m.body_mass[bodies(m)], give_mass),
    "inertia": Knob("set_inertia", inertia_of, give_inertia),
    "friction": Knob("set_friction", lambda m: m.geom_friction[geoms(m), 0],
                     lambda m, x: m.geom_friction.__setitem__((geoms(m), 0), x)),
    "rotational friction": Knob("set_geoms_rotational_friction", *rows("geom_friction", geoms, slice(1, 3))),
    "solref": Knob("set_geoms_solref", *rows("geom_solref", geoms)),
    "solimp": Knob("set_geoms_solimp", *rows("geom_solimp", geoms), draw=0.04),
    "size": Knob("set_geoms_size", *rows("geom_size", geoms), draw=0.1),
    "damping": Knob("set_dofs_damping", *rows("dof_damping", dofs)),
    "armature": Knob("set_dofs_armature", *rows("dof_armature", dofs)),
    "stiffness": Knob("set_dofs_stiffness", lambda m: np.append(np.zeros(m.nv - 2), m.jnt_stiffness[-2:]),
                      lambda m, x: m.jnt_stiffness.__setitem__(slice(-2, None), x[-2:])),
    "frictionloss": Knob("set_dofs_frictionloss", *rows("dof_frictionloss", dofs)),
    "kp": Knob("set_dofs_kp", lambda m: servo(m, 0), lambda m, x: give_servo(m, x, 0)),
    "kv": Knob("set_dofs_kv", lambda m: servo(m, 1), lambda m, x: give_servo(m, x, 1)),
    "gain": Knob("set_actuators_gain", lambda m: m.actuator_gainprm[1:, :3].copy(),
                 lambda m, x: m.actuator_gainprm.__setitem__((slice(1, None), slice(0, 3)), x)),
    "bias": Knob("set_actuators_bias", lambda m: m.actuator_biasprm[1:, :3].copy(),
                 lambda m, x: m.actuator_biasprm.__setitem__((slice(1, None), slice(0, 3)), x)),
    "ground's solref": Knob("set_solref", *floors("geom_solref", [0, 1]), of="floor"),
    "ground's solimp": Knob("set_solimp", *floors("geom_solimp", range(5)), draw=0.04, of="floor"),
}  # fmt: skip


class Case:
    """The scene in both programs, and a state of each environment in which everything touches."""

    def __init__(self, text: str = SCENE, seed: int = 0) -> None:
        self.engine = Engine(text)
        for bound in (self.engine.m.geom_rbound, self.engine.m.geom_aabb[:, 3:], self.engine.m.bvh_aabb[:, 3:]):
            bound *= 1.5  # or MuJoCo would not see contacts of larger sizes
        sim = gs.options.SimOptions(dt=self.engine.m.opt.timestep, substeps=1, requires_grad=True)
        law = gs.options.MujocoContact(smoothing=0.0)
        self.scene = gs.Scene(sim_options=sim, rigid_options=gs.options.RigidOptions(contact=law))
        self.robot: Any = self.scene.add_entity(gs.morphs.MJCF(file=file_of(text)))
        self.floor: Any = next(each for each in self.scene.entities if each.name.endswith("floor"))
        self.scene.build(n_envs=B, outputs=("contacts", "link_wrench"))
        self.states = self._standing(np.random.default_rng(seed))

    def _standing(self, rng: np.random.Generator) -> States:
        m, d, found = self.engine.m, self.engine.d, []
        for k in range(B):
            mujoco.mj_resetData(m, d)
            d.qvel[:] = 0.3 * rng.normal(size=m.nv)
            for _ in range(60 + 10 * k):
                d.ctrl[:] = rng.normal(size=m.nu)
                mujoco.mj_step(m, d)
            found.append((d.qpos.copy(), d.qvel.copy(), rng.normal(size=m.nu)))
        return States(*(np.stack(column) for column in zip(*found, strict=True)))

    def step(self) -> torch.Tensor:
        """(B, nq + nv) after one of ours, from the states."""
        self.scene.reset()
        self.robot.set_qpos(number(self.states.qpos), zero_velocity=False)
        self.robot.set_dofs_velocity(number(self.states.qvel))
        self.robot.control_actuators(number(self.states.ctrl))
        self.scene.step()
        parts = (self.robot.get_qpos(), self.robot.get_dofs_velocity())
        return torch.cat([part.as_subclass(torch.Tensor) for part in parts], -1)

    def wanted(self, env: int, changes: dict[str, np.ndarray]) -> np.ndarray:
        """(nq + nv,) after MuJoCo's from an environment's state, with these numbers in place of the model's."""
        m = self.engine.m
        own = {name: np.array(KNOBS[name].own(m)) for name in changes}
        try:
            for name, value in changes.items():
                KNOBS[name].give(m, value)
            return np.concatenate(self.engine.step(*next(iter(self.states.chosen(np.array([env]))))))
        finally:
            for name, value in own.items():
                KNOBS[name].give(m, value)


@pytest.fixture(scope="module")
def case():
    return Case()


def set_all(case, values):
    for name, value in values.items():
        getattr(getattr(case, KNOBS[name].of), KNOBS[name].setter)(number(value))


def drawn(case, name, seed=0):
    """(B, n, …) within its greatest change; the inertia of a link as a whole."""
    own = np.array(KNOBS[name].own(case.engine.m), float)
    rng = np.random.default_rng(seed)
    shape = (B, *own.shape[:1], 1) if name == "inertia" else (B, *own.shape)
    return own * (1.0 + KNOBS[name].draw * rng.uniform(-1, 1, shape))


@pytest.mark.parametrize("name", KNOBS)
def test_each_environment_steps_as_mujoco_with_its_numbers(case, name):
    own, values = np.array(KNOBS[name].own(case.engine.m), float), drawn(case, name)
    with torch.no_grad():
        try:
            set_all(case, {name: values})
            found = case.step().numpy()
        finally:
            set_all(case, {name: np.broadcast_to(own, values.shape).copy()})
        unchanged = case.step().numpy()
    wanted = np.stack([case.wanted(env, {name: values[env]}) for env in range(B)])
    assert relative(found, wanted).max() < STEP
    assert (np.abs(found - unchanged).max(1) > 1e-8).any(), "the parameter must count in these states"


def test_all_together(case):
    values = {name: drawn(case, name, seed=2 + k) for k, name in enumerate(KNOBS)}
    own = {name: np.array(KNOBS[name].own(case.engine.m), float) for name in KNOBS}
    with torch.no_grad():
        try:
            set_all(case, values)
            found = case.step().numpy()
        finally:
            set_all(case, {name: np.broadcast_to(own[name], values[name].shape).copy() for name in KNOBS})
    wanted = np.stack([case.wanted(env, {name: values[name][env] for name in KNOBS}) for env in range(B)])
    assert relative(found, wanted).max() < STEP


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in KNOBS if name != "inertia"])
def test_gradients_are_differences_of_mujocos_steps(case, name):
    m = case.engine.m
    own = np.array(KNOBS[name].own(m), float)
    given = number(np.broadcast_to(own, (B, *own.shape)).copy()).requires_grad_()
    weight = np.random.default_rng(3).normal(size=m.nq + m.nv)
    try:
        getattr(getattr(case, KNOBS[name].of), KNOBS[name].setter)(given)
        (slope,) = torch.autograd.grad((case.step() @ number(weight)).sum(), given)
    finally:
        with torch.no_grad():
            set_all(case, {name: np.broadcast_to(own, given.shape).copy()})
    step = 1e-6
    compared = 0
    for env in range(B):
        for place in zip(*np.nonzero(own), strict=True):
            ends = []
            for side in (1, -1):
                value = own.copy()
                value[place] *= 1 + side * step
                ends.append(case.wanted(env, {name: value}) @ weight)
            wanted = (ends[0] - ends[1]) / (2 * step * own[place])
            scale = max(1.0, abs(wanted), float(slope[env].abs().max()))
            assert abs(float(slope[(env, *place)]) - wanted) < SLOPE * scale, (env, place, wanted)
            compared += abs(wanted) > 1e-6
    assert compared > 0


def test_force_sensors_are_mujocos(case):
    """The force that a link's parent exerts on it, and its torque about the link's frame; and contacts' forces."""
    with torch.no_grad():
        case.step()
    robot, m, d = case.robot, case.engine.m, case.engine.d
    contacts, links = robot.get_contacts(), [robot.get_link(name).idx_local for name in ("fore", "arm")]
    sensed, turns = robot.get_links_wrench(links), robot.get_links_quat(links)
    inside = torch.stack([robot.get_force_torque(link) for link in links], 1).unflatten(-1, (2, 3))
    turned = quaternion.rotate(turns[:, :, None], inside).flatten(2)
    assert torch.allclose(turned, sensed)  # in the link's frame as it stands after the step
    for env, state in enumerate(case.states):
        case.engine.qacc(*state)
        frames = [d.site(name).xmat.reshape(3, 3) for name in ("cuff", "seat")]
        data = [np.concatenate([turn @ six[:3], turn @ six[3:]])
                for turn, six in zip(frames, d.sensordata.reshape(2, 6), strict=True)]  # fmt: skip
        assert np.abs(sensed[env].numpy() - np.stack(data)).max() < 1e-8 * np.abs(data).max()
        force = np.zeros((m.ngeom, 3))
        for k in range(d.ncon):
            six = np.zeros(6)
            mujoco.mj_contactForce(m, d, k, six)
            world = d.contact[k].frame.reshape(3, 3).T @ six[:3]
            force[d.contact[k].geom1] -= world
            force[d.contact[k].geom2] += world
        ours = contacts.force[env].numpy()
        names = [mujoco.mj_id2name(m, mujoco.mjtObj.mjOBJ_GEOM, g) for g in range(m.ngeom)]
        wanted = np.stack([force[names.index(name)] for name in contacts.geom_names])
        assert np.abs(ours - wanted).max() < 1e-8 * np.abs(wanted).max()


PILE = """
<mujoco><option timestep="0.004" integrator="Euler"/>
  <default><geom solref="0.02 1" solimp="0.8 0.95 0.01 0.5 2" condim="3" density="600"/></default>
  <worldbody>
    <geom name="floor" type="plane" size="0 0 1" euler="0 3 0"/>
    <body pos="0 0 0.1"><freejoint/><geom type="box" size="0.2 0.17 0.1"/></body>
    <body pos="0.05 0.03 0.31" euler="3 5 30"><freejoint/><geom type="box" size="0.12 0.1 0.09"/></body>
    <body pos="0.02 0.02 0.5"><freejoint/><geom type="sphere" size="0.09"/></body>
    <body pos="0.19 0.1 0.29" euler="80 10 20"><freejoint/><geom type="capsule" size="0.05 0.09"/></body>
    <body pos="-0.15 -0.05 0.31" euler="20 50 20"><freejoint/><geom type="box" size="0.05 0.08 0.07"/></body>
    <body pos="3 0 0.1"><geom type="box" size="0.06 0.3 0.1"/></body>
    <body pos="3.03 0.02 0.255" euler="0 90 25"><freejoint/><geom type="capsule" size="0.05 0.2"/></body>
    <body pos="0 -1 0.5"><joint name="a" axis="0 1 0" damping="0.2"/><joint axis="1 0 0" damping="1"/>
      <geom type="capsule" fromto="0 0 0 0.3 0 0" size="0.04"/></body>
  </worldbody>
  <actuator><motor joint="a"/></actuator>
</mujoco>
"""


@pytest.mark.slow
def test_sizes_of_bodies_that_lie_on_each_other():
    """One of them a capsule across a box, whose second contact is the box's width from the first."""
    pile = Case(PILE, seed=1)
    test_each_environment_steps_as_mujoco_with_its_numbers(pile, "size")
    test_gradients_are_differences_of_mujocos_steps(pile, "size")
