"""What the two interfaces of an environment take from their users."""

import copy
import pickle

import gymnasium as gym
import numpy as np
import pytest
import torch

import genesis as gs
from envs.interface import checked_action, checked_reset_mask
from envs.options import DEFAULTS, BatchOptions, TaskOptions
from tests.envs import point_mass

both_interfaces = pytest.mark.parametrize("make", [gym.make, lambda env_id: gym.make_vec(env_id, num_envs=2)])


def test_actions_of_any_strides_and_byte_order():
    actions = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    like, ignored = torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)
    for odd in (actions[::-1], actions.astype(">f8"), np.asfortranarray(actions)):
        assert torch.equal(checked_action(odd, like, ignored), torch.tensor(odd.astype(np.float32).copy()))


@both_interfaces
def test_seeds_of_numpys_kinds_are_those_numbers(make):
    env = make("envs:genesis/Pendulum-v0")
    first, _ = env.reset(seed=3)
    for kind in (np.int64, np.uint8):
        np.testing.assert_array_equal(env.reset(seed=kind(3))[0], first)


@both_interfaces
@pytest.mark.parametrize("act", [copy.copy, copy.deepcopy, pickle.dumps])
def test_environments_are_neither_copied_nor_pickled(make, act):
    env = make("envs:genesis/Pendulum-v0").unwrapped
    for _ in range(2):
        with pytest.raises(gs.GenesisException, match="must not be copied or pickled.*Make another one"):
            act(env)
        env.reset(seed=0)


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


def test_options_stand_once():
    """Names, types and defaults are the same list, and every environment takes them by Gymnasium's door."""
    assert set(DEFAULTS) == set(BatchOptions.__optional_keys__) > set(TaskOptions.__optional_keys__)
    batch = point_mass.make(2, 5, **DEFAULTS)
    assert (batch.output, batch.differentiable, batch.action_delay) == ("numpy", False, 0)


def test_unknown_options_are_refused_by_name_with_the_valid_ones():
    with pytest.raises(TypeError) as caught:
        point_mass.make(2, 5, action_dealy=3, output="torch")
    assert str(caught.value) == (
        "PointMass must get known options only, got action_dealy. Valid ones: action_delay, action_noise, "
        "autoreset_mode, differentiable, first_env_index, max_episode_steps, num_envs, observation_noise, output, "
        "parameter_randomisation, render_mode, render_size, staggered."
    )
    with pytest.raises(gs.GenesisException, match="AntEnv must get known options only, got output.*substeps"):
        gym.make("envs:genesis/Ant-v0", output="torch")
    with pytest.raises(gs.GenesisException, match="Ant must get known options only, got sub_steps.*step_outputs"):
        gym.make_vec("envs:genesis/Ant-v0", num_envs=2, sub_steps=3)


def test_masks_of_any_strides_choose_rows_and_others_are_refused():
    mask = np.array([True, False, False])
    assert checked_reset_mask({"reset_mask": mask[::-1]}, 3, "numpy").tolist() == [False, False, True]
    for wrong in (mask.astype(object), mask.astype(">i4"), mask[:2], mask & False, mask[:, None], np.array("TFF")):
        with pytest.raises(gs.GenesisException, match=r"must be bool of shape \(3,\) with at least one True"):
            checked_reset_mask({"reset_mask": wrong}, 3, "numpy")
