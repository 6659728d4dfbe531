"""Accelerations and states of MuJoCo's contact model against MuJoCo's own, from states in contact.

Errors are relative to a state's largest number (or 1). Rows so close to where they begin to be there that both programs
may differ are found and left out, and so are states from which MuJoCo's own step jumps.
"""

import numpy as np
import pytest

from tests.conftest import PRECISION
from tests.mujoco_model.engine import Engine, States, relative, undamped
from tests.mujoco_model.models import FAST, SLOW, engine_of
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary, worst

ACCELERATION, STEP, SINGLE = 1e-10, 1e-11, 1e-4
STEPS = 100
LONG = {"half_cheetah": 1e-6}
"""Bar on the median after `STEPS` steps that nothing synchronises."""
LONG_DEFAULT = 1e-9
MOST_LEFT_OUT = 0.1

DEFAULT = FAST if PRECISION == "64" else ("heap of boxes",)
"""In single precision those whose kernels BlockPush has, too."""
MODELS = [pytest.param(name, marks=[] if name in DEFAULT else pytest.mark.slow) for name in (*FAST, *SLOW)]


class Case:
    """A model in both programs, and states."""

    def __init__(self, name: str) -> None:
        self.name, self.engine = name, engine_of(name)
        self.states: States = self.engine.states(24 if name in FAST else 100, seed=1)
        self.ours = Ours(self.engine.text, len(self.states))


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return Case(request.param)


def check(what: str, engine: Engine, states: States, errors: np.ndarray, bar: float) -> None:
    """All states but those at the beginning of a row must be below the bar."""
    odd = [not e < bar and state for e, state in zip(errors, states, strict=True)]
    unclear = np.array([bool(s) and (engine.close_to_activation(*s) or engine.jumps(*s)) for s in odd])
    line = summary(what, errors[~unclear], int(unclear.sum()))
    print(line)
    assert unclear.mean() <= MOST_LEFT_OUT, line
    assert np.all(errors[~unclear] < bar), f"{line}\n{worst(engine, states.chosen(~unclear), errors[~unclear], bar)}"


@pytest.mark.slow
@pytest.mark.precision("64")
def test_acceleration(case):
    """Without damping a step of Euler's gives the acceleration itself."""
    engine = Engine(undamped(case.engine.text))
    ours = Ours(engine.text, len(case.states))
    before, after = ours.trajectory(case.states, case.states.ctrl[None])[:, :, engine.m.nq :]
    wanted = np.stack([engine.qacc(*state) for state in case.states])
    errors = relative((after - before) / engine.timestep, wanted)
    check(f"{case.name}, acceleration", engine, case.states, errors, ACCELERATION)


def test_one_step(case):
    after = case.ours.trajectory(case.states, case.states.ctrl[None])[1]
    wanted = np.stack([np.concatenate(case.engine.step(*state)) for state in case.states])
    errors = relative(after, wanted)
    if PRECISION == "64":
        check(f"{case.name}, one step", case.engine, case.states, errors, STEP)
        return
    line = summary(f"{case.name}, one step", errors)
    print(line)
    assert np.quantile(errors, 0.95) < SINGLE, f"{line}\n{worst(case.engine, case.states, errors, SINGLE)}"


@pytest.mark.precision("64")
def test_a_hundred_steps(case):
    """Nothing is set anew between the steps; controls change in every one."""
    controls = case.engine.controls(np.random.default_rng(2), STEPS, len(case.states))
    after = case.ours.trajectory(case.states, controls)[-1]
    wanted = np.stack([
        np.concatenate(case.engine.step(qpos, qvel, controls[:, k])) for k, (qpos, qvel, _) in enumerate(case.states)
    ])  # fmt: skip
    errors = relative(after, wanted)
    line = summary(f"{case.name}, {STEPS} steps", errors)
    print(line)
    bar = LONG.get(case.name, LONG_DEFAULT)
    assert np.median(errors) < bar, f"{line}\n{worst(case.engine, case.states, errors, bar)}"
