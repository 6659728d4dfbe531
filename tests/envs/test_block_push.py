"""An arm that pushes a block: the task in another engine, and gradients of pushing by actions."""

import pytest
import torch

from envs.manipulation.block_push import BlockPush
from genesis.errors import GenesisValueError
from scripts.mujoco_world import MujocoScene

STEPS = 12
pytestmark = pytest.mark.precision("64")


@pytest.fixture(scope="module", params=["mujoco", "smoothed"])
def env(request):
    return BlockPush(4, output="torch", differentiable=True, contact=request.param)


def forwards(env, scale=1.0):
    """Torques (STEPS, 2) that push the block."""
    turn = torch.linspace(0.0, 1.0, STEPS, dtype=torch.float64)
    return scale * torch.stack([0.9 - 0.2 * turn, -0.75 - 0.3 * turn], dim=1)


def played(env, actions):
    """Observation (B, 21) and return (B,) after actions (STEPS, 2)."""
    env.reset(seed=0)
    total = 0.0
    for action in actions:
        observation, reward, *_ = env.step(action.expand(env.num_envs, 2))
        total = total + reward.as_subclass(torch.Tensor)
    return observation.as_subclass(torch.Tensor), total


def test_it_is_the_same_world_in_mujoco(env):
    with torch.no_grad():
        here = played(env, forwards(env))
        ours, env.scene = env.scene, MujocoScene(env)
        env.scene._model.opt.tolerance = 1e-15
        try:
            there = played(env, forwards(env))
        finally:
            env.scene = ours
        untouched = played(env, 0.0 * forwards(env))
    moved = (here[0][:, :2] - untouched[0][:, :2]).norm(dim=1)
    assert moved.max() > 0.1, "some block must be pushed by a centimetre"
    if env.contact == "mujoco":  # but where rounding chooses contacts of the finger, which is parallel to a face
        errors = (here[0] - there[0]).abs().amax(dim=1)
        assert errors.median() < 1e-10 and errors.max() < 0.05


def test_gradient_of_pushing(env):
    base = forwards(env).requires_grad_()
    _, total = played(env, base)
    (gradient,) = torch.autograd.grad(total.sum(), base)
    way = torch.randn(STEPS, 2, dtype=torch.float64)
    with torch.no_grad():
        up, down = (played(env, base + sign * 1e-6 * way)[1].sum() for sign in (1.0, -1.0))
    wanted = (up - down) / 2e-6
    assert (gradient * way).sum() == pytest.approx(wanted.item(), rel=1e-4)


def test_other_worlds_do_not_go_to_mujoco(env):
    env.parameter_randomisation, kept = 0.1, env.parameter_randomisation
    with pytest.raises(GenesisValueError, match="without randomised parameters"):
        MujocoScene(env)
    env.parameter_randomisation = kept
