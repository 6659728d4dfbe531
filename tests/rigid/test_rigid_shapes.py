"""Where shapes touch: lowest points against brute force, terrain against planes, bodies against each other."""

import math

import numpy as np
import pytest
import torch

from genesis.loaders.model import GroundGeom, fuse, place, primitive
from genesis.options import CompliantContact, MujocoContact, RigidOptions
from tests.rigid.rigid_bench import F64, Bench, noise, times
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_models import ROCK, SHAPES, from_text, lone

pytestmark = pytest.mark.precision("64")
# By default friction would hold what moves so little in so short a substep.
HARD = RigidOptions(contact=CompliantContact(stiffness=1e4, smoothing=1e-7, dissipation=0.0, friction_velocity=2e-3))
DEPTH = 1e-5


def unit(*numbers):
    q = np.array(numbers, float)
    return q / np.linalg.norm(q)


def matrix(q):
    w, x, y, z = q
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def lowest(shape, down):
    """The point of a shape of `SHAPES` farthest along `down`, in its own frame."""
    match shape:
        case "sphere":
            return 0.12 * down
        case "capsule":
            return 0.07 * down + np.array([0, 0, 0.12 * np.sign(down[2])])
        case "box":
            return np.sign(down) * [0.12, 0.09, 0.07]
        case "cylinder":
            flat_part = down[:2] / np.linalg.norm(down[:2])
            return np.array([*(0.1 * flat_part), 0.08 * np.sign(down[2])])
        case "ellipsoid":
            axes = np.array([0.14, 0.1, 0.07])
            return axes**2 * down / np.linalg.norm(axes * down)
        case _:
            corners = np.array([float(x) for x in ROCK.split()]).reshape(-1, 3)
            return corners[np.argmax(corners @ down)]


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.3, -0.2, 1.0)])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_deepest_point_touches(shape, normal):
    """Turned at random and just dipped into the ground, it is pushed at its deepest point, by stiffness times depth."""
    model = from_text(lone(shape))
    ground = flat(normal)
    n = np.array(ground.normal)
    own, shift = unit(0.9, 0.2, -0.1, 0.3), np.array([0.02, -0.01, 0.015])  # the shape's pose, as `lone` writes it
    bench = Bench(model, (ground,), HARD, dt=1e-13, substeps=1, outputs=("contacts",))
    for seed in range(5):
        body = unit(*noise(4, seed=seed).tolist())
        if shape == "cylinder":  # The rim is sixteen points: one of them down, and the cylinder on edge.
            half = 0.3 if seed % 2 else 0.8
            body = unit(math.cos(half), 0.0, math.sin(half), 0.0)
            if normal != (0.0, 0.0, 1.0):
                continue
            body = times(torch.tensor(body), torch.tensor(own * [1, -1, -1, -1])).numpy()
        turn = matrix(body) @ matrix(own)
        low = turn @ lowest(shape, turn.T @ -n) + matrix(body) @ shift
        values = bench.initial(1)
        position = 0.3 * noise(3, seed=seed + 9).numpy()
        position += n * (-DEPTH - n @ (position + low))
        values["qpos"][0] = torch.tensor(np.concatenate([position, body]))
        contacts = bench.forward(values)["contacts"][0]
        pushing = contacts[contacts[:, :3].norm(dim=-1) > 0]
        assert len(pushing) == 1, f"{len(pushing)} points"
        force, at = pushing[0, :3].numpy(), pushing[0, 3:].numpy()
        exact = 1e-8 if shape == "hull" else 1e-12  # m; MuJoCo keeps corners of meshes in single precision
        assert np.abs(force - 1e4 * DEPTH * n).max() < 1e4 * exact
        assert np.abs(at - (position + low)).max() < 1e-8


