"""Parameters: gradients over windows, per environment, stale ones, an optimiser's steps, constraints."""

import pytest
import torch

import genesis as gs

real = torch.float64
pytestmark = pytest.mark.precision("64")


def run(scene, steps=2):
    for _ in range(steps):
        scene.step()
    return (scene.get_state().pos ** 2).sum()


def test_constructors_take_tensors(make):
    E = torch.tensor([2e3, 3e3, 4e3], dtype=real, requires_grad=True)
    friction = torch.tensor(0.5, dtype=torch.float32, requires_grad=True)
    scene, _, _ = make(E=E, friction=friction)
    grads = torch.autograd.grad(run(scene), (E, friction))
    assert grads[0].shape == (3,) and (grads[0] != 0).all()
    assert grads[1].dtype == torch.float32 and grads[1] != 0


def test_gradient_is_that_of_a_difference_quotient(make):
    scene, (body,), (tool,) = make()

    def loss(E, mu, g):
        scene.reset()
        tool.set_velocity([0.3, 0.2, 0.1])
        body.set_material(E=E)
        tool.set_friction(mu)
        scene.set_gravity(g)
        return run(scene)

    E = torch.tensor([2e3, 3e3, 4e3], dtype=real, requires_grad=True)
    mu = torch.tensor([0.1, 0.2, 0.3], dtype=real, requires_grad=True)
    g = torch.randn(3, 3, dtype=real, requires_grad=True)
    assert torch.autograd.gradcheck(loss, (E, mu, g), eps=1e-5)


def test_mixed_owners(make):
    """Some environments owned by one leaf, some by another, some by a number."""
    scene, (body,), _ = make()
    one = torch.tensor(2e3, dtype=real, requires_grad=True)
    two = torch.tensor([3e3, 4e3], dtype=real, requires_grad=True)
    body.set_material(E=one)
    body.set_material(E=two, envs_idx=[2, 0])
    body.set_material(rho=400.0, envs_idx=1)
    assert body.get_mass().tolist() == pytest.approx([0.5, 0.4, 0.5])
    mixed = torch.autograd.grad(run(scene), (one, two))
    scene.reset()
    every = torch.tensor([4e3, 2e3, 3e3], dtype=real, requires_grad=True)
    body.set_material(E=every)
    (grad,) = torch.autograd.grad(run(scene), every)
    assert torch.equal(torch.stack([mixed[1][1], mixed[0], mixed[1][0]]), grad)


def test_several_windows_and_several_losses(make):
    scene, (body,), _ = make()
    rho = torch.tensor(500.0, dtype=real, requires_grad=True)
    body.set_material(rho=rho)
    for _ in range(3):
        loss = run(scene)
        other = (scene.get_state().vel ** 2).sum()
        loss.backward(retain_graph=True)
        other.backward()
        assert rho.grad != 0
        rho.grad = None
        scene.detach_()


def test_a_computed_parameter_is_set_again_in_each_window(make):
    scene, (body,), (tool,) = make()
    log = torch.tensor(8.0, dtype=real, requires_grad=True)
    body.set_material(E=log.exp())
    run(scene).backward()
    scene.detach_()
    with pytest.raises(gs.GenesisException, match=r"box_0\.E must be set again.*box_0\.set_material"):
        scene.step()
    body.set_material(E=log.exp(), envs_idx=[0, 1])
    with pytest.raises(gs.GenesisException, match="set again"):
        scene.step()
    body.set_material(E=log.exp())
    run(scene).backward()
    scene.detach_()
    body.set_material(E=2e3)
    scene.step()


def test_an_optimiser_step_takes_effect_at_the_next_step(make):
    scene, (body,), _ = make()
    rho = torch.tensor(500.0, dtype=real, requires_grad=True)
    body.set_material(rho=gs.from_torch(rho, detach=False))
    body.set_material(rho=rho)
    run(scene).backward()
    with torch.no_grad():
        rho.mul_(2.0)
    assert body.get_mass().tolist() == pytest.approx([1.0] * 3)
    scene.reset()
    changed = run(scene)
    scene.reset()
    body.set_material(rho=1000.0)
    assert torch.equal(run(scene), changed)
    with torch.no_grad():
        rho.mul_(-1.0)
    scene.step()
    body.set_material(rho=-rho.detach())
    leaf = torch.tensor(500.0, dtype=real, requires_grad=True)
    body.set_material(rho=leaf)
    with torch.no_grad():
        leaf.mul_(-1.0)
    with pytest.raises(gs.GenesisException, match=r"box_0\.rho must be finite > 0, got -500"):
        scene.step()


def test_set_under_no_grad_still_gets_a_gradient(make):
    scene, (body,), _ = make()
    rho = torch.tensor(500.0, dtype=real, requires_grad=True)
    with torch.no_grad():
        body.set_material(rho=rho)
    assert torch.autograd.grad(run(scene), rho)[0] != 0


def test_a_genesis_leaf_is_a_leaf(make):
    scene, (body,), _ = make()
    rho = gs.tensor(500.0, requires_grad=True)
    body.set_material(rho=rho)
    run(scene).backward()
    scene.detach_()
    run(scene).backward()
    assert rho.grad != 0


def test_constraints(make):
    scene, (body,), (tool,) = make()
    mass = body.get_mass()
    for change, message in (
        ({"E": 0.0}, r"box_0\.E must be finite > 0, got 0"),
        ({"E": float("nan")}, "box_0.E must be finite"),
        ({"nu": 0.5}, "strictly between -1 and 0.5"),
        ({"rho": [1.0, -1.0, 1.0]}, "got -1"),
        ({"rho": [1.0, 2.0]}, r"shape \(\) or \(3,\), got \(2,\)"),
        ({"E": 1e9, "rho": 700.0}, r"substep of box_0 must be at most .* substeps=\d+"),
        ({}, "at least one"),
        ({"E": "stiff"}, "hold numbers"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            body.set_material(**change)
    with pytest.raises(gs.GenesisException, match="from 0|>= 0"):
        tool.set_friction(-1.0)
    assert torch.equal(body.get_mass(), mass)


def test_gravity(make):
    scene, (body,), _ = make()
    scene.set_gravity([0.0, 0.0, 0.0])
    scene.set_gravity([[1.0, 0.0, 0.0]], envs_idx=[1])
    g = scene._built.read("scene", "gravity")
    assert g.tolist() == [[0.0] * 3, [1.0, 0.0, 0.0], [0.0] * 3]
