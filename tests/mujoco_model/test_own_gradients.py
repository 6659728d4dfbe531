"""Gradients of MuJoCo's contact model by parameters and through policies, against differences of its own steps.

The robot stands on its feet with everything at work: contacts of several dimensions, limits, friction loss, springs,
motors, position and velocity servos; a body beside it tumbles freely. Its rows stay the same over the steps, since
differences step across no corner.
"""

from dataclasses import dataclass

import mujoco
import numpy as np
import pytest
import torch

from tests.mujoco_model.engine import Engine, Evaluation, States
from tests.mujoco_model.ours import Ours
from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_worlds import B, check, rows

pytestmark = pytest.mark.precision("64")
BAR = 1e-6
STEPS = 3
LIMIT, LOSS = int(mujoco.mjtConstraint.mjCNSTR_LIMIT_JOINT), int(mujoco.mjtConstraint.mjCNSTR_FRICTION_DOF)
BALL, HINGE = int(mujoco.mjtJoint.mjJNT_BALL), int(mujoco.mjtJoint.mjJNT_HINGE)
QUADRATIC = int(mujoco.mjtConstraintState.mjCNSTRSTATE_QUADRATIC)

WALKER = """
<mujoco model="walker">
  <compiler angle="radian" autolimits="true"/>
  <option timestep="0.004" integrator="{integrator}" cone="{cone}" impratio="2"/>
  <default>
    <geom contype="0" conaffinity="1" friction="0.9 0.02 0.01" solref="0.03 0.9" solimp="0.4 0.9 0.03 0.4 2"/>
    <joint damping="0.4" armature="0.03" stiffness="6" springref="0.1" solimplimit="0.3 0.9 0.1 0.4 2"
           solreflimit="0.04 0.8" solreffriction="0.03 1.1" solimpfriction="0.5 0.8 0.01 0.5 2"/>
  </default>
  <worldbody>
    <geom name="ground" type="plane" size="0 0 1" contype="1" conaffinity="0" friction="0.5 0.01 0.005"
          solref="0.02 1" solimp="0.5 0.9 0.02 0.5 2" condim="1"/>
    <body name="trunk" pos="0 0 0.3">
      <joint name="root" type="free" damping="0.2" armature="0.02" stiffness="0" frictionloss="0.02"/>
      <geom name="trunk" type="box" size="0.15 0.1 0.05" contype="0" conaffinity="0"/>
      {legs}
    </body>
    <body name="pendulum" pos="1 0 0.6">
      <joint name="shoulder" type="ball" range="0 0.1" frictionloss="0.05" damping="1.5"/>
      <joint name="lift" type="slide" axis="0 0.6 0.8" range="-0.02 0.02" frictionloss="0.3" stiffness="150"
             damping="20"/>
      <geom name="bob" type="ellipsoid" size="0.06 0.08 0.1" pos="0.1 0.05 -0.2"/>
    </body>
    <body name="thrown" pos="-1 0 1">
      <joint type="free" damping="0.05" armature="0.02" stiffness="0"/>
      <geom type="box" size="0.05 0.15 0.1" pos="0.05 -0.1 0.03" euler="0.5 0.3 1" contype="0" conaffinity="0"/>
    </body>
  </worldbody>
  <actuator>{drives}</actuator>
</mujoco>
"""
LEG = """
<body name="leg{k}" pos="{x} {y} 0">
  <joint name="hip{k}" axis="0.1 1 0" range="-0.02 0.02" stiffness="20" springref="0.3" frictionloss="{loss}"/>
  <geom name="leg{k}" type="capsule" size="0.03" fromto="0 0 0 {dx} {dy} -0.24" contype="0" conaffinity="0"/>
  <geom name="foot{k}" type="{kind}" size="0.05 0.05 0.05" pos="{dx} {dy} -0.24" condim="{dim}"
        euler="1.4 0 0"/>
</body>
"""
FEET = (("sphere", 3), ("capsule", 4), ("ellipsoid", 6), ("sphere", 1))
DRIVES = (
    '<motor name="a0" joint="hip0" gear="2" ctrlrange="-3 3"/>',
    '<position name="a1" joint="hip1" gear="1.3" kp="12" kv="0.4"/>',
    '<velocity name="a2" joint="hip2" gear="0.7" kv="1.5"/>',
    '<motor name="a3" joint="lift" gear="3"/>',
)

