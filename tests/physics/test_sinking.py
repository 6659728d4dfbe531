"""What is too thin for the grid lets soft bodies through when they are pressed hard: that is told, and only that."""

import logging
from dataclasses import replace

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.contact.doubling import Doubling
from genesis.contact.shapes import Shape
from genesis.contact.sinking import EVERY
from genesis.engine.placements import DRIVEN, MANY, Placements
from genesis.warning import forget_warnings
from tests.physics.test_links_push_particles import HEAVY, scene_of
from tests.physics.worlds import DX, build, plain

SPEED, TOP = 0.3, 0.6
"""m/s of a plate that presses a block, m, where it begins."""


def pressed(thickness):
    """Of a plate some cells thick that shortens a block by 40 %: the mean force between 8 and 24 %, N."""
    half = thickness * DX / 2
    plate = gs.morphs.Box(pos=(0.8, 0.8, TOP + half + 1e-3), size=(0.3, 0.3, 2 * half))
    world = build(size=(0.5, 0.5, 0.3), centres=[(0.8, 0.8, TOP - 0.15)], tools=[plate], n_envs=1, softness=0.01,
                  outputs=("wrench",), gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
    world.tool.set_velocity([0.0, 0.0, -SPEED])
    world.run(10)
    force = 0.0
    for _ in range(20):
        world.run(1)
        force += float(plain(world.tool.get_wrench())[0, 2]) / 20
    world.run(20)
    assert world.scene.failures == []
    return force, world.tool.name


def test_a_plate_that_is_pressed_through_is_told_once(caplog):
    """Four cells carry what six carry; half a cell carries less than half of it, and says so."""
    with caplog.at_level(logging.WARNING, logger="genesis"):
        (four, _), (six, _) = pressed(4.0), pressed(6.0)
        assert four == pytest.approx(six, rel=0.05) and not caplog.records
        thin, name = pressed(0.5)
    assert thin < 0.5 * six
    (record,) = caplog.records
    for part in (f"inside {name!r}", "3.4 cells", "environment 0"):
        assert part in record.getMessage()


def test_what_is_set_into_matter_after_build_is_told(caplog):
    """A tool in one of two environments; particles that are attached, or off, may be inside of what they like."""
    cube = gs.morphs.Box(pos=(0.8, 0.8, 1.2), size=(0.2, 0.2, 0.2))
    world = build(size=0.4, tools=[cube], n_envs=2, requires_grad=False)
    with caplog.at_level(logging.WARNING, logger="genesis"):
        world.body.attach()
        world.tool.set_position([0.8, 0.8, 0.8], envs_idx=[1])
        world.run(1)
        assert not caplog.records
        world.scene.reset()
        world.tool.set_position([0.8, 0.8, 0.8], envs_idx=[1])
        world.run(1)
    (record,) = caplog.records
    assert "environment 1" in record.getMessage() and repr(world.body.name) in record.getMessage()


def test_depths_inside_of_shapes():
    places = torch.tensor([[0.0, 0.0, 0.0], [0.09, 0.0, 0.0], [0.0, 0.0, 0.28], [0.0, 0.0, 0.5]], dtype=torch.float64)
    for shape, right in (
        (Shape("sphere", (0.3, 0.0, 0.0)), [0.3, 0.21, 0.02, -0.2]),
        (Shape("capsule", (0.1, 0.3, 0.0)), [0.1, 0.01, 0.1, -0.1]),
        (Shape("box", (0.1, 0.2, 0.3)), [0.1, 0.01, 0.02, -0.2]),
        (Shape("cylinder", (0.1, 0.3, 0.0)), [0.1, 0.01, 0.02, -0.2]),
        (Shape("plane", (0.0, 0.0, 0.0)), [0.0, 0.0, -0.28, -0.5]),
    ):
        assert shape.within(places.numpy()) == pytest.approx(right, abs=1e-12)
        assert (shape.middle(places.numpy()) >= shape.depth).all()
        assert shape.depth == pytest.approx(float("inf") if shape.kind == "plane" else shape.within(places.numpy())[0])


def test_what_is_set_into_matter_is_told_in_the_next_step(caplog):
    """Not only in a step in which everything is looked at: a tool, and what is set into a tool, in one of two
    environments; not what is set again in every step, which is a motion."""
    cubes = [gs.morphs.Box(pos=(x, 0.8, 1.15), size=(0.2, 0.2, 0.2)) for x in (0.5, 1.1)]
    world = build(models=("neohooken",) * 2, centres=[(0.5, 0.8, 0.6), (1.1, 0.8, 0.6)], size=0.3, tools=cubes,
                  gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
    (first, second), (left, right) = world.bodies, world.tools
    world.run(EVERY + 1)
    with caplog.at_level(logging.WARNING, logger="genesis"):
        left.set_position([0.5, 0.8, 0.6], envs_idx=[1])
        second.set_position([1.1, 0.8, 1.15], envs_idx=[0])
        world.run(1)
        assert len(caplog.records) == 2
        for record, (body, tool, env) in zip(caplog.records, ((first, left, 1), (second, right, 0)), strict=True):
            for part in (f"of {body.name!r}", f"inside {tool.name!r}", f"environment {env}", "set there"):
                assert part in record.getMessage()
        caplog.clear()
        world.scene.reset()
        for k in range(8):
            world.run(1)
            right.set_position([1.1, 0.8, 1.1 - 0.05 * k])
        assert not caplog.records


def test_bodies_of_particles_that_are_set_into_each_other_are_told_once(caplog):
    """Not beside each other, nor while one of them is off; of a state that is loaded, too."""
    world = build(models=("neohooken",) * 2, centres=[(0.5, 0.8, 0.6), (1.1, 0.8, 0.6)], size=0.3,
                  gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
    first, second = world.bodies
    with caplog.at_level(logging.WARNING, logger="genesis"):
        first.set_position([0.8, 0.8, 0.6])
        world.run(1)
        first.deactivate()
        first.set_position([1.0, 0.8, 0.6], envs_idx=[1])
        world.run(1)
        state = world.scene.get_state()
        assert not caplog.records
        first.activate()
        world.run(1)
        (record,) = caplog.records
        for part in (repr(first.name), repr(second.name), "be set outside of each other", "environment 1"):
            assert part in record.getMessage()
        world.run(1)
        first.deactivate()
        world.run(1)
        first.activate()
        world.run(1)
        assert len(caplog.records) == 1
        other = build(models=("neohooken",) * 2, centres=[(0.5, 0.8, 0.6), (1.1, 0.8, 0.6)], size=0.3,
                      gravity=(0.0, 0.0, 0.0), requires_grad=False)  # fmt: skip
        other.scene.reset(state.having("mpm", replace(state.mpm, hold=None)))
        other.run(1)
        assert len(caplog.records) == 1  # of bodies that are built again it has been said
        forget_warnings()
        other.scene.reset(state.having("mpm", replace(state.mpm, hold=None)))
        other.run(1)
        assert len(caplog.records) == 2
        forget_warnings()
        for _ in range(DRIVEN):
            other.scene.reset()
            other.bodies[0].set_position([0.5, 0.8, 0.6])
            other.run(1)
        assert len(caplog.records) == 2
        other.scene.reset()
        other.bodies[0].set_position([1.1, 0.8, 0.6], envs_idx=[1])
        other.run(1)  # before the fourth step in a row, but from a reset each
    assert len(caplog.records) == 3


def test_placements_are_those_of_each_solver_and_a_reset_ends_a_motion():
    placements, one = Placements({"mpm": ("pos",), "tool": ("pos",)}, 2), torch.tensor([1])
    found = []
    for k in range(5):
        if k == 3:
            placements.note_reset(one, loaded=False)
        for _ in range(2 * MANY):
            placements.note("tool", "pos", 0, one)
        placements.note("tool", "vel", 0, None)
        found.append({solver: rows.tolist() for solver, rows in placements.take().items()})
    assert found == [{"tool": [False, True]}] * 2 + [{}] + [{"tool": [False, True]}] * 2
    placements.note_reset(None, loaded=True)
    assert {solver: rows.all() for solver, rows in placements.take().items()} == {"mpm": True, "tool": True}
    assert placements.take() == {}


def test_cells_that_two_bodies_fill_are_told_from_those_that_they_share(caplog):
    """Random places: what lies side by side, or has mixed, is not there twice."""
    volume = 1e-6 / 8  # eight in a cell of 1 cm

    def told(n, low, high, shift):
        points = np.random.default_rng(0).uniform(low, high, (2, n, 3))
        points[1] += shift
        doubling = Doubling([("a", n, volume), ("b", n, volume)], 0.01)
        caplog.clear()
        doubling.look(torch.from_numpy(points.reshape(1, -1, 3)), np.array([0]), 0, 0)
        forget_warnings()
        return bool(caplog.records)

    assert told(8000, 0.0, 0.1, 0.0) and told(8000, 0.0, 0.1, (0.05, 0.0, 0.0))
    assert not told(8000, 0.0, 0.1, (0.1, 0.0, 0.0)) and not told(4000, 0.0, 0.1, 0.0)


def test_a_link_that_is_set_into_matter_is_told_in_the_next_step(caplog):
    scene, _, (ball,) = scene_of((gs.morphs.Sphere(pos=(0.5, 0.8, 0.8), radius=0.1), HEAVY))
    scene.step()
    with caplog.at_level(logging.WARNING, logger="genesis"):
        ball.set_pos((0.8, 0.8, 0.8), envs_idx=[1])
        scene.step()
    (record,) = caplog.records
    assert "environment 1" in record.getMessage() and ball.name in record.getMessage()


def test_what_counts_is_how_thick_a_shape_is_along_the_normal_of_the_face_that_is_pressed():
    places = np.array([[0.0, 0.19, 0.0], [0.08, 0.19, 0.0], [0.0, 0.0, 0.29], [0.099, 0.0, 0.0]])
    assert Shape("box", (0.1, 0.2, 0.3)).middle(places).tolist() == [0.2, 0.2, 0.3, 0.1]
    assert Shape("cylinder", (0.2, 0.3, 0.0)).middle(places).tolist() == [0.2, 0.2, 0.3, 0.2]
    assert Shape("sphere", (0.3, 0.0, 0.0)).middle(places).tolist() == [0.3] * 4
