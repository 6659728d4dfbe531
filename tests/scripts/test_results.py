"""The table of results: statistics by hand, and what it says of runs and their re-checks."""

import math

import numpy as np
import pytest

from scripts import results

HOPPER, PENDULUM = "genesis/Hopper-v0", "genesis/Pendulum-v0"


def record(agent, seed=0, final=100.0, env=HOPPER, control=None):
    """Of a run, re-checked if there is a control."""
    row = {"limit_excess": 0.1, "penetration_share": 0.02, "pulling_share": 0.0}
    rows = [
        {"world": world, "change": change, **row} for world, change in (("1x", 0.0), ("2x", 0.01), ("MuJoCo", -0.5))
    ]
    about = {"env": env, "agent": agent, "seed": seed, "contact": None, "commit": "c", "command": "python"}
    ran = {"parallel": 1, "steps": 10, "training_seconds": 1.0, "compile_seconds": 0.0, "time_to": {}}
    curve = {"steps": [10], "seconds": [1.0], "return": [final]}
    recheck = {} if control is None else {"recheck": {"rows": rows, "control": control}}
    return {**about, **ran, "curve": curve, "final": {"return_mean": final}, **recheck}


def controlled(deviation):
    return {"deviation": deviation, "bar": 0.2, "passed": deviation < 0.2}


def lines(*records):
    """Of the table: name of the row to its cells."""
    text = results.markdown(list(records), (0, 1))
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    return {row[0]: row[1:] for row in cells}


def test_difference_by_hand():
    """Means of two resampled seeds are 0, 5 and 10, of probabilities 1/4, 1/2 and 1/4."""
    two, none = np.array([0.0, 10.0]), np.array([1.0, 1.0])
    assert results.difference_interval(two, none) == (-1.0, 9.0)
    assert results.difference_interval(none, two) == (-9.0, 1.0)
    # both at once: -10 and 10 have 1/16 each, more than the 2.5 % that are cut off
    assert results.difference_interval(two, two) == (-10.0, 10.0)
    assert results.difference_interval(np.full(5, 3.0), np.full(4, 1.0)) == (2.0, 2.0)


def test_difference_of_many_seeds_is_the_classical_one():
    """The interquartile mean of a normal has 1.19 times the variance of its mean; variances of two samples add up."""
    generator = np.random.default_rng(0)
    one, other = generator.normal(5.0, 1.0, 400), generator.normal(3.0, 2.0, 100)
    low, high = results.difference_interval(one, other)
    middle = results.interquartile_mean(one) - results.interquartile_mean(other)
    assert (low + high) / 2 == pytest.approx(middle, abs=0.05)
    width = 2 * 1.96 * math.sqrt(1.19 * (1.0 / 400 + 4.0 / 100))
    assert high - low == pytest.approx(width, rel=0.15)
    assert results.difference_interval(one, other) == (low, high)  # the same each time


def test_difference_in_words():
    assert results.difference([120.0], [100.0]) == "+20.0"
    assert results.difference([120.0, 140.0], [200.0]) == results.difference([130.0], [200.0, 200.0]) == "-70.0"
    assert results.difference([3000.0] * 3, [1000.0] * 2) == "+2,000 [+2,000, +2,000]"
    assert results.difference([], [1.0]) == results.difference([1.0], []) == results.NONE


def test_final_returns_are_compared_with_ahacs():
    records = [record("shac", seed, 900.0) for seed in (0, 1)] + [record("ahac", seed, 600.0) for seed in (0, 1)]
    table = lines(*records, record("ppo", 0, 200.0))
    assert table[""] == ["ahac", "ppo", "shac"]
    assert table["final, minus ahac's"] == ["–", "-400", "+300 [+300, +300]"]
    assert "final, minus ahac's" not in lines(record("shac"), record("ppo"))
    assert "final, minus ahac's" not in lines(record("ahac"))


def test_where_mujocos_control_failed_its_row_is_flagged():
    table = lines(record("ahac", control=controlled(0.208)), record("shac", control=controlled(0.171)))
    assert table["change in MuJoCo"] == ["(-50.0 %)", "-50.0 %"]
    assert table["MuJoCo's control"] == ["20.8 % (failed)", "17.1 %"]
    assert table["change at 2x substeps"] == ["+1.0 %", "+1.0 %"]
    both = [record("ahac", 0, control=controlled(0.1)), record("ahac", 1, control=controlled(0.3))]
    assert lines(*both)["change in MuJoCo"] == ["-50.0 %, (-50.0 %)"]


def test_what_was_not_rechecked_is_named():
    table = lines(record("sac"), record("shac", control=controlled(0.1)))
    assert table["re-checked seeds"] == ["not re-checked", "0"] and table["change in MuJoCo"] == ["–", "-50.0 %"]
    alone = lines(record("sac"))
    assert alone["re-checked seeds"] == ["not re-checked"] and "change in MuJoCo" not in alone
    assert "re-checked seeds" not in lines(record("shac", env=PENDULUM))  # it walks nowhere


def test_scores_in_gymnasium_stand_beside_what_they_are_of():
    there = {"in_gymnasium": {"return_mean": 95.0, "kept": 0.95}}
    records = [record("shac", env="genesis-mujoco/Ant-v5") | there, record("ppo", env="genesis-mujoco/Ant-v5")]
    table = lines(*records)
    assert table["in Gymnasium"] == ["–", "95.0"] and table["kept there, %"] == ["–", "95.0"]
    assert "re-checked seeds" not in table and "in Gymnasium" not in lines(record("shac"))
