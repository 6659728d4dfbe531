"""skrl needs no adapter: its Gymnasium wrapper takes the batch as it is, and learns."""

import gymnasium as gym
import pytest
import torch
from torch import nn

from tests.envs.adapters.learned import ENV_ID, TRAINED, UNTRAINED, mean_return
from tests.envs.every_task import one_of_each_class

pytestmark = pytest.mark.adapters


def wrapped(env_id=ENV_ID, num_envs=3, **options):
    from skrl.envs.wrappers.torch import wrap_env

    env = gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="SameStep", **options)
    return wrap_env(env, wrapper="gymnasium", verbose=False)


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_its_wrapper(env_id):
    env = wrapped(env_id, max_episode_steps=2)
    observation, _ = env.reset()
    assert observation.shape == (3, env.observation_space.shape[0])
    for step in range(2):
        observation, reward, terminated, truncated, _ = env.step(torch.zeros(3, env.action_space.shape[0]))
        assert observation.dtype == reward.dtype == torch.float32 and reward.shape == (3, 1)
        assert not terminated.any() and truncated.all() == (step == 1)
    env.close()


def mlp():
    return nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1))


@pytest.mark.precision("32")
def test_ppo_learns():
    from skrl.agents.torch.ppo import PPO, PPO_CFG
    from skrl.memories.torch import RandomMemory
    from skrl.models.torch import DeterministicMixin, GaussianMixin, Model
    from skrl.trainers.torch import SequentialTrainer

    class Policy(GaussianMixin, Model):
        def __init__(self, env):
            Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space)
            GaussianMixin.__init__(self)
            self.net, self.log_std = mlp(), nn.Parameter(torch.zeros(1))

        def compute(self, inputs, role):
            return self.net(inputs["observations"]), {"log_std": self.log_std}

    class Value(DeterministicMixin, Model):
        def __init__(self, env):
            Model.__init__(self, observation_space=env.observation_space, action_space=env.action_space)
            DeterministicMixin.__init__(self)
            self.net = mlp()

        def compute(self, inputs, role):
            return self.net(inputs["observations"]), {}

    env = wrapped(num_envs=16)
    models = {"policy": Policy(env), "value": Value(env)}
    config = PPO_CFG(
        rollouts=200,
        learning_epochs=10,
        mini_batches=8,
        discount_factor=0.9,
        learning_rate=1e-3,
        value_loss_scale=0.5,
        time_limit_bootstrap=True,
    )
    config.experiment.write_interval = config.experiment.checkpoint_interval = 0
    spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
    agent = PPO(models=models, memory=RandomMemory(memory_size=200, num_envs=16), cfg=config, **spaces)

    @torch.no_grad()
    def act(observation):
        return models["policy"].net(torch.from_numpy(observation)).numpy()

    assert mean_return(act) < UNTRAINED
    settings = {"timesteps": 12_000, "headless": True, "disable_progressbar": True, "close_environment_at_exit": False}
    SequentialTrainer(env=env, agents=agent, cfg=settings).train()
    assert mean_return(act) > TRAINED
    env.close()