def slope(spacing=0.25, n=9):
    """A height field whose heights are linear, and the plane that it is."""
    x = spacing * (np.arange(n) - n // 2)
    field = GroundGeom("slope", "heightfield", (float(x[0]), float(x[0]), 0.02), (0.0, 0.0, 1.0), 0.4,
                       heights=0.1 * x[:, None] - 0.15 * x[None], spacing=spacing)  # fmt: skip
    return field, flat((-0.1, 0.15, 1.0), height=0.02, friction=0.4)


@pytest.mark.parametrize("shape", SHAPES)
def test_linear_heights_are_a_plane(shape):
    """The same slide down on both, to rounding; forces, places and wrenches too."""
    found = []
    for ground in slope():
        bench = Bench(from_text(lone(shape)), (ground,), dt=0.2, substeps=200, outputs=("contacts", "link_wrench"))
        values = bench.initial(1)
        values["qpos"][0, 2] = 0.2
        values["dofs_vel"] = 0.3 * noise(1, 6, seed=1)
        found.append(bench.forward(values))
    assert found[0]["contacts"].abs().max() > 0
    for name in found[0]:
        scale = 1 + float(found[1][name].abs().max())
        assert (found[0][name] - found[1][name]).abs().max() < 1e-9 * scale, name


def test_terrain_is_level_beyond_its_edges():
    """A ball far outside rests at the height of the nearest edge."""
    x = 0.25 * (np.arange(9) - 4)
    field = GroundGeom("hill", "heightfield", (-1.0, -1.0, 0.0), (0.0, 0.0, 1.0), 0.4,
                       heights=np.broadcast_to(0.1 * x[:, None], (9, 9)), spacing=0.25)  # fmt: skip
    ball, options = primitive("sphere", (0.1,), 1.0, 0.5), RigidOptions(contact=CompliantContact(stiffness=1e4))
    bench = Bench(ball, (field,), options, dt=0.5, substeps=500, outputs=("contacts",))
    values = bench.initial(2)
    values["qpos"][0, :3] = torch.tensor([5.0, 0.0, 0.3])
    values["qpos"][1, :3] = torch.tensor([-5.0, 3.0, 0.1])
    for _ in range(10):
        results = bench.forward(values)
        values["qpos"], values["dofs_vel"] = results["qpos"], results["dofs_vel"]
    height = values["qpos"][:, 2] - 0.1 + 9.81 / 1e4
    assert height[0] > 0.08 and height[1] < -0.08
    assert height[0] <= 0.1 + 1e-9 and height[1] >= -0.1 - 1e-9
    assert values["dofs_vel"].abs().max() < 1e-6


# Bodies.

SIZES = {"sphere": (0.1, 0, 0), "capsule": (0.06, 0.1, 0), "box": (0.12, 0.1, 0.08)}
COUPLES = [(a, b) for k, a in enumerate(SIZES) for b in list(SIZES)[k:]]
USUAL = {("capsule", "box"), ("box", "box")}
"""Pairs that are not slow tests: the kernels of each kind of pair take half a minute to compile."""


def couple(first, second, gap, seed=1, friction=0.5):
    """Two free bodies turned at random, the second at a distance along a random direction."""
    turns = [unit(*noise(4, seed=seed + k).tolist()) for k in range(2)]
    way = unit(*noise(3, seed=seed + 5).tolist())
    lower = place(primitive(first, SIZES[first], 1.2, friction), (0.0, 0.0, 0.0), tuple(turns[0]))
    upper = place(primitive(second, SIZES[second], 0.8, friction), tuple(gap * way), tuple(turns[1]))
    return fuse([lower, upper]), way


def meeting(first, second, seed=1, friction=0.5, dt=0.01, substeps=50):
    """A bench and values in which the bodies touch slightly and come closer, in MuJoCo's contact model."""
    options = RigidOptions(contact=MujocoContact(), integrator="Euler")
    model, way = couple(first, second, 1.0, seed, friction)
    bench = Bench(model, (), options, dt=dt, substeps=substeps, outputs=("contacts",))
    gaps = torch.arange(0.4, 0.05, -0.002, dtype=F64)
    values = bench.initial(len(gaps), gravity=(0.0, 0.0, 0.0))
    values["qpos"][:, 7:10] = gaps[:, None] * torch.tensor(way)
    touching = bench.forward(values)["dofs_vel"].abs().amax(1) > 1e-4 * dt
    assert touching.any(), "the bodies must meet"
    values = {**bench.initial(1, gravity=(0.0, 0.0, 0.0)), "qpos": values["qpos"][touching][:1]}
    values["dofs_vel"] = 0.2 * noise(1, 12, seed=seed + 7)
    values["dofs_vel"][0, 6:9] = torch.tensor(-0.5 * way)
    return bench, values, way


def momentum(values):
    v = values["dofs_vel"][0]
    return 1.2 * v[:3] + 0.8 * v[6:9]


def angular_momentum(bench, values):
    total = torch.zeros(3, dtype=F64)
    for k, m in enumerate((1.2, 0.8)):
        q, v = values["qpos"][0, 7 * k : 7 * k + 7], values["dofs_vel"][0, 6 * k : 6 * k + 6]
        moments = torch.tensor(bench.model.inertia[k, :3])
        turn = torch.tensor(matrix(q[3:].numpy()))
        total += m * torch.linalg.cross(q[:3], v[:3]) + turn @ (moments * v[3:])
    return total


def energy(bench, values):
    v = values["dofs_vel"][0]
    spin = sum((torch.tensor(bench.model.inertia[k, :3]) * v[6 * k + 3 : 6 * k + 6] ** 2).sum() for k in range(2))
    return 0.5 * float(1.2 * (v[:3] ** 2).sum() + 0.8 * (v[6:9] ** 2).sum() + spin)


@pytest.mark.parametrize(
    "shapes", [pytest.param(pair, marks=[] if pair in USUAL else [pytest.mark.slow]) for pair in COUPLES]
)
def test_what_one_body_loses_the_other_gets(shapes):
    """Momentum is kept exactly, angular momentum to first order in dt; energy is never gained in a collision."""
    drifts = []
    for substeps in (100, 200):
        bench, values, _ = meeting(*shapes, dt=0.1, substeps=substeps)
        after = {**values, **bench.forward(values)}
        assert (after["dofs_vel"] - values["dofs_vel"])[0, :3].norm() > 0.05
        assert (momentum(after) - momentum(values)).abs().max() < 1e-13
        drifts.append(float((angular_momentum(bench, after) - angular_momentum(bench, values)).norm()))
        assert energy(bench, after) < energy(bench, values) * (1 + 1e-3)
    print(drifts)
    assert drifts[1] < 2e-3
    assert drifts[1] < 1e-8 or 1.7 < drifts[0] / drifts[1] < 2.4
