"""Environments side by side: each has to the bit what it has alone, results and gradients, whatever the others do."""

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_bench import F64, noise, retract
from tests.rigid.rigid_models import CRAWLER
from tests.rigid.rigid_worlds import OUTPUTS, build, everything, plain

BALL = """<mujoco><worldbody><body pos="0.03 0.02 0.6"><freejoint/>
<geom size="0.08" contype="2" conaffinity="0"/></body></worldbody></mujoco>"""
N, STEPS = 9, 4
FLYING, DEEP, FAST, ENDLESS = 1, 4, 6, 7
"""Environments that are unlike the others; ENDLESS is beyond what numbers hold."""


def world(n_envs, frame_budget_mb=256.0):
    return build(CRAWLER, BALL, n_envs=n_envs, ground=True, outputs=OUTPUTS, frame_budget_mb=frame_budget_mb)


def run(world, who):
    """Losses, gradients and final positions of environments `who`, in that order."""
    robot, n, real = world.robot, world.robot.n_dofs, gs.tc_float

    def drawn(columns, seed):
        return noise(N, columns, seed=seed)[who].to(real)

    tangent = 0.3 * noise(N, n, seed=5)
    tangent[:, 2] = 0.1 * noise(N, seed=6)
    tangent[FLYING, 2], tangent[DEEP, 2] = 5.0, -0.5
    vel = noise(N, n, seed=1)
    vel[FAST] *= 30.0
    vel[ENDLESS] *= 1e200 if real == F64 else 1e30
    mass = torch.tensor(robot.model.mass, dtype=real) * (1.0 + 0.2 * torch.tanh(drawn(robot.n_links, 7)))
    leaves = [
        retract(robot.model, torch.tensor(robot.model.qpos0), tangent)[who].to(real),
        vel[who].to(real),
        mass,
        0.6 + 0.3 * torch.tanh(drawn(robot.n_geoms, 8)),
        torch.tensor([0.0, 0.0, -9.0], dtype=real) + 0.3 * drawn(3, 9),
        3.0 * drawn(7, 10),
    ]
    qpos, vel, mass, friction, gravity, force = (leaf.requires_grad_() for leaf in leaves)
    world.scene.reset()
    robot.set_qpos(qpos)
    robot.set_dofs_velocity(vel)
    robot.set_mass(mass)
    robot.set_friction(friction)
    world.scene.set_gravity(gravity)
    total = torch.zeros(len(who), dtype=real)
    for t in range(STEPS):
        robot.control_dofs_force(force * (1 + t), dofs_idx_local=list(range(6, 13)))
        if t == 2:
            world.scene.reset(envs_idx=[k for k, env in enumerate(who) if env % 3 == 0][::-1])
        world.scene.step()
        total = total + everything(world, outputs=OUTPUTS, seed=t)
    grads = torch.autograd.grad(total.sum(), leaves)
    return [total.detach(), *grads, plain(robot.get_qpos()).detach()]


@pytest.fixture(scope="module")
def alone():
    one = world(1)
    return [run(one, [env]) for env in range(N)]


def check(found, who, alone):
    for k, env in enumerate(who):
        for got, want in zip(found, alone[env], strict=True):
            assert torch.equal(got[k].nan_to_num(nan=1e9), want[0].nan_to_num(nan=1e9)), env


def test_the_environments_are_unlike(alone):
    failed = [env for env in range(N) if not torch.isfinite(alone[env][0]).all()]
    assert failed == [ENDLESS]
    assert all(alone[env][2].any() == (env != ENDLESS) for env in range(N))


@pytest.mark.parametrize("n_envs", [3, 8, 9])
def test_neighbours_do_not_matter(alone, n_envs):
    side_by_side = world(n_envs)
    for seed in range(3):
        who = torch.randperm(N, generator=torch.Generator().manual_seed(seed))[:n_envs].tolist()
        check(run(side_by_side, who), who, alone)


@pytest.mark.parametrize("size", [1, 4, 8, 9])
def test_groups_do_not_matter(alone, size):
    """Frames run again, and environments worked on in groups of `size`."""
    grouped = world(N, frame_budget_mb=0.0)
    simulator = grouped.scene._built.simulator
    simulator._forward_group = simulator._replay_group = size
    check(run(grouped, list(range(N))), range(N), alone)


def test_fresh_memory_does_not_matter(alone):
    """Whatever is not yet written is full of NaN."""
    torch.use_deterministic_algorithms(True)
    try:
        check(run(world(N), list(range(N))), range(N), alone)
    finally:
        torch.use_deterministic_algorithms(False)
