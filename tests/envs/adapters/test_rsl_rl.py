"""rsl_rl: its contract of a `VecEnv`, by hand, and its own runner, which learns."""

import gymnasium as gym
import pytest
import torch

import genesis as gs
from tests.envs.adapters.learned import ENV_ID, TRAINED, UNTRAINED, mean_return
from tests.envs.every_task import one_of_each_class

pytestmark = pytest.mark.adapters


def adapted(env_id=ENV_ID, num_envs=3, **options):
    from envs.adapters.rsl_rl import RslRlVecEnv

    return RslRlVecEnv(gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", output="torch", **options))


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_contract(env_id):
    from rsl_rl.env import VecEnv
    from tensordict import TensorDict

    env = adapted(env_id, max_episode_steps=2)
    reference = gym.make_vec(env_id, num_envs=3, autoreset_mode="SameStep", output="torch", max_episode_steps=2)
    assert isinstance(env, VecEnv)
    assert (env.num_envs, env.max_episode_length, env.cfg) == (3, 2, {"env": env_id, "num_envs": 3})
    env.reset(seed=5), reference.reset(seed=5)
    assert env.episode_length_buf.tolist() == [0, 0, 0]
    actions = torch.zeros(3, env.num_actions)
    for step in range(2):
        with torch.inference_mode():  # as its runner does
            observation, reward, done, extras = env.step(actions)
        expected = reference.step(actions)
        assert isinstance(observation, TensorDict) and observation.batch_size == (3,)
        assert observation["policy"].dtype == reward.dtype == torch.float32 and done.dtype == torch.bool
        assert torch.equal(observation["policy"], expected[0].as_subclass(torch.Tensor).float())
        assert torch.equal(reward, expected[1].as_subclass(torch.Tensor).float())
        assert done.all() == extras["time_outs"].all() == (step == 1)
        assert env.get_observations() is observation
    assert all(value.numel() == 1 and torch.isfinite(value) for value in extras["log"].values())
    assert env.unwrapped.state_dict() and env.episode_length_buf.tolist() == [0, 0, 0]
    env.close()


def test_a_termination_is_no_time_out():
    env = adapted("genesis/Hopper-v0", num_envs=4)
    env.reset(seed=0)
    for _ in range(200):
        _, _, done, extras = env.step(torch.ones(4, 3))
        if done.any():
            break
    assert done.any() and not extras["time_outs"].any()


def test_episodes_end_where_their_length_is_set():
    env = adapted(max_episode_steps=10)
    env.episode_length_buf = torch.tensor([0, 9, 4])
    assert env.step(torch.zeros(3, 1))[2].tolist() == [False, True, False]
    assert env.episode_length_buf.tolist() == [1, 0, 5]


def test_misuse_is_told():
    from envs.adapters.rsl_rl import RslRlVecEnv

    with pytest.raises(gs.GenesisException, match='output="torch", got "numpy"'):
        RslRlVecEnv(gym.make_vec(ENV_ID, num_envs=1, autoreset_mode="SameStep"))
    options = {"autoreset_mode": "SameStep", "output": "torch"}
    with pytest.raises(gs.GenesisException, match="differentiable=False"):
        RslRlVecEnv(gym.make_vec(ENV_ID, num_envs=1, differentiable=True, **options))
    with pytest.raises(gs.GenesisException, match="max_episode_steps"):
        RslRlVecEnv(type(gym.make_vec(ENV_ID, num_envs=1))(num_envs=1, **options))


@pytest.mark.precision("32")
def test_its_runner_learns(tmp_path):
    from rsl_rl.runners import OnPolicyRunner

    network = {"class_name": "MLPModel", "hidden_dims": [64, 64], "activation": "tanh"}
    config = {
        "num_steps_per_env": 50,
        "save_interval": 1000,
        "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
        "actor": {**network, "distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 1.0}},
        "critic": network,
        "algorithm": {
            "class_name": "PPO",
            "learning_rate": 1e-3,
            "schedule": "adaptive",
            "desired_kl": 0.02,
            "gamma": 0.9,
            "lam": 0.95,
            "num_learning_epochs": 8,
            "num_mini_batches": 8,
            "entropy_coef": 0.0,
        },
    }
    env = adapted(num_envs=64)
    env.reset(seed=0)
    runner = OnPolicyRunner(env, config, log_dir=str(tmp_path))

    def act(observation):
        from tensordict import TensorDict

        policy = runner.get_inference_policy()
        with torch.inference_mode():
            batch = TensorDict({"policy": torch.from_numpy(observation)}, batch_size=[len(observation)])
            return policy(batch).numpy()

    assert mean_return(act) < UNTRAINED
    runner.learn(75, init_at_random_ep_len=True)
    assert mean_return(act) > TRAINED
    assert list(tmp_path.glob("model_*.pt")) and list(tmp_path.glob("events*"))
