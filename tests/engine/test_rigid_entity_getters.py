"""Rigid entities: what is read from a state and from a step, and its gradients."""

import weakref

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.loaders import rotations
from genesis.math import quaternion
from tests.engine.rigid_scenes import ELBOW, N_DOFS, N_LINKS, SLIDER

real = torch.float64
pytestmark = pytest.mark.precision("64")
OUTPUTS = ("contacts", "link_wrench", "link_acceleration")


def turned(angle, axis):
    return torch.tensor([np.cos(angle / 2), *(np.sin(angle / 2) * np.array(axis, float))], dtype=real)


def test_poses_are_composed(rigid):
    scene, robot, _ = rigid(boxes=1)
    base, ball = turned(0.4, [0, 0, 1]), turned(0.7, [1, 0, 0])
    q = torch.cat([torch.tensor([1.0, 2.0, 3.0], dtype=real), base, ball, torch.tensor([0.3, 0.05], dtype=real)])
    robot.set_qpos(q)
    model = robot.model
    poses = [(q[:3].numpy(), base.numpy())]
    rest = rotations.compose(poses[0], (model.link_pos[1], model.link_quat[1]))
    anchor = np.array(model.joints[1].anchor)
    at = rotations.compose(rest, (anchor, ball.numpy()))
    poses.append((at[0] - rotations.rotate(at[1], anchor), at[1]))
    hinge = (model.link_pos[2], turned(0.3, [0, 1, 0]).numpy())
    poses.append(rotations.compose(poses[1], hinge))
    poses.append(rotations.compose(poses[0], (model.link_pos[3] + [0.0, 0.0, 0.05], model.link_quat[3])))
    assert torch.allclose(robot.get_links_pos()[1], torch.tensor(np.stack([p for p, _ in poses])), atol=1e-12)
    quats = torch.tensor(np.stack([r for _, r in poses]))
    assert torch.allclose((robot.get_links_quat()[1] * quats).sum(-1).abs(), torch.ones(4, dtype=real), atol=1e-12)
    assert torch.equal(robot.get_links_pos([2, 0], envs_idx=1), robot.get_links_pos()[1:2, [2, 0]])
    assert torch.equal(robot.get_links_quat(1)[:, 0], robot.get_links_quat()[:, 1])
    assert robot.get_pos().tolist() == [[1.0, 2.0, 3.0]] * 3
    assert torch.allclose(robot.get_quat(), base)
    assert robot.get_links_pos().scene is scene


def test_velocities_are_those_of_the_frames_origins(rigid):
    _, robot, _ = rigid()
    robot.set_quat(turned(0.5, [0, 0, 1]))
    vel = torch.zeros(N_DOFS, dtype=real)
    vel[:3], vel[5], vel[SLIDER] = torch.tensor([0.1, 0.2, 0.3]), 2.0, 0.7
    robot.set_dofs_velocity(vel)
    base = robot.get_pos()
    arms = robot.get_links_pos()[:, 1] - base
    spin = torch.tensor([0.0, 0.0, 2.0], dtype=real)
    assert torch.allclose(robot.get_vel(), vel[:3]) and torch.allclose(robot.get_ang(), spin)
    assert torch.allclose(robot.get_links_vel(1)[:, 0], vel[:3] + torch.linalg.cross(spin.expand(3, 3), arms))
    assert torch.allclose(robot.get_links_vel(3)[:, 0], torch.tensor([0.1, 0.2, 1.0], dtype=real))
    assert torch.allclose(robot.get_links_ang(), spin)


def test_every_read_out_is_differentiable(rigid):
    scene, robot, (body,) = rigid(boxes=1)
    torch.manual_seed(2)
    vel = torch.randn(3, N_DOFS, dtype=real, requires_grad=True)
    turn, place = torch.randn(2, 3, 3, dtype=real)
    joints = (0.5 * torch.randn(3, 5, dtype=real)).requires_grad_()

    def read(turn, place, joints, vel):
        scene.reset()
        robot.set_quat(quaternion.from_rotation_vector(turn))
        robot.set_pos(place)
        robot.set_dofs_position(joints, range(6, N_DOFS))
        robot.set_dofs_velocity(vel)
        getters = (robot.get_links_pos, robot.get_links_quat, robot.get_links_vel, robot.get_links_ang)
        return *(getter() for getter in getters), robot.get_vel(), robot.get_ang(), robot.get_dofs_position()

    assert torch.autograd.gradcheck(read, (turn.requires_grad_(), place.requires_grad_(), joints, vel))


