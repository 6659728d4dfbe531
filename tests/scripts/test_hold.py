"""A gripper and a hand that close on a cube and let go, for two seconds: where MuJoCo's cube goes, ours goes."""

import pytest

from scripts.benchmarks.hold import BAR, SHIPPED, beside


@pytest.mark.slow
@pytest.mark.precision("64")
@pytest.mark.parametrize("name", SHIPPED)
def test_a_held_cube_stays_within_a_millimetre_of_mujocos(name):
    found = beside(*SHIPPED[name], seconds=2.0)
    print(found)
    assert found["moved"] > 0.01 and found["own"] < 1e-6, "a scene that says something"
    assert found["off"] < BAR
