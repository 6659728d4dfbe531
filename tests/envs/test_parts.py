"""A task's parts of its observation are checked when an environment is made."""

import pytest

import genesis as gs
from tests.envs.point_cloud import PointCloud, make


def test_parts_leave_gymnasium_a_flat_box():
    env = make(3)
    observation = env.reset(seed=0)[0]
    assert env.observation_space.shape == observation.shape == (3, 19)
    cloud, present = observation[:, 4:14].reshape(3, 5, 2), observation[:, 14:] > 0.5
    assert bool((cloud[~present] == 7.0).all()) and bool((cloud[present].abs() < 1.0).all()) and not present.all()


@pytest.mark.parametrize(
    "parts, message",
    [
        ({"state": (4,), "cloud": (5, 2)}, "add up to the observation's 19 numbers, got 14"),
        ({"state": (4,), "cloud": (5, 3, 1)}, r"\['cloud'\] must be one or two whole numbers"),
        ({"state": (19,), "cloud": (0, 2)}, r"\['cloud'\] must be one or two whole numbers"),
        ({"state": (19.0,)}, r"\['state'\] must be one or two whole numbers"),
        ({"state": (5,), "cloud": (5, 2), "cloud_present": (4,)}, "a flag for each of 5 points"),
    ],
)
def test_parts_that_do_not_fit_are_refused(parts, message, monkeypatch):
    monkeypatch.setattr(PointCloud, "observation_parts", parts)
    with pytest.raises(gs.GenesisException, match=message):
        make(1)