THROWN = (1.0, -2.0, 0.5, 4.0, 7.0, -5.0)
"""Velocity of the body that tumbles: the last six degrees of freedom."""


def walker(integrator: str, cone: str) -> str:
    legs = "".join(
        LEG.format(
            k=k, x=0.14 * sx, y=0.1 * sy, dx=0.05 * sx, dy=0.04 * sy, kind=kind, dim=dim, loss=8 if k == 3 else 0.1
        )
        for k, ((sx, sy), (kind, dim)) in enumerate(zip(((1, 1), (1, -1), (-1, 1), (-1, -1)), FEET, strict=True))
    )
    return WALKER.format(integrator=integrator, cone=cone, legs=legs, drives="".join(DRIVES))


CASES = {
    "Euler": ("Euler", "pyramidal"),
    "implicitfast": ("implicitfast", "elliptic"),
    "RK4": ("RK4", "elliptic"),
}


def standing(engine: Engine) -> States:
    """One state after landing, whose rows keep their pieces over the steps, also a little off."""
    rng = np.random.default_rng(0)
    q, v = engine.m.qpos0.copy(), np.zeros(engine.m.nv)
    for _ in range(200):
        ctrl = rng.uniform(-0.5, 0.5, engine.m.nu)
        q, v = engine.step(q, v, np.repeat(ctrl[None], 5, 0))
        q[-7:], v[-6:] = engine.m.qpos0[-7:], THROWN
        controls = np.repeat(ctrl[None], STEPS, 0)
        base = engine.evaluations(q, v, controls)
        near = [
            (engine.moved(q, 3e-5 * rng.normal(size=len(v))), v + 3e-4 * rng.normal(size=len(v)), controls)
            for _ in range(8)
        ]
        same = all(a.same(b) for state in near for a, b in zip(base, engine.evaluations(*state), strict=True))
        if same and at_work(engine, base[0]) and np.abs(v[:-6]).max() > 0.05:
            return States(*(x[None].repeat(B, 0) for x in (q, v, ctrl)))
    raise RuntimeError("no state keeps its rows")


def at_work(engine: Engine, evaluation: Evaluation) -> bool:
    """Whether three feet stand, a hinge and a ball are at their limits, and some friction loss holds."""
    kinds = [int(k) for k in evaluation.kinds]
    touching = {owner for owner in evaluation.owners if len(owner) == 2}
    pairs = list(zip(kinds, evaluation.owners, evaluation.pieces, strict=True))
    limited = {int(engine.m.jnt_type[owner[0]]) for kind, owner, piece in pairs if (kind, piece) == (LIMIT, QUADRATIC)}
    held = any((kind, piece) == (LOSS, QUADRATIC) for kind, _, piece in pairs)
    return len(touching) >= 3 and {BALL, HINGE} <= limited and held


@dataclass
class Case:
    """A scene, and the state that all of its environments start from."""

    ours: Ours
    states: States

    def start(self) -> None:
        self.ours.place(*(torch.tensor(x, dtype=F64) for x in (self.states.qpos, self.states.qvel)))
        self.ours.drive(torch.tensor(self.states.ctrl, dtype=F64))

    def loss(self) -> torch.Tensor:
        return rows(self.ours.state(), 5)


@pytest.fixture(
    scope="module",
    params=["implicitfast", *(pytest.param(name, marks=pytest.mark.slow) for name in ("Euler", "RK4"))],
)
def case(request):
    text = walker(*CASES[request.param])
    return Case(Ours(text, B, requires_grad=True), standing(Engine(text)))


SETTERS = {
    "mass": "set_mass",
    "inertia": "set_inertia",
    "damping": "set_dofs_damping",
    "armature": "set_dofs_armature",
    "stiffness": "set_dofs_stiffness",
    "kp": "set_dofs_kp",
    "kv": "set_dofs_kv",
    "friction": "set_friction",
    "frictionloss": "set_dofs_frictionloss",
    "solref": "set_solref",
    "solimp": "set_solimp",
    "limit_solref": "set_dofs_limit_solref",
    "limit_solimp": "set_dofs_limit_solimp",
    "loss_solref": "set_dofs_loss_solref",
    "loss_solimp": "set_dofs_loss_solimp",
}
"""Parameters and their setters; one that has none is written where the solver's numbers are packed."""


