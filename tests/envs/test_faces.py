"""What the two faces of an environment take from their users."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from envs.faces import checked_action


def test_actions_of_any_strides_and_byte_order():
    actions = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    like, ignored = torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)
    for odd in (actions[::-1], actions.astype(">f8"), np.asfortranarray(actions)):
        assert torch.equal(checked_action(odd, like, ignored), torch.tensor(odd.astype(np.float32).copy()))


@pytest.mark.parametrize("make", [gym.make, lambda env_id: gym.make_vec(env_id, num_envs=2)])
def test_seeds_of_numpys_kinds_are_those_numbers(make):
    env = make("envs:genesis/Pendulum-v0").unwrapped
    first, _ = env.reset(seed=3)
    for kind in (np.int64, np.uint8):
        np.testing.assert_array_equal(env.reset(seed=kind(3))[0], first)


def test_a_saved_state_is_checked_before_anything_changes():
    env = gym.make_vec("envs:genesis/SoftPush-v0", num_envs=2)
    env.reset(seed=0)
    saved = env.unwrapped.state_dict()
    wrong = [None, {}, {**saved, "elapsed": torch.zeros(5)}, {**saved, "episode": {}}]
    wrong += [{name: value for name, value in saved.items() if name != gone} for gone in saved]
    for state in wrong:
        with pytest.raises(ValueError, match="The saved"):
            env.unwrapped.load_state_dict(state)
    env.unwrapped.load_state_dict(saved)
    env.close()
