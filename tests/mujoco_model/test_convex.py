"""Bodies whose contacts are searched for, beside MuJoCo: cylinders, ellipsoids and convex meshes with one another.

MuJoCo is asked to search on: by default it ends at 1e-6 m, which turns normals of curved surfaces by 1e-3. Differences
of what ends at a tolerance are noise, so gradients are compared with those of our own steps.
"""

import numpy as np
import pytest

from tests.mujoco_model.engine import Engine, States, relative
from tests.mujoco_model.heaps import heap
from tests.mujoco_model.ours import Ours
from tests.mujoco_model.reports import summary

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
CONVERGED = ' ccd_iterations="500" ccd_tolerance="1e-12"'
HEAPS = {
    "meshes, cylinders, ellipsoids": ("mesh", "cylinder", "ellipsoid", "mesh", "capsule"),
    "cylinders and boxes": ("cylinder", "box"),
    "meshes": ("mesh", "box"),
    "ellipsoids": ("ellipsoid", "cylinder", "capsule", "sphere"),
}
EPSILON = 1e-6
STEP, AT_MOST = 1e-5, 0.07
"""Bar on one step, and the share of states that may be above it: on edges and corners MuJoCo 4.0.0 lets cylinders touch
in lines that its own later version does not."""


@pytest.fixture(scope="module", params=HEAPS)
def engine(request):
    return Engine(heap(3, kinds=HEAPS[request.param], option=CONVERGED))


def around(engine: Engine, states: States) -> States:
    """Each state, moved forth and back along every degree of freedom, and by every velocity; and itself."""
    nv, rows = engine.m.nv, []
    for qpos, qvel, ctrl in states:
        for way in np.eye(2 * nv):
            for h in (EPSILON, -EPSILON):
                rows.append((engine.moved(qpos, h * way[:nv]), qvel + h * way[nv:], ctrl))
        rows.append((qpos, qvel, ctrl))
    return States(*(np.stack(column) for column in zip(*rows, strict=True)))


def test_steps_and_gradients(engine):
    n, nv = 16, engine.m.nv
    states = engine.states(n, seed=3)
    tried = around(engine, states)
    after = Ours(engine.text, len(tried)).trajectory(tried, tried.ctrl[None])[1].reshape(n, 4 * nv + 1, -1)
    errors = relative(after[:, -1], np.stack([np.concatenate(engine.step(*state)) for state in states]))
    print(summary("one step", errors))
    assert np.median(errors) < 1e-8
    assert np.mean(errors > STEP) < AT_MOST

    weight = np.random.default_rng(4).normal(size=after.shape[-1])
    ours = Ours(engine.text, n, requires_grad=True).gradient(states, weight, 1)[:, : 2 * nv]
    here, (there, back) = after[:, -1] @ weight, (after[:, :-1] @ weight).reshape(n, 2 * nv, 2).transpose(2, 0, 1)
    wanted = (there - back) / (2 * EPSILON)
    largest = np.abs(wanted).max(1, keepdims=True)
    smooth = np.abs(there + back - 2 * here[:, None]) / EPSILON < 1e-3 * largest  # no row changes within it
    gaps = np.where(smooth, np.abs(ours - wanted), 0.0) / largest
    print(summary("gradient", gaps.max(1)), (~smooth).sum(), "of", smooth.size, "left out")
    assert smooth.mean() > 0.9
    assert np.median(gaps.max(1)) < 1e-7
    assert np.quantile(gaps[smooth], 0.99) < 1e-4