def parameter(ours: Ours, name: str) -> torch.Tensor:
    """(*shape) of the model's own value."""
    numbers = ours.robot._offsets.numbers
    if name not in numbers:
        pytest.fail(f"robots must have the parameter {name}, got {', '.join(numbers)}")
    held = ours.robot._values.parameters(("rigid", "model"))[numbers[name]]
    return held.pack(F64, torch.device("cpu")).detach()[0].reshape(held.item).as_subclass(torch.Tensor)


def set_parameter(ours: Ours, name: str, value: torch.Tensor) -> None:
    """Set (B, *shape)."""
    setter = getattr(ours.robot, SETTERS[name], None)
    if setter is not None:
        setter(value)
    else:
        ours.robot._set(name, value, range(value.shape[1]), True, None)


@pytest.mark.parametrize("name", SETTERS)
def test_parameter(case, name):
    """By factors of all numbers of a parameter: what is zero stays so."""
    own = parameter(case.ours, name)

    def loss(x: torch.Tensor) -> torch.Tensor:
        case.start()
        set_parameter(case.ours, name, own * (1.0 + x))
        case.ours.step(STEPS)
        return case.loss()

    try:
        check(loss, torch.zeros_like(own), BAR, smooth=False, scale=1.0, what=name)
    finally:
        with torch.no_grad():
            set_parameter(case.ours, name, own.expand(B, *own.shape))


def test_gravity(case):
    own = torch.tensor([0.3, -0.2, -9.81], dtype=F64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        case.start()
        case.ours.scene.set_gravity(x)
        case.ours.step(STEPS)
        return case.loss()

    try:
        check(loss, own, BAR, smooth=False, what="gravity")
    finally:
        case.ours.scene.set_gravity([0.0, 0.0, -9.81])


def test_closed_loop(case):
    """A policy sees the state of every step and acts on the next."""
    model = case.ours.model
    seen = model.n_qs + model.n_dofs
    n = len(case.ours.robot.actuators)

    def loss(weights: torch.Tensor) -> torch.Tensor:
        case.start()
        total = torch.zeros(B, dtype=F64)
        for _ in range(STEPS):
            case.ours.drive(torch.tanh(torch.einsum("bij,bj->bi", weights, case.ours.state())))
            case.ours.step()
            total = total + case.loss()
        return total

    check(loss, 0.05 * noise(n, seen, seed=7), BAR, smooth=False, scale=1.0, what="closed loop")


def test_reset_of_some(case):
    """What is set anew after a step has a gradient by what it is set to, and none by what was before."""
    some = list(range(B // 2))
    at = torch.tensor(case.states.qvel[: B // 2], dtype=F64)

    def loss(x: torch.Tensor) -> torch.Tensor:
        case.start()
        case.ours.robot.set_dofs_velocity(x)
        case.ours.step()
        case.ours.robot.set_dofs_velocity(at + 0.1 * torch.sin(x[: B // 2]), envs_idx=some)
        case.ours.step(STEPS - 1)
        return case.loss()

    base = torch.tensor(case.states.qvel[0], dtype=F64)
    check(loss, base, BAR, smooth=False, scale=1.0, halves=True, what="reset of some")


def test_mass_keeps_the_weights_of_rows(case):
    """As in MuJoCo, where changing body_mass leaves invweight0: another mass, the same regularisation."""
    ours = case.ours
    engine = Engine(ours.text)
    body = engine.m.body("trunk").id
    case.start()
    mass = parameter(ours, "mass")
    with torch.no_grad():
        changed = mass.clone()
        link = ours.model.link_names.index("trunk")
        changed[link] *= 1.3
        set_parameter(ours, "mass", changed.expand(B, -1))
        ours.step()
        found = ours.state()[0].numpy()
        set_parameter(ours, "mass", mass.expand(B, -1))
    engine.m.body_mass[body] *= 1.3
    state = next(iter(case.states))
    wanted = np.concatenate(engine.step(*state))
    assert np.abs(found - wanted).max() < 1e-11 * max(1.0, np.abs(wanted).max())
