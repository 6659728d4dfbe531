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
        f'<mujoco><option timestep="{DT}" integrator="implicitfast"/><worldbody>'
        '<geom type="plane" size="9 9 1" friction="0.7 0.005 0.0001"/>'
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
    (gs.morphs.Sphere(radius=0.1), 0.1),
    (gs.morphs.Sphere(radius=0.06), 0.06),
    (gs.morphs.Capsule(radius=0.05, height=0.3), 0.2),
    (gs.morphs.Capsule(radius=0.1, height=0.15), 0.175),
    (gs.morphs.Box(size=(0.4, 0.1, 0.06)), 0.21),
    (gs.morphs.Box(size=(0.2, 0.15, 0.1)), 0.135),
)
"""Bodies, and the radii of balls around them."""
PLACES = np.array([[0.0, 0.0, 0.0], [60.0, 0.0, 0.0], [0.0, 60.0, 0.0]])


class Collisions:
    """In each environment three pairs of bodies that fly at each other without gravity, far from the other pairs: at
    0.5 to 20 m/s, more or less centrally, turning at up to 35 rad/s, their masses 1:100 to 100:1."""

    def __init__(self, n_envs, seed=0):
        rng = np.random.default_rng(seed)
        self.scene = gs.Scene(sim_options=gs.options.SimOptions(gravity=(0.0, 0.0, 0.0)))
        self.bodies = [self.scene.add_entity(morph) for morph, _ in KINDS]
        self.scene.build(n_envs=n_envs)
        self.pairs = np.stack([rng.permutation(len(KINDS)) for _ in range(n_envs)]).reshape(n_envs, 3, 2)
        place, velocity, factor = self.thrown(rng, n_envs)
        self.weights = []
        for k, body in enumerate(self.bodies):
            scale = torch.as_tensor(factor[:, k], dtype=gs.tc_float)
            mass = plain(body.get_links_mass()) * scale[:, None]
            inertia = plain(body.get_links_inertia()) * scale[:, None, None]
            body.set_mass(mass)
            body.set_inertia(inertia)
            body.refresh_invweights()
            quat = rng.normal(size=(n_envs, 4))
            body.set_pos(torch.as_tensor(place[:, k], dtype=gs.tc_float))
            body.set_quat(torch.as_tensor(quat / np.linalg.norm(quat, axis=1, keepdims=True), dtype=gs.tc_float))
            body.set_dofs_velocity(torch.as_tensor(velocity[:, k], dtype=gs.tc_float))
            self.weights.append((mass[:, 0].double(), inertia[:, 0, :3].double()))

    def thrown(self, rng, n_envs):
        """(B, 6, 3), (B, 6, 6), (B, 6): places, velocities, and factors of the masses."""
        own = np.array([float(plain(body.get_links_mass())[0, 0]) for body in self.bodies])
        reach, envs = np.array([radius for _, radius in KINDS]), np.arange(n_envs)
        place, velocity = np.zeros((n_envs, len(KINDS), 3)), np.zeros((n_envs, len(KINDS), 6))
        factor = np.ones((n_envs, len(KINDS)))
        velocity[:, :, 3:] = rng.uniform(-20.0, 20.0, (n_envs, len(KINDS), 3))
        for where, (a, b) in zip(PLACES, self.pairs.transpose(1, 2, 0), strict=True):
            way, across = rng.normal(size=(2, n_envs, 3))
            way /= np.linalg.norm(way, axis=1, keepdims=True)
            side = np.cross(way, across)
            side /= np.linalg.norm(side, axis=1, keepdims=True)
            speed, share, later, off = rng.uniform(size=(4, n_envs, 1))
            speed, both = 0.5 + 19.5 * speed, (reach[a] + reach[b])[:, None]
            place[envs, a] = where
            place[envs, b] = where + (both + later * speed * DT) * way + off * both * side
            velocity[envs, a, :3], velocity[envs, b, :3] = share * speed * way, (share - 1.0) * speed * way
            factor[envs, b] = 10.0 ** rng.uniform(-2.0, 2.0, n_envs) * own[a] / own[b]
        return place, velocity, factor

    def energy(self):
        """(B, 3) J, kinetic, of the pairs; the bodies' frames are those of their principal moments."""
        each = []
        for body, (mass, moments) in zip(self.bodies, self.weights, strict=True):
            v = plain(body.get_dofs_velocity()).double()
            each.append(0.5 * (mass * v[:, :3].square().sum(1) + (moments * v[:, 3:].square()).sum(1)))
        return np.take_along_axis(torch.stack(each, 1).numpy()[:, None], self.pairs, 2).sum(2)


@pytest.mark.slow
@pytest.mark.precision("64")
def test_collisions_gain_no_energy():
    """However two bodies meet, their kinetic energy ends at most a thousandth above that of the start."""
    collisions = Collisions(n_envs=704)
    start = collisions.energy()
    with torch.no_grad():
        for _ in range(50):
            collisions.scene.step()
    assert collisions.scene.failures == []
    ratio = collisions.energy() / start
    print(
        f"energy left: median {np.median(ratio):.3f}, most {ratio.max():.5f}, above 1.0001: {(ratio > 1.0001).mean()}"
    )
    assert (ratio < 0.99).mean() > 0.5  # most have met
    assert ratio.max() < 1.001
