"""Sizes of primitives: what is refused, and masses and inertias that follow them."""

import pytest
import torch

import genesis as gs
from genesis.loaders import shapes

pytestmark = pytest.mark.precision("64")
real = torch.float64


def built(*morphs):
    scene = gs.Scene(sim_options=gs.options.SimOptions(requires_grad=True))
    bodies = [scene.add_entity(morph, gs.materials.Rigid(rho=500.0)) for morph in morphs]
    scene.build(n_envs=2)
    return bodies


def test_masses_and_inertias_follow_on_request():
    box, pill = built(
        gs.morphs.Box(pos=(0, 0, 1), size=(0.2, 0.3, 0.4)), gs.morphs.Capsule(pos=(2, 0, 1), radius=0.1, height=0.4)
    )
    size = torch.tensor([[[0.1, 0.2, 0.3]], [[0.2, 0.1, 0.15]]], dtype=real, requires_grad=True)
    box.set_geoms_size(size.detach())
    assert torch.equal(box.get_geoms_size(), size) and torch.allclose(box.get_mass(), torch.tensor(12.0, dtype=real))
    box.set_geoms_size(size, inertia=True)
    pill.set_geoms_size([0.05, 0.1, 0.0], envs_idx=1, inertia=True)
    for body, kind, sizes in ((box, "box", size), (pill, "capsule", pill.get_geoms_size())):
        for env in range(2):
            own = tuple(sizes[env, 0].tolist())
            mass = 500.0 * shapes.volume(kind, own)
            assert body.get_mass()[env].item() == pytest.approx(mass)
            assert body.get_links_inertia()[env, 0].tolist() == pytest.approx(list(shapes.inertia(kind, own, mass)))
    (slope,) = torch.autograd.grad(box.get_mass().sum(), size, retain_graph=True)
    assert torch.allclose(slope, 500.0 * 8.0 * size.detach().prod(-1, keepdim=True) / size.detach())
    (slope,) = torch.autograd.grad(box.get_links_inertia()[0, 0, 0], size)
    _a, b, c = size[0, 0].tolist()
    assert slope[0, 0, 0].item() == pytest.approx(500.0 * 8 * b * c * (b * b + c * c) / 3)


def test_what_has_no_such_size_is_refused(monkeypatch):
    (box,) = built(gs.morphs.Box(pos=(0, 0, 1), size=(0.2, 0.3, 0.4)))
    before = box.get_geoms_size()
    for wrong in ([0.1, 0.2, 0.0], [[0.1, -0.2, 0.1]], torch.full((2, 1, 3), -1.0)):
        with pytest.raises(gs.GenesisException, match=r"size must be finite > 0"):
            box.set_geoms_size(wrong)
    with pytest.raises(gs.GenesisException, match=r"size must have shape"):
        box.set_geoms_size(0.1)
    assert torch.equal(box.get_geoms_size(), before)
    scene = gs.Scene()
    ant = scene.add_entity(gs.morphs.Robot(name="ant"))
    scene.build()
    with pytest.raises(gs.GenesisException, match="link 'torso' must be a solid shape of one geom for its inertia"):
        ant.set_geoms_size([0.1, 0.1, 0.1], 0, inertia=True)
