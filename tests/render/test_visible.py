"""Cameras draw what entities hand out, whatever kind of entity they are."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.entities.base import Entity
from genesis.visible import Points, Shape, Solids
from tests.render.gltf_file import File
from tests.render.render_scenes import scene_of, tool

RED, BLUE = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)


class Toy(Entity):
    """A kind that nothing in the renderer knows: two balls on two frames, and four particles. Two environments."""

    kind = "toy"
    height = 0.0

    def visible(self):
        balls = (Shape("sphere", (0.2,), RED, "left", 0), Shape("sphere", (0.2,), RED, "right", 1, pos=(0.1, 0.0, 0.0)))
        return Solids(balls, self._poses, ("a", "b")), Points(4, 0.02, BLUE, self._positions)

    def followed(self, link=None):
        return lambda: self._poses()[0][:, link or 0]

    def _poses(self):
        pos = torch.tensor([[[-1.0, 0.0, 1.0], [1.0, 0.0, 1.0]]]).repeat(2, 1, 1)
        pos[1, :, 2] += self.height
        return pos, torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(2, 2, 4)

    def _positions(self):
        return torch.tensor([[-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], [-0.1, 0.0, 0.1], [0.1, 0.0, 0.1]]).expand(2, 4, 3)


@pytest.fixture
def toy():
    scene, _ = scene_of(tool(gs.morphs.Sphere(pos=(0, -60, 5), radius=0.1)), n_envs=2)
    entity = Toy(1, "toy", gs.morphs.Sphere(radius=0.1), None, gs.surfaces.Default())
    scene._entities.append(entity)
    return scene, entity


def test_a_new_kind_of_entity_is_seen_where_it_is(toy):
    scene, entity = toy
    camera = scene.add_camera(res=(80, 60), pos=(0, -6, 0.5), lookat=(0, 0, 0.5), fov=40.0)
    entity.height = 0.5
    rgb, _, seen, _ = camera.render(segmentation=True)
    assert set(np.unique(seen)) == {0, entity.idx + 1}
    metre = 60 / (2 * 6 * np.tan(np.radians(20)))
    low, high = (np.nonzero(picture)[0].min() for picture in seen)
    assert low - high == pytest.approx(0.5 * metre, abs=1.0)
    columns = np.nonzero((seen[0] == 2) & (rgb[0, ..., 0] > rgb[0, ..., 2]))[1] + 0.5 - 40
    assert columns[columns < 0].mean() == pytest.approx(-metre, abs=0.5)
    assert columns[columns > 0].mean() == pytest.approx(1.1 * metre, abs=0.5)
    blue = rgb[0][:, 38:42][seen[0][:, 38:42] == 2]
    assert len(blue) and (blue[:, 2] > blue[:, 0]).all()


def test_a_new_kind_of_entity_can_be_followed(toy):
    scene, entity = toy
    camera = scene.add_camera(res=(80, 60), pos=(0, -6, 0), lookat=(0, 0, 0))
    camera.follow_entity(entity, link=1)
    entity.height = 0.25
    np.testing.assert_allclose(camera.world_pose()[1], [[1.0, 0.0, 1.0], [1.0, 0.0, 1.25]])


def test_a_new_kind_of_entity_is_exported_by_its_names(toy, tmp_path):
    scene, _ = toy
    camera = scene.add_camera(pos=(0, -6, 0.5), lookat=(0, 0, 0.5))
    camera.export(tmp_path / "toy.glb")
    names = {node.get("name") for node in File(tmp_path / "toy.glb").json["nodes"]}
    assert {"toy", "a", "b", "left", "right"} <= names
