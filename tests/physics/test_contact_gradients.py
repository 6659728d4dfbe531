"""Central differences through contact with a tool: every shape, with friction; poses, velocities, friction, wrench.

Bar 1e-4. A node that begins to touch, or to stick, between two perturbed runs is on a kink: counted, at most 5 %.
"""

import pytest
import torch

from tests.physics.finite import compare
from tests.physics.worlds import F64, SHAPES, build, everything, fresh, leaf, noise, plain, probe, push, tool_morph

pytestmark = pytest.mark.precision("64")
BAR = 1e-4
B, SOME = 2, [1]


@pytest.fixture(scope="module", params=SHAPES)
def world(request):
    return build(shapes=(request.param,), n_envs=B, outputs=("wrench",))


def outcome(w):
    return [*everything(w), 0.02 * w.tool.get_wrench()]


def check(world, value, apply, results=outcome, steps=5):
    def loss(x):
        fresh(world)
        push(world)
        apply(world, x)
        world.run(steps)
        assert plain(world.tool.get_wrench()).detach().abs().amax(-1).min() > 0.1, "every environment must touch"
        return probe(*results(world))

    (found,) = compare(loss, [leaf(value)], most=13, bar=BAR)
    print(found)
    found.check(BAR)


def pose_of(world, *rows):
    morph = world.tool.morph
    moved = torch.tensor([*morph.pos, *morph.orientation], dtype=F64) + 0.005 * noise(*rows, 7)
    return torch.cat([moved, torch.tensor([0.15, 0.1, 0.6, 0.5, -0.4, 0.6], dtype=F64).expand(*rows, 6)], -1)


def place(w, x, envs=None):
    w.tool.set_position(x[..., :3], envs_idx=envs)
    w.tool.set_quaternion(x[..., 3:7], envs_idx=envs)
    w.tool.set_velocity(x[..., 7:10], x[..., 10:], envs_idx=envs)


@pytest.mark.parametrize("rows", [(), (B,)])
def test_tool_pose_and_velocity(world, rows):
    check(world, pose_of(world, *rows), place)


def test_tool_pose_and_velocity_in_some(world):
    check(world, pose_of(world, 1), lambda w, x: place(w, x, SOME))


@pytest.mark.parametrize("part", ["vel", "ang"])
def test_tool_velocity_held_and_changed(world, part):
    """One velocity for three steps, then another."""

    def loss(x):
        fresh(world)
        push(world)
        for k in range(2):
            world.tool.set_velocity(**{part: x[k]})
            world.run(3)
        return probe(*outcome(world))

    base = torch.tensor([0.15, 0.1, 0.6] if part == "vel" else [0.5, -0.4, 0.6], dtype=F64)
    (found,) = compare(loss, [leaf(base + 0.1 * noise(2, B, 3))], most=12, bar=BAR)
    print(found)
    found.check(BAR)


@pytest.mark.parametrize("value, envs", [(0.3, None), ([0.2, 0.5], None), ([0.6], SOME), (0.25, SOME)])
def test_friction(world, value, envs):
    check(world, value, lambda w, x: w.tool.set_friction(x, envs_idx=envs))


def test_particles_and_parameters(world):
    start = 0.4 * noise(B, 27, 3)
    check(world, start, lambda w, x: w.body.set_velocity(x))
    # Off the edges of cells, on which particles' curvature jumps and nodes are touched with no mass.
    check(world, torch.full((B, 3), 0.811, dtype=F64), lambda w, x: w.body.set_position(x))
    check(world, noise(B, 3), lambda w, x: w.scene.set_gravity(5 * x))
    for number, size in (("E", 1e4), ("nu", 0.3), ("rho", 1e3)):
        value = size * torch.tensor([0.9, 1.1], dtype=F64)
        check(world, value, lambda w, x, k=number: w.body.set_material(**{k: x}))


def test_wrench_alone(world):
    for envs in (None, SOME):
        check(world, pose_of(world, B), place, results=lambda w, e=envs: [0.02 * w.tool.get_wrench(envs_idx=e)])


def test_no_friction_and_much(world):
    """Free sliding, and sticking: the two ends of the friction law."""
    for mu in (0.0, 50.0):

        def apply(w, x, mu=mu):
            w.tool.set_friction(mu)
            place(w, x)

        check(world, pose_of(world, B), apply)


def test_several_tools_at_once():
    """A sphere and a box in each other, under one body: the wrench of each, the gradient of each."""
    morphs = [tool_morph("sphere"), tool_morph("box")]
    world = build(tools=morphs, n_envs=B, outputs=("wrench",))

    def loss(x):
        fresh(world)
        for k, tool in enumerate(world.tools):
            tool.set_velocity(x[k, :, :3], x[k, :, 3:])
            tool.set_friction(0.3 + 0.2 * k)
        world.run(4)
        return probe(*everything(world), *(0.02 * t.get_wrench() for t in world.tools))

    x = 0.3 * noise(2, B, 6)
    x[..., 2] += 0.6
    (found,) = compare(loss, [leaf(x)], most=24, bar=BAR)
    print(found)
    found.check(BAR)
