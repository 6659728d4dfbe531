"""Gradients of everything that is set and got, through contact, by differences: 1e-6."""

import pytest
import torch

from tests.rigid.rigid_bench import F64, noise
from tests.rigid.rigid_models import CRAWLER, from_text
from tests.rigid.rigid_worlds import OUTPUTS, B, build, check, everything, place, plain, rows

pytestmark = pytest.mark.precision("64")
BAR = 1e-6
STEPS = 4


@pytest.fixture(scope="module")
def world():
    return build(CRAWLER, ground=True, outputs=OUTPUTS)


def fresh(world):
    """Numbers of build time, and a fall that lands within the rollout."""
    model, n = world.robot.model, world.robot.n_dofs
    tangent = 0.2 * noise(n, seed=3)
    tangent[:3] = torch.tensor([0.0, 0.0, -0.03], dtype=F64)
    vel = 0.5 * noise(n, seed=4)
    vel[2] = -0.8
    place(world, tangent.expand(B, n), vel.expand(B, n))
    robot = world.robot
    robot.set_mass(torch.tensor(model.mass))
    robot.set_inertia(torch.tensor(model.inertia))
    robot.set_friction(0.6)
    robot.set_dofs_kp(torch.full((n,), 0.0, dtype=F64))
    robot.set_dofs_kv(torch.full((n,), 0.0, dtype=F64))
    for name in ("damping", "armature", "stiffness"):
        getattr(robot, f"set_dofs_{name}")(torch.tensor(getattr(model, name)))
    world.ground.set_friction(0.0)
    world.scene.set_gravity([0.0, 0.0, -9.81])


INNER = list(range(6, 13))


def targets(w):
    w.robot.set_dofs_kp(5.0, dofs_idx_local=INNER)
    w.robot.set_dofs_kv(0.4, dofs_idx_local=INNER)
    w.robot.control_dofs_position(0.3 * noise(7, seed=6), dofs_idx_local=INNER)


def moved(w, x):
    place(w, x, 0.5 * noise(13, seed=4).expand(B, 13))


def with_targets(name):
    def apply(w, x):
        targets(w)
        getattr(w.robot, name)(x, dofs_idx_local=INNER)

    return apply


def fall(n=13):
    tangent = 0.2 * noise(n, seed=3)
    tangent[:3] = torch.tensor([0.0, 0.0, -0.03], dtype=F64)
    return tangent


SETTERS = {
    "set_qpos": (fall, moved),
    "set_pos": (lambda: [0.02, 0.01, 0.31], lambda w, x: w.robot.set_pos(x)),
    "set_dofs_position": (lambda: 0.05 * noise(7, seed=3),
                          lambda w, x: w.robot.set_dofs_position(x, dofs_idx_local=INNER)),
    "set_dofs_velocity": (lambda: 0.5 * noise(13, seed=4), lambda w, x: w.robot.set_dofs_velocity(x)),
    "set_dofs_velocity of some": (lambda: 0.5 * noise(3, seed=4),
                                  lambda w, x: w.robot.set_dofs_velocity(x, dofs_idx_local=[7, 2, 11])),
    "control_dofs_force": (lambda: noise(7, seed=5), lambda w, x: w.robot.control_dofs_force(x, dofs_idx_local=INNER)),
    "control_dofs_position": (lambda: 0.3 * noise(7, seed=5), with_targets("control_dofs_position")),
    "control_dofs_velocity": (lambda: noise(7, seed=5), with_targets("control_dofs_velocity")),
    "set_dofs_kp": (lambda: 4.0 + 0.5 * noise(7), with_targets("set_dofs_kp")),
    "set_dofs_kv": (lambda: 0.5 + 0.1 * noise(7), with_targets("set_dofs_kv")),
    "set_dofs_damping": (lambda: 0.5 + 0.1 * noise(7), with_targets("set_dofs_damping")),
    "set_dofs_armature": (lambda: 0.05 + 0.01 * noise(7), with_targets("set_dofs_armature")),
    "set_dofs_stiffness": (lambda: 3.0 + 0.5 * noise(7), with_targets("set_dofs_stiffness")),
    "set_links_wrench force": (lambda: noise(4, 3), lambda w, x: w.robot.set_links_wrench(force=x)),
    "set_links_wrench torque": (lambda: 0.3 * noise(4, 3), lambda w, x: w.robot.set_links_wrench(torque=x)),
    "set_mass": (lambda: torch.tensor([2.1, 0.5, 0.4, 0.6], dtype=F64), lambda w, x: w.robot.set_mass(x)),
    "set_inertia": (lambda: torch.tensor(from_text(CRAWLER).inertia) * 1.1, lambda w, x: w.robot.set_inertia(x)),
    "set_friction": (lambda: torch.tensor([0.5, 0.6, 0.7, 0.8, 0.9], dtype=F64), lambda w, x: w.robot.set_friction(x)),
    "ground's set_friction": (lambda: 1.1, lambda w, x: w.ground.set_friction(x)),
    "set_contact_stiffness": (lambda: torch.tensor([2e4, 1.5e4, 1.2e4, 1e4], dtype=F64),
                              lambda w, x: w.robot.set_contact_stiffness(x)),
    "set_gravity": (lambda: torch.tensor([0.5, -0.3, -9.0], dtype=F64), lambda w, x: w.scene.set_gravity(x)),
}  # fmt: skip


