"""Gradients of steps by positions, velocities and controls against central differences of MuJoCo's own steps.

A difference within which a row appears, vanishes or changes to another piece of its cost, in any evaluation of any
step, tells nothing; such are counted and left out. Errors are relative to the largest entry of a state's gradient.
"""

import numpy as np
import pytest
import torch

from tests.mujoco_model.engine import Engine
from tests.mujoco_model.models import FAST, SLOW, engine_of
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary, worst
from tests.physics.finite import compare

pytestmark = pytest.mark.precision("64")
MEDIAN, MOST, SHARE = 1e-7, 1e-4, 0.99
MOST_CHANGED = 0.2
"""Share of differences within which rows change."""

DEFAULT = "heap of boxes"
MODELS = [pytest.param(name, marks=[] if name == DEFAULT else pytest.mark.slow) for name in (*FAST, *SLOW)]


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return request.param, engine_of(request.param)


@pytest.mark.parametrize("n", [1, 10])
def test_gradient(case, n):
    name, engine = case
    states = engine.states((16 if n == 1 else 6) if name in FAST else 100, seed=3)
    weight = np.random.default_rng(4).normal(size=engine.m.nq + engine.m.nv)
    ours = Ours(engine.text, len(states), requires_grad=True).gradient(states, weight, n)
    wanted, same = np.zeros_like(ours), np.ones(ours.shape, dtype=bool)
    for k, state in enumerate(states):
        jacobian, _, pieces = engine.jacobian(*state, n=n)
        wanted[k], same[k] = weight @ jacobian, ~pieces
    gaps = np.where(same, np.abs(ours - wanted), 0.0) / np.abs(wanted).max(1, keepdims=True)
    errors = gaps.max(1)
    parts = np.split(gaps, (engine.m.nv, 2 * engine.m.nv), axis=1)
    line = summary(f"{name}, {n} steps", errors)
    line += f"; {(~same).sum()} of {same.size} differences with a change of rows; most by qpos, qvel, ctrl: "
    line += " ".join(f"{part.max(initial=0.0):.1e}" for part in parts)
    print(line)
    told = f"{line}\n{worst(engine, states, errors, MEDIAN)}"
    assert (~same).mean() < MOST_CHANGED, told
    assert np.median(errors) < MEDIAN, told
    assert (errors < MOST).mean() >= min(SHARE, 1 - 1 / len(errors)), told


STUCK = """
<mujoco><option timestep="0.004"/><worldbody>
<geom type="plane" size="5 5 1" condim="3"/><body pos="0 0 1">
<joint name="h" axis="0 1 0" frictionloss="{loss}" stiffness="1.5" damping="0.05"/>
<geom type="capsule" fromto="0 0 0 0.2 0 -0.1" size="0.04" mass="0.4"/></body></worldbody>
<actuator><motor joint="h"/></actuator></mujoco>
"""


@pytest.mark.parametrize("loss", [2.0, 0.05], ids=["holds", "slides"])
def test_gradient_with_friction_loss(loss):
    """Held by its friction, a joint's own place does not enter it."""
    engine = Engine(STUCK.format(loss=loss))
    ours = Ours(engine.text, 2, requires_grad=True)
    qpos, qvel, ctrl = (torch.tensor(x, dtype=torch.float64).view(2, 1) for x in ((0.1, -0.4), (0.3, 0.2), (0.02, 0.1)))
    leaves = [x.clone().requires_grad_() for x in (qpos, qvel, ctrl)]
    losses = torch.full((2, 1), loss, dtype=torch.float64, requires_grad=True)

    def after(*_):
        ours.place(leaves[0], leaves[1])
        ours.robot.set_dofs_frictionloss(losses)
        for _step in range(3):
            ours.drive(leaves[2])
            ours.step()
        return (ours.state() * torch.tensor([0.37, 1.0])).sum()

    for found in compare(after, [*leaves, losses] if loss < 1.0 else leaves):
        found.check(1e-6)
