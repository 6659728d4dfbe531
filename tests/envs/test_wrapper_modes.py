"""Which of Gymnasium's vector wrappers take which autoreset modes: the table of docs/gymnasium.md."""

import re

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.wrappers import vector

from tests.pages import text

WRAPPERS = {
    "ClipAction": vector.ClipAction,
    "RescaleAction": lambda env: vector.RescaleAction(env, np.float32(-2.0), np.float32(2.0)),
    "TransformAction": lambda env: vector.TransformAction(env, lambda action: 0.5 * action),
    "ClipReward": lambda env: vector.ClipReward(env, -1.0, 1.0),
    "TransformReward": lambda env: vector.TransformReward(env, lambda reward: 0.5 * reward),
    "NormalizeReward": vector.NormalizeReward,
    "RecordEpisodeStatistics": vector.RecordEpisodeStatistics,
    "DictInfoToList": vector.DictInfoToList,
    "VectorizeTransformObservation": lambda env: vector.VectorizeTransformObservation(
        env, gym.wrappers.DtypeObservation, dtype=np.float64
    ),
    "FlattenObservation": vector.FlattenObservation,
    "DtypeObservation": lambda env: vector.DtypeObservation(env, np.float64),
    "ReshapeObservation": lambda env: vector.ReshapeObservation(env, (1, 3)),
    "TransformObservation": lambda env: vector.TransformObservation(env, lambda observation: 0.5 * observation),
    "NormalizeObservation": vector.NormalizeObservation,
}
MODES = ("NextStep", "SameStep", "Disabled")


def documented():
    """Names of wrappers to which modes they take."""
    rows = re.findall(r"^\| (.+?) \| (yes|no) \| (yes|no) \| (yes|no) \|$", text("docs/gymnasium.md"), re.MULTILINE)
    found = {}
    for names, *answers in rows:
        named = re.findall(r"`(\w+)`", names)
        for whole, kinds in (("of actions and rewards", ("Action", "Reward")), ("of observations", ("Observation",))):
            named += [name for name in WRAPPERS if whole in names and name.endswith(kinds)]
        found |= {name: dict(zip(MODES, answers, strict=True)) for name in named}  # a name of its own comes last
    return found


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", WRAPPERS)
def test_wrappers_take_the_modes_that_are_documented(name, mode):
    env = gym.make_vec("envs:genesis/Pendulum-v0", num_envs=2, max_episode_steps=2, autoreset_mode=mode)

    def use():
        wrapped = WRAPPERS[name](env)
        wrapped.reset(seed=0)
        for _ in range(3):
            observation, reward, terminated, truncated, _ = wrapped.step(wrapped.action_space.sample())
            assert np.isfinite(observation).all() and np.isfinite(reward).all()
            if mode == "Disabled" and truncated.any():
                wrapped.reset(options={"reset_mask": terminated | truncated})

    if documented()[name][mode] == "yes":
        use()
    else:
        with pytest.raises(ValueError, match="autoreset_mode"):
            use()


def test_every_documented_wrapper_is_tried():
    assert documented().keys() == WRAPPERS.keys()
