"""NaN in one environment: it is reported, and the others keep every bit of their values and gradients."""

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_models import CRAWLER
from tests.rigid.rigid_worlds import OUTPUTS, build, everything, place, plain

pytestmark = pytest.mark.precision("64")
N, BAD, STEPS = 5, 2, 5


def speed(world):
    """Beyond what numbers hold, within a substep."""
    vel = plain(world.robot.get_dofs_velocity()).detach().clone()[BAD]
    world.robot.set_dofs_velocity(1e200 * torch.ones_like(vel), envs_idx=[BAD])


def push(world):
    world.robot.control_dofs_force(torch.full((world.robot.n_dofs,), 1e300, dtype=F64), envs_idx=[BAD])


HARMS = {"speed": speed, "push": push}


def run(harm, budget, heal=False):
    world = build(CRAWLER, n_envs=N, ground=True, outputs=OUTPUTS, frame_budget_mb=budget)
    robot, n = world.robot, world.robot.n_dofs
    shared = {
        "mass": torch.tensor(robot.model.mass, requires_grad=True),
        "friction": torch.tensor(0.6, dtype=F64, requires_grad=True),
        "gravity": torch.tensor([0.1, 0.2, -9.0], dtype=F64, requires_grad=True),
        "policy": (0.3 * noise(7, n, seed=2)).requires_grad_(),
    }
    own = {"vel": noise(N, n, seed=3).requires_grad_()}
    tangent = torch.zeros(N, n, dtype=F64)
    tangent[:, 2] = -0.05
    place(world, tangent, own["vel"])
    robot.set_mass(shared["mass"])
    robot.set_friction(shared["friction"])
    world.scene.set_gravity(shared["gravity"])
    losses, failures = [], []
    for t in range(STEPS):
        seen = plain(robot.get_dofs_velocity())
        seen = torch.where(torch.isfinite(seen), seen, 0.0).clamp(-1e3, 1e3)
        robot.control_dofs_force(torch.tanh(seen @ shared["policy"].T), dofs_idx_local=list(range(6, 13)))
        if t == 2 and harm:
            HARMS[harm](world)
        world.scene.step()
        failures += world.scene.failures
        if heal and t == 3:
            world.scene.reset(envs_idx=[BAD])
        losses.append(everything(world, outputs=OUTPUTS, seed=t))
    return world, torch.stack(losses), failures, [*shared.values(), *own.values()]


@pytest.mark.parametrize("budget", [0.0, 256.0])
@pytest.mark.parametrize("harm", HARMS)
def test_neighbours_keep_every_bit(harm, budget):
    healthy = [e for e in range(N) if e != BAD]
    _, losses, failures, leaves = run(None, budget)
    assert failures == []
    values = losses[:, healthy].detach()
    wanted = torch.autograd.grad(losses[:, healthy].sum(), leaves, retain_graph=True)
    early = torch.autograd.grad(losses[:, healthy].sum() + losses[:2, BAD].sum(), leaves)
    _, losses, failures, leaves = run(harm, budget)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]
    assert failures[0].field.startswith("rigid.")
    assert torch.equal(losses[:, healthy], values)
    assert not torch.isfinite(losses[2:, BAD]).any()
    for loss, expected in ((losses[:, healthy].sum(), wanted), (losses.sum(), early)):
        for got, want in zip(torch.autograd.grad(loss, leaves, retain_graph=True), expected, strict=True):
            assert torch.equal(got, want)


def test_a_reset_heals():
    world, losses, failures, leaves = run("speed", 256.0, heal=True)
    assert [(f.step, f.env) for f in failures] == [(2, BAD)]
    assert torch.isfinite(losses[3:]).all()
    grads = torch.autograd.grad(losses[3:].sum(), leaves)
    assert all(torch.isfinite(g).all() for g in grads)
    assert not grads[-1][BAD].any()
    assert grads[-1][0].any()


def test_the_event_is_logged_once(caplog):
    with caplog.at_level("WARNING", logger="genesis"):
        _, _, failures, _ = run("speed", 256.0)
    text = [r.getMessage() for r in caplog.records if "environment" in r.getMessage()]
    assert len(text) == 1
    for part in ("step 2", f"environment {BAD}", failures[0].field):
        assert part in text[0]


def test_controls_that_are_not_numbers_never_arrive():
    """NaN in a control is refused before anything changes; it does not make an environment fail."""
    world = build(CRAWLER, n_envs=2, ground=True)
    world.run(1)
    before = world.scene.get_state().rigid
    with pytest.raises(gs.GenesisException):
        world.robot.control_dofs_force(torch.full((2, 13), torch.nan, dtype=F64))
    after = world.scene.get_state().rigid
    for name in ("qpos", "dofs_vel", "dofs", "wrench"):
        assert torch.equal(plain(getattr(before, name)), plain(getattr(after, name)))
    world.run(1)
    assert world.scene.failures == []
