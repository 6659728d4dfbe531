"""Bodies on bodies at the defaults of morphs: they come to rest, stand where MuJoCo says, and gain no energy."""

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from tests.rigid.rigid_worlds import plain

EDGE = 0.1
DT = 0.01


def stack(n_boxes, ratio=1.0):
    """A scene of boxes on each other, the density of the topmost `ratio` times that of the lowest; and they."""
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=DT, substeps=1))
    scene.add_entity(gs.morphs.Plane())
    boxes = []
    for k in range(n_boxes):
        rho = 1000.0 * ratio ** (k / max(1, n_boxes - 1))
        morph = gs.morphs.Box(size=(EDGE,) * 3, pos=(0, 0, EDGE * (k + 0.5)))
        boxes.append(scene.add_entity(morph, gs.materials.Rigid(rho=rho)))
    scene.build()
    return scene, boxes


def heights(scene, boxes, seconds):
    """Of the boxes' centres, and the largest speed of any of them."""
    with torch.no_grad():
        for _ in range(round(seconds / DT)):
            scene.step()
    assert scene.failures == []
    speed = max(float(plain(box.get_vel()).norm()) for box in boxes)
    return np.array([float(plain(box.get_pos())[0, 2]) for box in boxes]), speed


def in_mujoco(n_boxes, ratio, seconds):
    """The same heights there."""
    bodies = "".join(
        f'<body pos="0 0 {EDGE * (k + 0.5)}"><freejoint/><geom type="box" size="{EDGE / 2} {EDGE / 2} {EDGE / 2}" '
        f'friction="0.7 0.005 0.0001" density="{1000.0 * ratio ** (k / max(1, n_boxes - 1))}"/></body>'
        for k in range(n_boxes)
    )
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="{DT}" integrator="implicitfast"/><worldbody><geom type="plane" size="9 9 1"/>'
        f"{bodies}</worldbody></mujoco>"
    )
    data = mujoco.MjData(model)
    for _ in range(round(seconds / DT)):
        mujoco.mj_step(model, data)
    return data.qpos.reshape(-1, 7)[:, 2]


@pytest.mark.parametrize(
    ("n_boxes", "ratio"), [(3, 30.0), pytest.param(10, 1.0, marks=pytest.mark.slow), (2, 300.0)], ids=str
)
def test_a_stack_comes_to_rest_where_mujocos_does(n_boxes, ratio):
    """Below 1 mm/s after 3 s, no deeper than MuJoCo's by a tenth of a depth."""
    found, speed = heights(*stack(n_boxes, ratio), 3.0)
    assert speed < 1e-3
    fallen = EDGE * (np.arange(n_boxes) + 0.5) - found
    wanted = EDGE * (np.arange(n_boxes) + 0.5) - in_mujoco(n_boxes, ratio, 3.0)
    print(fallen, wanted)
    assert np.abs(fallen - wanted).max() < 0.1 * np.abs(wanted).max()


KINDS = (
    gs.morphs.Sphere(radius=0.1),
    gs.morphs.Capsule(radius=0.06, height=0.2),
    gs.morphs.Box(size=(0.2, 0.15, 0.1)),
    gs.morphs.Sphere(radius=0.05),
    gs.morphs.Capsule(radius=0.1, height=0.1),
    gs.morphs.Box(size=(0.1, 0.1, 0.3)),
)


class Gas:
    """Six bodies in zero gravity that fly at each other, at 0.5 to 20 m/s and up to 20 rad/s, masses 1 : 100."""

    def __init__(self, n_envs, seed=0):
        rng = np.random.default_rng(seed)
        self.scene = gs.Scene(sim_options=gs.options.SimOptions(dt=DT, substeps=1, gravity=(0.0, 0.0, 0.0)))
        self.bodies = [self.scene.add_entity(morph) for morph in KINDS]
        self.scene.build(n_envs=n_envs)
        real = gs.tc_float
        corners = 0.6 * np.array([[i, j, k] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)])
        self.weights = []
        for corner, body in zip(corners, self.bodies, strict=False):
            scale = torch.as_tensor(10 ** rng.uniform(-1, 1, n_envs), dtype=real)
            mass, inertia = plain(body.get_links_mass()) * scale[:, None], plain(body.get_links_inertia())
            inertia = inertia * scale[:, None, None]
            body.set_mass(mass)
            body.set_inertia(inertia)
            body.refresh_invweights()
            place = corner + 0.05 * rng.normal(size=(n_envs, 3))
            way = 0.1 * rng.normal(size=(n_envs, 3)) - place
            speed = rng.uniform(0.5, 20.0, (n_envs, 1)) * way / np.linalg.norm(way, axis=1, keepdims=True)
            quat = rng.normal(size=(n_envs, 4))
            body.set_pos(torch.as_tensor(place, dtype=real))
            body.set_quat(torch.as_tensor(quat / np.linalg.norm(quat, axis=1, keepdims=True), dtype=real))
            spin = rng.uniform(-20.0, 20.0, (n_envs, 3))
            body.set_dofs_velocity(torch.as_tensor(np.concatenate([speed, spin], 1), dtype=real))
            self.weights.append((mass[:, 0].double(), inertia[:, 0, :3].double()))

    def energy(self):
        """(B,) J, kinetic; the bodies' frames are those of their principal moments."""
        total = torch.zeros(1, dtype=torch.float64)
        for body, (mass, moments) in zip(self.bodies, self.weights, strict=True):
            v = plain(body.get_dofs_velocity()).double()
            total = total + 0.5 * (mass * v[:, :3].square().sum(1) + (moments * v[:, 3:].square()).sum(1))
        return total


@pytest.mark.slow
def test_collisions_gain_no_energy():
    """However six bodies of three kinds meet, kinetic energy ends at most a thousandth above that of the start."""
    gas = Gas(n_envs=350)
    start = gas.energy()
    with torch.no_grad():
        for _ in range(100):
            gas.scene.step()
    assert gas.scene.failures == []
    ratio = gas.energy() / start
    print(f"energy left: median {ratio.median():.3f}, most {ratio.max():.4f}")
    assert ratio.median() < 0.9
    assert ratio.max() < 1.001