def test_a_state_is_read_once(rigid):
    scene, robot, (body,) = rigid(boxes=1)
    counted = []
    reader, readout = scene._built.simulator.readers["rigid"], scene._built.simulator.readers["rigid"].readout
    reader.readout = lambda values: counted.append(1) or readout(values)
    vel = torch.randn(N_DOFS, dtype=real, requires_grad=True)
    robot.set_dofs_velocity(vel)
    robot.get_links_pos(), robot.get_vel(), body.get_links_ang(), robot.get_state()
    assert len(counted) == 1
    robot.control_dofs_force(0.0)
    loss = robot.get_links_vel().sum()
    with torch.no_grad():
        assert not robot.get_links_vel().requires_grad
    assert len(counted) == 3  # a control is set; grad mode is off
    loss.backward()
    first = vel.grad.clone()
    robot.get_links_vel().sum().backward()  # the first pass has used up the graph
    assert torch.allclose(vel.grad, 2 * first)
    with torch.no_grad():
        robot.get_links_pos()[0] += 1.0
    assert robot.get_links_pos()[0, 0].tolist() == [0.1, 0.2, 0.5]
    scene.step()
    assert robot.get_links_pos()[0, 0, 2] != 0.5


def test_the_state_is_upstream_of_what_is_read(rigid):
    scene, robot, _ = rigid()
    robot.set_dofs_velocity(torch.randn(N_DOFS, dtype=real, requires_grad=True))
    scene.step()
    loss = robot.get_links_pos().sum() + robot.get_pos().sum()
    state = scene.get_state().rigid
    (grad,) = torch.autograd.grad(loss, state.qpos)
    assert (grad[:, :3] == N_LINKS + 1).all()
    (pose,) = torch.autograd.grad(robot.get_links_vel()[:, 0].sum(), robot.get_state().dofs_vel)
    assert (pose[:, :3] == 1).all()


def test_second_derivatives_of_read_outs_are_refused(rigid):
    _, robot, _ = rigid()
    vel = torch.randn(N_DOFS, dtype=real, requires_grad=True)
    robot.set_dofs_velocity(vel)
    (grad,) = torch.autograd.grad(robot.get_links_vel().square().sum(), vel, create_graph=True)
    with pytest.raises(gs.GenesisException, match="must be of first order"):
        grad.sum().backward()


def test_a_failed_environment_poisons_no_read_out(rigid):
    scene, robot, _ = rigid(ground=False)
    vel = torch.ones(3, N_DOFS, dtype=real)
    vel[1, 0] = 1e300
    vel.requires_grad_()
    robot.set_dofs_velocity(vel)
    scene.step()
    assert scene.failures
    pos = robot.get_links_pos()
    healthy = torch.where(torch.isfinite(pos), pos, 0.0).sum()
    (grad,) = torch.autograd.grad(healthy, vel)
    assert torch.isfinite(grad).all() and not grad[1].any() and grad[[0, 2]].any()


def test_nothing_is_kept_of_a_scene(rigid):
    scene, robot, _ = rigid()
    robot.set_dofs_velocity(torch.randn(N_DOFS, dtype=real, requires_grad=True))
    scene.step()
    loss = robot.get_links_pos().sum()
    found = weakref.ref(scene)
    del scene, robot, _
    assert found() is None, "no cycle of references keeps it"
    loss.backward()


def test_control_force_follows_its_law(rigid):
    _, robot, _ = rigid()
    kp, kv = robot.get_dofs_kp(ELBOW), robot.get_dofs_kv(ELBOW)
    assert kp.tolist() == [[5.0]] * 3 and kv.tolist() == pytest.approx(np.array([[0.4]] * 3))
    robot.set_dofs_position([[0.1], [0.2], [-0.9]], dofs_idx_local=ELBOW)
    robot.set_dofs_velocity(0.5, dofs_idx_local=ELBOW)
    robot.control_dofs_position(0.3, dofs_idx_local=ELBOW)
    expected = [5 * 0.2 - 0.4 * 0.5, 5 * 0.1 - 0.4 * 0.5, 2.0]
    assert robot.get_dofs_control_force(ELBOW)[:, 0].tolist() == pytest.approx(expected)
    robot.control_dofs_velocity(-0.5, dofs_idx_local=ELBOW, envs_idx=[0])
    robot.control_dofs_force(-7.0, dofs_idx_local=ELBOW, envs_idx=[1])
    assert robot.get_dofs_control_force([SLIDER, ELBOW])[:, 1].tolist() == pytest.approx([-0.4, -2.0, 2.0])
    target = torch.tensor([0.25], dtype=real, requires_grad=True)
    robot.control_dofs_position(target, dofs_idx_local=ELBOW)
    (grad,) = torch.autograd.grad(robot.get_dofs_control_force().sum(), target)
    assert grad.item() == pytest.approx(10.0)  # one environment is at its limit


