"""Speeds that no mechanism has are failures like NaN, and name the body."""

import logging

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import plain

pytestmark = pytest.mark.precision("64")
CART = """<mujoco><worldbody><body name="cart"><joint type="slide" axis="1 0 0"/>
<geom type="sphere" size=".05" mass="1"/>
<body name="rotor" pos="0 0 .3"><joint type="hinge" axis="1 0 0"/>
<geom type="box" size=".05 .05 .05" mass="1"/></body></body></worldbody></mujoco>"""


def build(budget=0.0, n_envs=3, substeps=4):
    """A cart with a rotor, and a ball and a box apart from it, without gravity."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(
            dt=0.01, substeps=substeps, gravity=(0, 0, 0), requires_grad=True, frame_budget_mb=budget
        ),
        rigid_options=gs.options.RigidOptions(integrator="implicitfast"),  # with kernels that BlockPush has, too
    )
    cart = scene.add_entity(gs.morphs.MJCF(file=file_of(CART)), name="cart")
    ball = scene.add_entity(gs.morphs.Sphere(pos=(5, 0, 0), radius=0.1), gs.materials.Rigid(), name="ball")
    scene.build(n_envs=n_envs)
    return scene, cart, ball


@pytest.mark.parametrize("budget", [0.0, 256.0])
@pytest.mark.parametrize(
    "body, speed, named",
    [
        ("cart", [1.1e3, 0.0], "cart/cart"),
        ("cart", [9e2, -1.1e4], "cart/rotor"),
        ("ball", [0.0, -1.1e3, 0.0, 0.0, 0.0, 0.0], "ball/sphere"),
        ("ball", [0.0, 0.0, 0.0, 0.0, 1.1e4, 0.0], "ball/sphere"),
    ],
)
def test_the_body_that_is_too_fast_is_named(body, speed, named, budget, caplog):
    scene, cart, ball = build(budget)
    {"cart": cart, "ball": ball}[body].set_dofs_velocity(speed, envs_idx=[1])
    with caplog.at_level(logging.WARNING, logger="genesis"):
        scene.step()
    assert scene.failures == [(0, 0, 1, "rigid.dofs_vel", named)]
    (text,) = [r.getMessage() for r in caplog.records if "environment" in r.getMessage()]
    for part in ("step 0", "substep 0", "environment 1", repr(named)):
        assert part in text


def test_what_is_fast_but_possible_goes_on():
    scene, cart, ball = build()
    cart.set_dofs_velocity([9.9e2, 9.9e3])
    ball.set_dofs_velocity([9.9e2, 0.0, -9.9e2, 0.0, 0.0, 9.9e3])
    for _ in range(3):
        scene.step()
        assert scene.failures == []
    expected = torch.tensor([5 + 3 * 9.9, 0.0, -3 * 9.9], dtype=plain(ball.get_pos()).dtype)
    assert torch.allclose(plain(ball.get_pos()), expected.expand(3, 3), rtol=1e-5)


@pytest.mark.parametrize("budget", [0.0, 256.0])
@pytest.mark.parametrize("substep", [0, 1, 2, 3])
def test_the_substep_and_the_body_are_those_where_it_arose(substep, budget):
    """Forces take the cart and the ball beyond the limit in a known substep, the cart more.

    Its limits, which begin to act within some substeps of travel, slow it a little.
    """
    scene, cart, ball = build(budget)
    h, mass = 0.01 / 4, plain(ball.get_mass()).flatten()[0]
    cart.control_dofs_force([2.0 * 1e3 / (h * (substep + 0.7)), 0.0], envs_idx=[2])
    push = torch.zeros(1, 1, 3, dtype=mass.dtype)
    push[..., 2] = mass * 1e3 / (h * (substep + 0.95))
    ball.set_links_wrench(push, envs_idx=[2])
    scene.step()
    (failure,) = scene.failures
    assert failure == (0, substep, 2, "rigid.dofs_vel", "cart/cart")


@pytest.mark.parametrize("budget", [0.0, 256.0])
def test_too_fast_behaves_like_not_finite(budget):
    """The environment is NaN until it is reset, its gradient zero; its neighbours keep every bit."""

    def run(harm):
        scene, cart, ball = build(budget)
        leaf = torch.full((3, 8), 0.4, dtype=gs.tc_float, requires_grad=True)
        cart.set_dofs_velocity(leaf[:, :2])
        ball.set_dofs_velocity(leaf[:, 2:])
        losses, failures = [], []
        for t in range(4):
            if t == 1 and harm:
                ball.set_dofs_velocity([2e3, 0, 0, 0, 0, 0], envs_idx=[1])
            scene.step()
            failures += scene.failures
            state = torch.cat([plain(b.get_dofs_velocity()) for b in (cart, ball)] + [plain(ball.get_pos())], 1)
            losses.append((state**2).sum(1))
        return scene, torch.stack(losses), failures, leaf

    _, clean, none, leaf = run(False)
    (wanted,) = torch.autograd.grad(clean[:, [0, 2]].sum() + clean[:1, 1].sum(), leaf)
    scene, losses, failures, leaf = run(True)
    assert none == [] and [f[:4] for f in failures] == [(1, 0, 1, "rigid.dofs_vel")]
    assert torch.equal(losses[:, [0, 2]], clean[:, [0, 2]])
    assert torch.isnan(losses[1:, 1]).all()
    (got,) = torch.autograd.grad(losses.sum(), leaf)
    assert torch.equal(got, wanted)
    scene.reset(envs_idx=[1])
    scene.step()
    assert scene.failures == [] and torch.isfinite(plain(scene.entities[1].get_pos())).all()
