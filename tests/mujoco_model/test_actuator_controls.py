"""What `control_actuators` does beside `control_dofs_…`; activations as a part of states; what is refused by name."""

import logging

import pytest
import torch

import genesis as gs
from genesis.options import CompliantContact, MujocoContact, RigidOptions
from tests.mujoco_model.actuated import Pair, arm
from tests.rigid.rigid_models import file_of

pytestmark = pytest.mark.precision("64")

ARM = """
<mujoco model="arm"><option timestep="0.004" integrator="{integrator}"/><default><geom contype="0"
conaffinity="0"/></default><worldbody>
<body name="u"><joint name="j0" axis="0 1 0" damping="0.1" armature="0.05"/>
<geom size="0.05" pos="0.1 0 -0.2" mass="1"/>
<body name="v" pos="0 0 -0.3"><joint name="j1" axis="0 1 0" damping="0.1" armature="0.05"/>
<geom size="0.05" pos="0 0 -0.2" mass="1"/>
<body name="w" pos="0 0 -0.3"><joint name="j2" type="slide" axis="1 0 0" armature="0.05"/>
<joint name="j3" {last}/><geom size="0.05" pos="0 0 -0.1" mass="1"/></body></body></body></worldbody>{more}</mujoco>
"""
SIMPLE = """<actuator><motor name="m" joint="j0" gear="1.7" ctrllimited="true" ctrlrange="-1 1.2"/>
<position name="p" joint="j1" gear="0.7" kp="12" kv="0.4" ctrllimited="true" ctrlrange="-0.5 0.4"/>
<velocity name="v" joint="j2" gear="-1.3" kv="2"/><position name="q" joint="j3" kp="9"/></actuator>"""
TENDON = '<tendon><fixed name="t"><joint joint="j0" coef="1"/><joint joint="j1" coef="-2"/></fixed></tendon>'


def arm_text(more, last=""):
    """With the kernels of test_actuators where actuators have a law of their own, else with those of any robot."""
    integrator = "implicitfast" if "<general" in more or "<tendon" in more else "Euler"
    return ARM.format(more=more, last=last, integrator=integrator)


def arm_of(more, contact=None, last='axis="0 1 0"', n_envs=3, **sim):
    text = arm_text(more, last)
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.004, substeps=1, **sim),
        rigid_options=RigidOptions(contact=contact or MujocoContact()),
    )
    robot = scene.add_entity(gs.morphs.MJCF(file=file_of(text)))
    scene.build(n_envs=n_envs)
    return scene, robot


def plain(value):
    return value.detach().as_subclass(torch.Tensor)


def controls(scene):
    return plain(scene.get_state()["rigid"].dofs)


CTRL = torch.tensor([[2.0, 0.3, -0.7, 0.1], [0.4, -0.9, 0.2, -0.3], [-3.0, 0.1, 0.5, 0.0]])


@pytest.mark.parametrize("contact", [CompliantContact(), MujocoContact()], ids=["compliant", "mujoco"])
def test_motors_and_servos_are_what_control_dofs_makes_of_them(contact):
    """To the bit, in MuJoCo's units: cut off at the control's range, then times or over gear."""
    scene, robot = arm_of(SIMPLE, contact)
    assert robot.actuator_names == ("m", "p", "v", "q") and robot.n_actuators == 4
    ctrl = CTRL.to(gs.tc_float)
    robot.control_dofs_force(1.7 * ctrl[:, :1].clamp(-1.0, 1.2), dofs_idx_local=[0])
    robot.control_dofs_position(ctrl[:, 1:2].clamp(-0.5, 0.4) / 0.7, dofs_idx_local=[1])
    robot.control_dofs_velocity(ctrl[:, 2:3] / -1.3, dofs_idx_local=[2])
    robot.control_dofs_position(ctrl[:, 3:], dofs_idx_local=[3])
    wanted = controls(scene)
    scene.reset()
    robot.control_actuators(CTRL)
    assert torch.equal(controls(scene), wanted)
    state = scene.get_state()["rigid"]
    assert state.ctrl is None and state.activation is None and robot.get_actuators_activation().shape == (3, 0)


def test_the_last_call_counts_for_motors_and_servos():
    scene, robot = arm_of(SIMPLE)
    robot.control_actuators(CTRL)
    before = controls(scene)
    robot.control_dofs_force(5.0, dofs_idx_local=[1])
    robot.control_actuators([0.2, -0.1], actuators_idx_local=[3, 0], envs_idx=[2])
    after = controls(scene)
    assert torch.equal(after[:2, [0, 2, 3]], before[:2, [0, 2, 3]]) and torch.equal(after[:, 2], before[:, 2])
    assert torch.equal(after[:, 1], torch.tensor([5.0, 0, 0, 0, 0], dtype=gs.tc_float).expand(3, -1))
    assert torch.allclose(after[2, [0, 3]], torch.tensor([[-0.17, 0, 0, 0, 0], [0, 0.2, 0, 1, 1]], dtype=gs.tc_float))


