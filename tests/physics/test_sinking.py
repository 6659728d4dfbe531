"""What is too thin for the grid lets soft bodies through when they are pressed hard: that is told, and only that."""

import logging

import pytest
import torch

import genesis as gs
from genesis.contact.shapes import Shape
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
        assert shape.depth == pytest.approx(float("inf") if shape.kind == "plane" else shape.within(places.numpy())[0])
