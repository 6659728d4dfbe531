"""Flags of files that switch physics off, or override numbers."""

import numpy as np
import pytest

from genesis.loaders import numbers_of
from genesis.loaders.contact_mixing import mix
from tests.loaders.mujoco_files import BODY, EVERYTHING, from_text


@pytest.mark.parametrize(
    ("flag", "left_out"),
    [
        ('contact="disable"', "touching"),
        ('constraint="disable"', "touching limited dry tied"),
        ('spring="disable"', "stiff"),
        ('damper="disable"', "damped"),
        ('spring="disable" damper="disable"', "stiff damped held"),
    ],
)
def test_what_flags_switch_off_is_left_out_of_the_numbers(flag, left_out, tmp_path):
    text = EVERYTHING.replace("<flag ", f"<flag {flag} ").replace('<body name="a">', '<body name="a" gravcomp=".5">')
    text = text.replace('density="1.2"', "").replace('viscosity="0.1" wind="1 2 3"', "")
    length = '<tendon><fixed name="t" stiffness="2" damping="3" range="-1 1" frictionloss="4"><joint joint="hinge"'
    tied = '<equality><joint joint1="hinge"/><tendon tendon1="t"/></equality>'
    text = text.replace("<contact>", f'{length} coef="1"/></fixed></tendon>{tied}<contact>')
    robot, _ = from_text(tmp_path, text)
    numbers = numbers_of(robot)
    tendons, found = numbers.tendons, set()
    for name, there in {
        "touching": (any(geom.mask for geom in robot.geoms), any(ground.mask for ground in robot.grounds)),
        "limited": (numbers.joints.limited, np.isfinite(tendons.range)),
        "dry": (numbers.dofs.frictionloss, tendons.frictionloss),
        "tied": (len(numbers.equalities),),
        "stiff": (robot.stiffness, numbers.joints.stiffness, tendons.stiffness),
        "damped": (robot.damping, tendons.damping),
        "held": (numbers.bodies.gravcomp,),
    }.items():
        assert len({bool(np.any(each)) for each in there}) == 1, name
        found |= set() if np.any(there[0]) else {name}
    assert found == set(left_out.split())


def test_actuators_that_are_switched_off_exert_nothing(tmp_path):
    off = '<actuator><position name="p" joint="j" kp="3" group="2"/><motor name="m" joint="j"/></actuator>'
    for option, forceless in (('actuatorgroupdisable="2"', [True, False]), ("", [True, True])):
        flag = "" if option else '<flag actuation="disable"/>'
        text = f"<mujoco><option {option}>{flag}</option>{BODY.format(joint='', geom='')}{off}</mujoco>"
        rows = numbers_of(from_text(tmp_path, text)[0]).actuators
        assert [not (gain.any() or bias.any()) for gain, bias in zip(rows.gain, rows.bias, strict=True)] == forceless


def test_contacts_that_a_flag_overrides_have_its_numbers(tmp_path):
    option = '<option o_margin="0.02" o_solref="0.03 1.2" o_solimp=".7 .8 .01 .4 3" o_friction=".6 .6 .01 .002 .002">'
    text = f"<mujoco>{option}<flag override='enable'/></option>{BODY.format(joint='', geom='')}</mujoco>"
    (geom,) = from_text(tmp_path, text)[0].geoms
    both = mix(geom, geom)
    assert (
        both.margin == 0.02 and both.solref.tolist() == [0.03, 1.2] and both.solimp.tolist() == [0.7, 0.8, 0.01, 0.4, 3]
    )
    assert both.friction.tolist() == [0.6, 0.6, 0.01, 0.002, 0.002]