def test_both_servos_of_a_joint_keep_each_others_control():
    servos = (
        '<actuator><position name="p" joint="j0" kp="5"/><velocity name="v" joint="j0" kv="2" gear="2"/></actuator>'
    )
    scene, robot = arm_of(servos)
    robot.control_actuators([0.3, 0.8])
    both = controls(scene)
    assert torch.allclose(both[0, 0], torch.tensor([0.0, 0.3, 0.4, 1.0, 1.0], dtype=gs.tc_float))
    scene.reset()
    robot.control_dofs_force(7.0, dofs_idx_local=[0])
    robot.control_actuators(0.3, actuators_idx_local=[0])
    robot.control_actuators(0.8, actuators_idx_local=1)
    assert torch.equal(controls(scene), both)


def test_some_of_several_motors_of_a_joint_are_refused_where_they_are_one_force():
    motors = '<actuator><motor name="a" joint="j0"/><motor name="b" joint="j0" gear="3"/></actuator>'
    scene, robot = arm_of(motors, CompliantContact())
    robot.control_actuators([1.0, 2.0])
    assert float(controls(scene)[0, 0, 0]) == 7.0
    with pytest.raises(gs.GenesisException, match="must hold all actuators of one kind.*without 'b'"):
        robot.control_actuators(1.0, actuators_idx_local=[0])
    _, other = arm_of(motors)
    other.control_actuators([1.0, 2.0])
    other.control_actuators(-1.0, actuators_idx_local=[0])
    assert float(plain(other.get_dofs_control_force())[0, 0]) == 5.0


def test_what_dofs_are_asked_for_is_added_to_actuators_with_a_law_of_their_own():
    more = TENDON + '<actuator><motor name="t" tendon="t" gear="2"/><motor name="m" joint="j3"/></actuator>'
    _, robot = arm_of(more)
    robot.control_actuators([1.5, 0.25])
    robot.control_dofs_force([0.5, 0.5, 0.5], dofs_idx_local=[0, 1, 2])
    wanted = torch.tensor([3.5, -5.5, 0.5, 0.25], dtype=gs.tc_float)
    assert torch.allclose(plain(robot.get_dofs_control_force()), wanted.expand(3, -1))


FILTER = '<actuator><general name="f" joint="j0" dyntype="filter" dynprm="0.1" gainprm="2"/></actuator>'


def test_activations_are_a_part_of_the_state(tmp_path):
    """Kept, reset for some, saved, loaded into another scene, and gone on with to the bit."""
    scene, robot = arm_of(FILTER)
    robot.control_actuators([[1.0], [2.0], [3.0]])
    scene.step()
    first = plain(robot.get_actuators_activation())
    assert torch.allclose(first, torch.tensor([[0.04], [0.08], [0.12]], dtype=gs.tc_float))
    kept = scene.get_state()
    torch.save(kept, tmp_path / "state.pt")
    scene.step()
    after = plain(robot.get_qpos())
    scene.reset(envs_idx=[1])
    assert torch.equal(plain(robot.get_actuators_activation())[1], torch.zeros(1, dtype=gs.tc_float))
    other, twin = arm_of(FILTER)
    other.reset(torch.load(tmp_path / "state.pt"))
    assert torch.equal(plain(twin.get_actuators_activation()), first)
    other.step()
    assert torch.equal(plain(twin.get_qpos()), after)
    without = arm_of(FILTER.replace("filter", "none").replace('dynprm="0.1"', ""))[0].get_state()
    with pytest.raises(gs.GenesisException, match="activation"):
        other.reset(without)


def test_a_failed_environment_takes_its_activation_along():
    scene, robot = arm_of(FILTER)
    robot.control_actuators([[1.0], [2.0], [3.0]])
    robot.set_dofs_velocity([2e4, 0.0, 0.0, 0.0], envs_idx=[1])
    scene.step()
    activation = plain(robot.get_actuators_activation())
    assert scene.failures[0].env == 1
    assert torch.isfinite(activation).all(1).tolist() == [True, False, True]


def test_robots_in_one_scene_have_their_own_actuators():
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=0.004, substeps=1), rigid_options=RigidOptions(contact=MujocoContact())
    )
    texts = (TENDON + FILTER.replace("j0", "j1"), SIMPLE, TENDON + '<actuator><motor name="t" tendon="t"/></actuator>')
    robots = [
        scene.add_entity(gs.morphs.MJCF(file=file_of(arm_text(more).replace("Euler", "implicitfast")), pos=(k, 0, 0)))
        for k, more in enumerate((*texts, FILTER))
    ]
    scene.build(n_envs=2)
    for k, robot in enumerate(robots):
        robot.control_actuators([1.0 + k] * robot.n_actuators)
    robots[3].set_actuators_activation([[0.5], [0.7]])
    robots[3].set_actuators_gain([[[3.0, 0.0, 0.0]], [[4.0, 0.0, 0.0]]])
    assert plain(robots[0].get_actuators_activation()).flatten().tolist() == [0.0, 0.0]
    assert torch.allclose(plain(robots[3].get_dofs_control_force())[:, 0], torch.tensor([1.5, 2.8], dtype=gs.tc_float))
    found = plain(robots[2].get_dofs_control_force())[:, :2]
    assert torch.allclose(found, torch.tensor([3.0, -6.0], dtype=gs.tc_float))
    scene.step()
    assert torch.allclose(plain(robots[0].get_actuators_activation()), torch.full((2, 1), 0.04, dtype=gs.tc_float))
    wanted = torch.tensor([[0.5 + 0.04 * 3.5], [0.7 + 0.04 * 3.3]], dtype=gs.tc_float)
    assert torch.allclose(plain(robots[3].get_actuators_activation()), wanted)