def test_what_was_not_asked_for_at_build(rigid):
    _, robot, _ = rigid()
    calls = {
        "contacts": (robot.get_contacts,),
        "link_wrench": (robot.get_links_wrench, lambda: robot.get_force_torque(0)),
        "link_acceleration": (robot.get_links_acceleration, lambda: robot.get_imu("base")),
    }
    for name, getters in calls.items():
        for getter in getters:
            with pytest.raises(RuntimeError, match=rf'asked for at build.*outputs=\("{name}",\)'):
                getter()


def test_a_box_at_rest_is_carried(rigid):
    """Contacts carry the weight, the IMU feels it, and links that nothing moves transmit what they must."""
    scene, robot, (body,) = rigid(boxes=1, outputs=OUTPUTS, requires_grad=False)
    contacts = body.get_contacts()
    assert contacts.force.shape == contacts.position.shape == (3, 1, 3) and contacts.geom_names == ("box",)
    assert not contacts.force.any() and not body.get_links_wrench().any() and not body.get_links_acceleration().any()
    for _ in range(150):
        scene.step()
    contacts = body.get_contacts()
    weight = torch.tensor([0.0, 0.0, 2.0 * 9.81], dtype=real)
    assert torch.allclose(contacts.force.sum(1), weight, atol=1e-3)
    assert torch.allclose(contacts.impulse, contacts.force * 0.01)
    middle = torch.tensor([2.0, 0.0], dtype=real)  # of the four corners that touch
    assert torch.allclose(contacts.position[0, 0, :2], middle, atol=1e-3)
    felt, spin = body.get_imu("box")
    assert torch.allclose(felt, torch.tensor([0.0, 0.0, 9.81], dtype=real), atol=1e-3)
    assert torch.allclose(spin, torch.zeros((), dtype=real), atol=1e-4)
    assert robot.get_contacts(envs_idx=[2]).force.shape == (1, 3, 3)
    assert robot.get_contacts().geom_names == ("ball", "hand", "palm")
    assert robot.get_contacts().link_idx.tolist() == [0, 2, 2]
    scene.reset(envs_idx=[1])
    assert body.get_contacts().force.any(-1).any(-1).tolist() == [True, False, True]


@pytest.mark.parametrize("grad", [True, False])
def test_a_force_sensor_feels_what_hangs_on_the_joint(rigid, grad):
    """Afloat, a link is pushed from outside: mass times acceleration is the push and what the joint transmits."""
    scene, robot, _ = rigid(boxes=1, outputs=OUTPUTS, ground=False, gravity=(0.0, 0.0, 0.0), requires_grad=grad)
    robot.set_quat(turned(0.5 * np.pi, [1, 0, 0]))
    push = torch.tensor([0.3, 0.0, 0.0], dtype=real, requires_grad=grad)
    robot.set_links_wrench(force=push, links_idx_local=robot.get_link("slider").idx_local)
    scene.step()
    sensed = robot.get_force_torque("slider")
    link = robot.get_link("slider").idx_local
    acceleration = robot.get_links_acceleration(link)[:, 0]
    com = torch.tensor(robot.model.com[link])
    lever = quaternion.rotate(robot.get_links_quat(link)[:, 0], com.expand(3, 3))
    force = 0.3 * (acceleration[:, :3] + torch.linalg.cross(acceleration[:, 3:], lever))
    force = force - push
    into = quaternion.conjugate(robot.get_links_quat(link)[:, 0])
    assert torch.allclose(sensed[:, :3], quaternion.rotate(into, force), atol=5e-3)
    assert torch.equal(robot.get_force_torque(robot.links[link], envs_idx=1), sensed[1:2])
    wrong = (3.0, None)
    for link in wrong:
        with pytest.raises(TypeError, match="link must be a link, its name or its index"):
            robot.get_force_torque(link)


def test_lookup(rigid):
    _, robot, _ = rigid(boxes=1)
    assert (robot.n_links, robot.n_joints, robot.n_qs, robot.n_dofs) == (4, 4, 13, 11)
    elbow = robot.get_joint("elbow")
    assert (elbow.dofs_idx_local, elbow.qs_idx_local, elbow.link_idx_local, elbow.kind) == ((9,), (11,), 2, "hinge")
    assert elbow.limits == ((-1.0, 1.0),)
    link = robot.get_link("fore")
    assert (link.idx_local, link.parent_idx_local, link.joints) == (2, 1, (elbow,))
    assert robot.base_link.name == "base" and [a.name for a in robot.actuators] == ["elbow"]