def loss_of(world, apply):
    def loss(x):
        fresh(world)
        apply(world, x)
        total = torch.zeros(B, dtype=F64)
        for t in range(STEPS):
            world.scene.step()
            total = total + everything(world, outputs=OUTPUTS, seed=10 * t)
        return total

    return loss


@pytest.mark.parametrize("setter", SETTERS)
def test_setters_through_contact(world, setter):
    base, apply = SETTERS[setter]
    check(loss_of(world, apply), base(), BAR, smooth=False, what=setter)


def test_set_quat(world):
    """By the components of a quaternion that the caller makes of length one."""
    base = torch.tensor([0.9, 0.1, -0.2, 0.15], dtype=F64)

    def apply(w, x):
        w.robot.set_quat(x / x.norm(dim=-1, keepdim=True))

    check(loss_of(world, apply), base, BAR, smooth=False, what="set_quat")


@pytest.mark.parametrize(
    "setter", ["set_mass", "set_dofs_damping", "set_friction", "set_gravity", "control_dofs_force"]
)
def test_a_shared_value_has_the_sum_of_gradients(world, setter):
    base, apply = SETTERS[setter]
    value = torch.as_tensor(base(), dtype=F64)
    own = value.expand(B, *value.shape).clone().requires_grad_()
    (each,) = torch.autograd.grad(loss_of(world, apply)(own).sum(), own)
    shared = value.clone().requires_grad_()
    (total,) = torch.autograd.grad(loss_of(world, apply)(shared).sum(), shared)
    assert (each.sum(0) - total).abs().max() <= 1e-12 * total.abs().max()


def test_setters_in_some_environments(world):
    """What is given to environments 5 and 2 changes no other, and its gradient has these rows, in their order."""
    some = [5, 2]
    fresh(world)
    world.run(2)
    before = plain(world.scene.get_state().rigid.qpos).clone()
    vel = noise(2, 13, seed=6).requires_grad_()
    world.robot.set_dofs_velocity(vel, envs_idx=some)
    now = plain(world.robot.get_dofs_velocity())
    assert torch.equal(now[some], vel)
    world.run(1)
    total = everything(world, outputs=OUTPUTS)
    (grad,) = torch.autograd.grad(total[2], vel, retain_graph=True)
    assert grad[1].any() and not grad[0].any()
    assert total[3].item() == total[4].item() != total[2].item()
    assert torch.equal(before[3], before[4])


GETTERS = {
    "get_pos": lambda r: r.get_pos(),
    "get_quat": lambda r: r.get_quat(),
    "get_vel": lambda r: r.get_vel(),
    "get_ang": lambda r: r.get_ang(),
    "get_qpos": lambda r: r.get_qpos(),
    "get_dofs_position": lambda r: r.get_dofs_position(),
    "get_dofs_velocity": lambda r: r.get_dofs_velocity(),
    "get_dofs_control_force": lambda r: r.get_dofs_control_force(),
    "get_links_pos": lambda r: r.get_links_pos(),
    "get_links_quat": lambda r: r.get_links_quat(),
    "get_links_vel": lambda r: r.get_links_vel(),
    "get_links_ang": lambda r: r.get_links_ang(),
    "get_contacts force": lambda r: 0.02 * r.get_contacts().force,
    "get_contacts position": lambda r: r.get_contacts().position,
    "get_links_wrench": lambda r: 0.02 * r.get_links_wrench(),
    "get_links_acceleration": lambda r: 0.01 * r.get_links_acceleration(),
}
"""And each of them must reach the state it was made from, by differences."""


@pytest.mark.parametrize("getter", GETTERS)
def test_getters(world, getter):
    def loss(x):
        fresh(world)
        targets(world)
        world.robot.set_dofs_velocity(x)
        world.run(3)
        return rows(GETTERS[getter](world.robot), 5)

    check(loss, 0.5 * noise(13, seed=4) - 0.8 * torch.eye(13, dtype=F64)[2], BAR, smooth=False, what=getter, most=13)


def test_values_that_were_overwritten_have_no_gradient(world):
    fresh(world)
    vel = noise(B, 13, seed=4).requires_grad_()
    world.robot.set_dofs_velocity(vel)
    world.run(1)
    world.robot.set_qpos(torch.tensor(world.robot.model.qpos0), envs_idx=[0])
    world.robot.set_dofs_velocity(torch.zeros(13, dtype=F64), envs_idx=[0])
    world.run(1)
    (grad,) = torch.autograd.grad(everything(world).sum(), vel)
    assert not grad[0].any()
    assert grad[1:].abs().amax(1).min() > 0