def test_gains_and_biases_are_per_environment():
    """As MuJoCo with each environment's own numbers."""
    pair = Pair(arm(5, "implicitfast"), 4)
    states, ctrl = pair.states(0), pair.controls(0, 1)
    others = pair.robot.model.actuator_table.others
    generator = torch.Generator().manual_seed(0)
    gain, bias = (torch.rand(4, len(others), 3, generator=generator, dtype=torch.float64) - 0.5 for _ in range(2))
    pair.robot.set_actuators_gain(gain)
    pair.robot.set_actuators_bias(bias)
    found = pair.ours(states, ctrl)
    for b in range(4):
        for k, index in enumerate(others):
            pair.m.actuator_gaintype[index] = pair.m.actuator_biastype[index] = 1
            pair.m.actuator_gainprm[index, :3], pair.m.actuator_biasprm[index, :3] = gain[b, k], bias[b, k]
        assert abs(found[b] - pair.theirs(states, ctrl)[b]).max() < 1e-11


@pytest.mark.parametrize(
    "more, last, part",
    [
        ('<actuator><motor name="x" joint="j3" gear="1 0 0"/><motor name="y" joint="j3" gear="1 0 0"/></actuator>',
         'type="ball"', "'x' .more than a servo alone on an axis of ball joint 'j3'"),
        ('<actuator><general name="f" joint="j3" gear="1 0 0" dyntype="filter" dynprm="1"/></actuator>',
         'type="ball"', "actuator 'f' .more than a servo alone on an axis of ball joint"),
        ('<actuator><muscle name="pull" joint="j0" lengthrange="0 1"/></actuator>', "", "activation: pull"),
        ('<actuator><motor name="push" body="w"/></actuator>'.replace("motor", "adhesion").replace("<adhesion",
         '<adhesion ctrlrange="0 1"'), "", "transmission: push"),
    ],
)  # fmt: skip
def test_what_has_no_constant_moment_arms_is_refused_by_name(more, last, part):
    with pytest.raises(gs.GenesisException, match=part) as caught:
        arm_of(more, last=last)
    assert "CompliantContact" not in str(caught.value)


@pytest.mark.parametrize(
    "more, last, hint",
    [
        (FILTER, "", "MujocoContact()) has all of these"),
        (TENDON + '<actuator><motor name="t" tendon="t"/></actuator>', "", "MujocoContact()) has all of these"),
        (FILTER.replace("</actuator>", '<muscle name="x" joint="j1" lengthrange="0 1"/></actuator>'), "", None),
        ('<actuator><motor name="x" joint="j3" gear="1 2 0"/></actuator>', 'type="ball"', None),
    ],
)
def test_the_compliant_model_points_to_the_other_only_where_that_helps(more, last, hint):
    with pytest.raises(gs.GenesisException, match="must hold supported elements only") as caught:
        arm_of(more, CompliantContact(), last=last)
    assert ("MujocoContact" in str(caught.value)) == (hint is not None)
    assert hint is None or hint in str(caught.value)


def test_bad_controls_are_refused():
    scene, robot = arm_of(TENDON + SIMPLE.replace("</actuator>", '<motor name="t" tendon="t"/></actuator>'))
    before = [plain(x).clone() for x in (scene.get_state()["rigid"].dofs, scene.get_state()["rigid"].ctrl)]
    for call, part in (
        (lambda: robot.control_actuators([1.0, 2.0]), r"ctrl must have shape \(5,\)"),
        (lambda: robot.control_actuators(float("nan")), "ctrl must be finite"),
        (lambda: robot.control_actuators(1.0, actuators_idx_local=[5]), "must lie in 0 … 4"),
        (lambda: robot.set_actuators_activation(1.0), "must be of a robot with activations"),
        (lambda: robot.set_actuators_gain([1.0, 0.0, 0.0], actuators_idx_local=[2]), "'v', a drive of degree of"),
        (lambda: robot.set_actuators_gain([1.0, float("inf"), 0.0]), "actuator_gain must"),
    ):
        with pytest.raises(gs.GenesisException, match=part):
            call()
    after = scene.get_state()["rigid"]
    assert torch.equal(plain(after.dofs), before[0]) and torch.equal(plain(after.ctrl), before[1])


def test_actuators_that_can_be_left_out_are(caplog):
    with caplog.at_level(logging.WARNING, logger="genesis"):
        model = gs.loaders.load_mjcf(file_of(arm_text(FILTER)), allow=("activation",))
    assert not model.actuators and any("activation (f)" in record.getMessage() for record in caplog.records)
