"""TorchRL: its own checker, gradients through its rollouts, and a policy that learns."""

import gymnasium as gym
import pytest
import torch
from torch import nn

import genesis as gs
from tests.envs.adapters.learned import ENV_ID, TRAINED, UNTRAINED, mean_return
from tests.envs.every_task import one_of_each_class

pytestmark = pytest.mark.adapters


def adapted(env_id=ENV_ID, num_envs=3, **options):
    from envs.adapters.torchrl import TorchRLEnv

    return TorchRLEnv(gym.make_vec(env_id, num_envs=num_envs, autoreset_mode="Disabled", output="torch", **options))


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_its_checker(env_id):
    from torchrl.envs.utils import check_env_specs

    check_env_specs(adapted(env_id, max_episode_steps=2), break_when_any_done="both", seed=0)
    check_env_specs(adapted(env_id, differentiable=True), seed=0)


@pytest.mark.parametrize("env_id", one_of_each_class())
def test_a_rollout_is_that_of_the_vector_environment(env_id):
    env = adapted(env_id, max_episode_steps=2)
    reference = gym.make_vec(env_id, num_envs=3, autoreset_mode="SameStep", output="torch", max_episode_steps=2)
    env.set_seed(5)
    rollout = env.rollout(5, break_when_any_done=False)
    observation = reference.reset(seed=5)[0]
    for step in range(5):
        assert torch.equal(rollout["observation"][:, step], observation.as_subclass(torch.Tensor))
        observation, reward, terminated, truncated, info = reference.step(rollout["action"][:, step])
        after = rollout["next"][:, step]
        assert torch.equal(after["observation"], info["final_obs"].as_subclass(torch.Tensor))
        assert torch.equal(after["reward"][:, 0], reward.as_subclass(torch.Tensor))
        assert after["truncated"].all() == truncated.all() == after["done"].all() == (step % 2 == 1)
        assert not after["terminated"].any() and not terminated.any()
    env.close()
    assert env.is_closed


def test_masked_resets_leave_the_others_alone():
    from tensordict import TensorDict

    env = adapted()
    before = env.rollout(2, break_when_any_done=False)["next", "observation"][:, -1]
    mask = torch.tensor([[False], [True], [False]])
    after = env.reset(TensorDict({"_reset": mask, "observation": before.clone()}, batch_size=[3]))["observation"]
    assert torch.equal(after[[0, 2]], before[[0, 2]]) and not torch.equal(after[1], before[1])


def test_gradients_of_a_rollout_are_those_of_the_vector_environment():
    from tensordict.nn import TensorDictModule

    policy = nn.Linear(11, 3, dtype=gs.tc_float)
    env = adapted("genesis/Hopper-v0", differentiable=True)
    env.set_seed(5)
    module = TensorDictModule(policy, in_keys=["observation"], out_keys=["action"])
    rollout = env.rollout(10, module, break_when_any_done=False)
    rollout["next", "reward"].sum().backward()
    gradient = policy.weight.grad.clone()

    options = {"output": "torch", "differentiable": True, "autoreset_mode": "Disabled"}
    reference = gym.make_vec("genesis/Hopper-v0", num_envs=3, **options)
    observation, total = reference.reset(seed=5)[0], 0.0
    for _ in range(10):
        observation, reward, *_ = reference.step(policy(observation))
        total = total + reward.sum()
    policy.zero_grad()
    total.backward()
    assert gradient.norm() > 0
    torch.testing.assert_close(gradient, policy.weight.grad)


def test_windows_of_a_long_rollout():
    """Their gradients are those of the vector environment, which is detached between them."""
    from tensordict.nn import TensorDictModule
    from torchrl.envs.utils import step_mdp

    policy = nn.Linear(11, 3, dtype=gs.tc_float)
    with torch.no_grad():
        policy.weight.mul_(0.1)  # actions beyond their bounds are clipped, and then have no gradient
    module = TensorDictModule(policy, in_keys=["observation"], out_keys=["action"])
    env = adapted("genesis/Hopper-v0", differentiable=True)
    env.set_seed(5)
    start = env.reset()
    gradients = []
    for _ in range(3):
        rollout = env.rollout(4, module, auto_reset=False, tensordict=start, break_when_any_done=False)
        policy.zero_grad()
        rollout["next", "reward"].sum().backward()
        gradients.append(policy.weight.grad.clone())
        env.env.detach_()
        start = step_mdp(rollout[:, -1]).detach()

    options = {"output": "torch", "differentiable": True, "autoreset_mode": "Disabled"}
    reference = gym.make_vec("genesis/Hopper-v0", num_envs=3, **options)
    observation = reference.reset(seed=5)[0]
    for gradient in gradients:
        total = 0.0
        for _ in range(4):
            observation, reward, *_ = reference.step(policy(observation))
            total = total + reward.sum()
        policy.zero_grad()
        total.backward()
        assert gradient.norm() > 0
        torch.testing.assert_close(gradient, policy.weight.grad)
        reference.unwrapped.detach_()
        observation = observation.detach()


def test_misuse_is_told():
    from envs.adapters.torchrl import TorchRLEnv

    with pytest.raises(gs.GenesisException, match='autoreset_mode="Disabled"'):
        TorchRLEnv(gym.make_vec(ENV_ID, num_envs=1, output="torch"))


def mlp(outputs):
    return nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, outputs))


@pytest.mark.precision("32")
def test_ppo_learns():
    from tensordict.nn import NormalParamExtractor, TensorDictModule
    from torchrl.collectors import Collector
    from torchrl.modules import IndependentNormal, ProbabilisticActor, ValueOperator
    from torchrl.objectives import ClipPPOLoss
    from torchrl.objectives.value import GAE

    net = nn.Sequential(mlp(2), NormalParamExtractor())
    actor = ProbabilisticActor(
        TensorDictModule(net, ["observation"], ["loc", "scale"]),
        in_keys=["loc", "scale"],
        distribution_class=IndependentNormal,
        return_log_prob=True,
    )
    critic = ValueOperator(mlp(1), in_keys=["observation"])
    advantage = GAE(gamma=0.9, lmbda=0.95, value_network=critic)
    loss = ClipPPOLoss(actor, critic, entropy_bonus=False, critic_coeff=0.5, normalize_advantage=True)
    optimiser = torch.optim.Adam(loss.parameters(), lr=1e-3)

    @torch.no_grad()
    def act(observation):
        return net(torch.from_numpy(observation))[0].numpy()

    assert mean_return(act) < UNTRAINED
    env = adapted(num_envs=16)
    env.set_seed(0)
    for batch in Collector(env, actor, frames_per_batch=3200, total_frames=112_000):
        with torch.no_grad():
            advantage(batch)
        batch = batch.reshape(-1)
        for _ in range(10):
            for rows in torch.randperm(len(batch)).split(400):
                losses = loss(batch[rows])
                optimiser.zero_grad()
                (losses["loss_objective"] + losses["loss_critic"]).backward()
                nn.utils.clip_grad_norm_(loss.parameters(), 0.5)
                optimiser.step()
    assert mean_return(act) > TRAINED
