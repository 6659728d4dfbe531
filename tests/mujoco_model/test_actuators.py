"""Actuators with a law of their own against MuJoCo's own steps, and their gradients against differences of ours."""

import numpy as np
import pytest
import torch

from tests.mujoco_model.actuated import Pair, States, arm
from tests.mujoco_model.engine import relative
from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_worlds import B, check, rows

pytestmark = pytest.mark.precision("64")
INTEGRATORS = ["implicitfast", *(pytest.param(name, marks=pytest.mark.slow) for name in ("Euler", "RK4"))]
SEEDS = range(8)
STEP, LONG = 1e-11, 1e-9
BAR = 1e-6
STEPS = 4


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_one_step_is_mujocos(integrator):
    errors = []
    for seed in SEEDS:
        pair = Pair(arm(seed, integrator), 16)
        states, controls = pair.states(seed), pair.controls(seed, 1)
        errors.append(relative(pair.ours(states, controls), pair.theirs(states, controls)))
    print(integrator, np.max(errors))
    assert np.max(errors) < STEP


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_a_hundred_steps_are_mujocos(integrator):
    errors = []
    for seed in SEEDS:
        pair = Pair(arm(seed, integrator), 8)
        states, controls = pair.states(seed + 50), pair.controls(seed, 100)
        errors.append(relative(pair.ours(states, controls), pair.theirs(states, controls)))
    print(integrator, np.median(errors), np.max(errors))
    assert np.max(errors) < LONG


def test_force_on_joints_is_mujocos():
    """At the present state, with ranges of controls, forces and joints."""
    import mujoco

    pair = Pair(arm(3, "implicitfast"), 8)
    states, controls = pair.states(0), pair.controls(0, 1)[0]
    pair.place(states.qpos, states.qvel, states.act)
    pair.robot.control_actuators(controls)
    found = pair.robot.get_dofs_control_force().detach().numpy()
    for b in range(8):
        pair.d.qpos[:], pair.d.qvel[:], pair.d.act[:] = states.qpos[b], states.qvel[b], states.act[b]
        pair.d.ctrl[:] = controls[b]
        mujoco.mj_forward(pair.m, pair.d)
        assert np.allclose(found[b], pair.d.qfrc_actuator, rtol=0.0, atol=1e-13)


class Case:
    """One state in all environments, at which two controls, a force and a joint's force are beyond their ranges."""

    def __init__(self, integrator: str) -> None:
        self.pair = Pair(arm(28, integrator), B, requires_grad=True)
        one = self.pair.states(1)
        self.start = States(*(0.7 * torch.tensor(x[:1]).expand(B, -1) for x in (one.qpos, one.qvel, one.act)))
        self.ctrl = 1.2 * torch.tensor(self.pair.controls(2, 1)[0, :1]).expand(B, -1)

    def run(self, qpos=None, qvel=None, act=None, ctrl=None) -> torch.Tensor:
        """(B,) a loss after some steps."""
        start, robot = self.start, self.pair.robot
        given = ((qpos, start.qpos), (qvel, start.qvel), (act, start.act))
        self.pair.place(*(own if x is None else x for x, own in given))
        robot.control_actuators(self.ctrl if ctrl is None else ctrl)
        for _ in range(STEPS):
            self.pair.scene.step()
        return rows(self.pair.state(), 5)


@pytest.fixture(scope="module", params=INTEGRATORS)
def case(request):
    return Case(request.param)


@pytest.mark.parametrize("name", ["qpos", "qvel", "act", "ctrl"])
def test_gradient_by_state_and_control(case, name):
    base = (case.ctrl if name == "ctrl" else getattr(case.start, name))[0]
    check(lambda x: case.run(**{name: x}), base, BAR, smooth=False, scale=1.0, what=name)


@pytest.mark.parametrize("name", ["gain", "bias"])
def test_gradient_by_gains_and_biases(case, name):
    """By factors of all their numbers."""
    robot = case.pair.robot
    n = len(robot.model.actuator_table.others)
    own = robot._get(f"actuator_{name}", range(n), n, None, (3,)).detach().as_subclass(torch.Tensor)[0].clone()
    setter = getattr(robot, f"set_actuators_{name}")

    def loss(x: torch.Tensor) -> torch.Tensor:
        setter(own * (1.0 + x))
        return case.run()

    try:
        check(loss, torch.zeros_like(own), BAR, smooth=False, scale=1.0, what=name)
    finally:
        with torch.no_grad():
            setter(own.expand(B, *own.shape))


def test_gradient_through_a_policy(case):
    """That sees positions, velocities and activations of every step, and acts on the next."""
    pair = case.pair
    seen = pair.m.nq + pair.m.nv + pair.m.na

    def loss(weights: torch.Tensor) -> torch.Tensor:
        pair.place(case.start.qpos, case.start.qvel, case.start.act)
        total = torch.zeros(B, dtype=F64)
        for _ in range(STEPS):
            pair.robot.control_actuators(torch.tanh(torch.einsum("bij,bj->bi", weights, pair.state())))
            pair.scene.step()
            total = total + rows(pair.state(), 5)
        return total

    check(loss, 0.1 * noise(pair.m.nu, seen, seed=7), BAR, smooth=False, scale=1.0, what="closed loop")


def test_gradient_through_a_reset_of_some(case):
    """Activations that are set anew have a gradient by what they are set to, and none by what was before."""
    pair, some = case.pair, list(range(B // 2))

    def loss(x: torch.Tensor) -> torch.Tensor:
        pair.place(case.start.qpos, case.start.qvel, case.start.act)
        pair.robot.set_actuators_activation(x)
        pair.robot.control_actuators(case.ctrl)
        pair.scene.step()
        pair.robot.set_actuators_activation(0.2 * torch.sin(x[: B // 2]), envs_idx=some)
        pair.scene.step()
        return rows(pair.state(), 5)

    check(loss, case.start.act[0], BAR, smooth=False, scale=1.0, halves=True, what="reset of some")
