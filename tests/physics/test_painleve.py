"""Links that may turn into what they slide on are told."""

import logging

import pytest

import genesis as gs
from tests.physics.test_links_feel_particles import BALL
from tests.physics.test_links_push_particles import scene_of
from tests.rigid.rigid_models import file_of

pytestmark = pytest.mark.precision("64")
RAIL = """
<mujoco><worldbody><body pos="0.5 0.8 0.8"><joint type="slide" axis="1 0 0" damping="1"/>
  <geom type="box" size=".05 .1 .1" mass="5" friction="3 .005 .0001"/></body></worldbody></mujoco>
"""


def test_a_friction_with_which_links_turn_into_what_they_slide_on_is_told(caplog):
    """Above 4/3, of links that can turn, at build and by setters, once; not of what only slides, of balls, of tools,
    nor of links that take turns with particles."""
    rough, box = gs.materials.Rigid(rho=1500.0, friction=3.0), gs.morphs.Box(pos=(0.5, 0.8, 0.8), size=(0.1, 0.2, 0.2))
    bar = gs.morphs.Capsule(pos=(1.2, 0.8, 0.8), radius=0.05, height=0.2)
    smooth = gs.materials.Rigid(rho=1500.0, friction=3.0, coup_friction=1.3)
    with caplog.at_level(logging.WARNING, logger="genesis"):
        scene_of((BALL, rough), (bar, gs.materials.Tool(friction=3.0)))
        scene_of((gs.morphs.MJCF(file=file_of(RAIL)), gs.materials.Rigid()))
        scene_of((box, rough), rigid={"substeps": 1})
        _, _, (body, stick) = scene_of((box, gs.materials.Rigid(rho=1500.0, friction=1.3)), (bar, smooth))
        stick.set_friction(5.0)
        assert not [record for record in caplog.records if "friction" in record.getMessage()]
        caplog.clear()
        body.set_friction([[1.2], [1.4]])
        stick.set_coup_friction(2.0)
        stick.set_coup_friction(2.5)
        scene_of((box, rough))
    for record, (link, friction) in zip(
        caplog.records,
        (("box_1/box' in environment 1", 1.4), ("capsule_2/capsule'", 2), ("box_1/box'", 3)),
        strict=True,
    ):
        assert f"below 1.33 against particles, got {friction} of '{link}: " in record.getMessage()
