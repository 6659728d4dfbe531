"""Central differences through every setter, parameter and getter, in flight: three models in a scene, no contact.

Bar 1e-6. The tool is far away, so that particles move smoothly; it moves nevertheless.
"""

import pytest
import torch

import genesis as gs
from tests.physics.finite import compare
from tests.physics.worlds import F64, MODELS, build, everything, fresh, leaf, noise, plain, probe, push

pytestmark = pytest.mark.precision("64")
BAR = 1e-6
B, SOME = 3, [2, 0]
N = 27


@pytest.fixture(scope="module")
def world():
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), euler=(10, 20, 30), size=(0.1, 0.1, 0.1))
    return build(MODELS, n_envs=B, tools=[far])


def check(world, value, apply, results=everything, steps=4):
    def loss(x):
        fresh(world)
        push(world)
        apply(world, x)
        world.run(steps)
        return probe(*results(world))

    (found,) = compare(loss, [leaf(value)])
    print(found)
    found.check(BAR)


def near(*shape, at=0.8, spread=0.05, seed=3):
    return at + spread * noise(*shape, seed=seed).clamp(-2, 2)


POSITIONS = {
    "(3,)": (near(3), None),
    "(B, 3)": (near(B, 3), None),
    "(n, 3)": (near(N, 3), None),
    "(B, n, 3)": (near(B, N, 3), None),
    "(3,) in some": (near(3), SOME),
    "(k, 3) in some": (near(2, 3), SOME),
    "(n, 3) in some": (near(N, 3), SOME),
    "(k, n, 3) in some": (near(2, N, 3), SOME),
}


@pytest.mark.parametrize("shape", POSITIONS)
def test_set_position(world, shape):
    value, envs = POSITIONS[shape]
    check(
        world, value, lambda w, x: (w.body.set_position(x, envs_idx=envs), w.bodies[2].set_position(x, envs_idx=envs))
    )


@pytest.mark.parametrize("shape", POSITIONS)
def test_set_velocity(world, shape):
    value, envs = POSITIONS[shape]
    check(world, value - 0.7, lambda w, x: [body.set_velocity(x, envs_idx=envs) for body in w.bodies])


GRAVITIES = {
    "(3,)": (noise(3), None), "(B, 3)": (noise(B, 3), None), "(k, 3) in some": (noise(2, 3), SOME)
}  # fmt: skip


@pytest.mark.parametrize("shape", GRAVITIES)
def test_set_gravity(world, shape):
    value, envs = GRAVITIES[shape]
    check(world, 5 * value, lambda w, x: w.scene.set_gravity(x, envs_idx=envs))


NUMBERS = {"E": 1e4, "nu": 0.3, "rho": 1000.0}
FACTORS = {
    "()": (torch.tensor(1.1, dtype=F64), None),
    "(B,)": (torch.tensor([0.8, 1.1, 0.95], dtype=F64), None),
    "() in some": (torch.tensor(0.9, dtype=F64), SOME),
    "(k,) in some": (torch.tensor([0.8, 1.15], dtype=F64), SOME),
}


@pytest.mark.parametrize("shape", FACTORS)
@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("model", MODELS)
def test_set_material(world, model, number, shape):
    value, envs = FACTORS[shape]
    body = MODELS.index(model)
    check(
        world,
        value * NUMBERS[number],
        lambda w, x: w.bodies[body].set_material(**{number: x}, envs_idx=envs),
        results=lambda w: [
            w.bodies[body].get_particles_pos(),
            w.bodies[body].get_particles_vel(),
            w.bodies[body].get_mass(),
        ],
    )


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("shape", ["()", "(B,)"])
@pytest.mark.parametrize("model", MODELS)
def test_parameters_given_to_the_constructor(model, number, shape):
    """The tensor is a leaf: what an optimiser writes into it is in force at the next step."""
    value = leaf(FACTORS[shape][0] * NUMBERS[number])
    given = {"E": 1e4, "nu": 0.3, "rho": 1000.0, number: value}
    kind = gs.materials.MPM.Liquid(**given) if model == "liquid" else gs.materials.MPM.Elastic(model=model, **given)
    others = [m for m in MODELS if m != model]
    stuff = [
        kind,
        *(
            gs.materials.MPM.Liquid(E=1e4) if m == "liquid" else gs.materials.MPM.Elastic(E=1e4, model=m)
            for m in others
        ),
    ]
    far = gs.morphs.Box(pos=(0.8, 0.8, 0.2), size=(0.1, 0.1, 0.1))
    world = build((model, *others), materials=stuff, n_envs=B, tools=[far])

    def loss(_):
        world.scene.reset()
        world.body.set_velocity(0.4 * noise(B, N, 3))
        world.run(4)
        return probe(world.body.get_particles_pos(), world.body.get_state().F, world.body.get_mass())

    (found,) = compare(loss, [value])
    print(found)
    found.check(BAR)


GETTERS = {
    "get_particles_pos": lambda w: [w.body.get_particles_pos()],
    "get_particles_pos of some": lambda w: [w.body.get_particles_pos(envs_idx=SOME)],
    "get_particles_vel": lambda w: [w.bodies[1].get_particles_vel()],
    "get_particles_vel of some": lambda w: [w.bodies[1].get_particles_vel(envs_idx=SOME)],
    **{f"state.{k}": lambda w, k=k: [getattr(w.scene.get_state(), k)] for k in ("pos", "vel", "C", "F")},
    **{f"state.mpm.{k}": lambda w, k=k: [getattr(w.scene.get_state().mpm, k)] for k in ("pos", "vel", "C", "F")},
    **{f"body.get_state().{k}": lambda w, k=k: [getattr(w.bodies[2].get_state(), k)] for k in ("pos", "vel", "C", "F")},
}


@pytest.mark.parametrize("getter", GETTERS)
def test_particle_getters(world, getter):
    check(
        world, 0.4 * noise(B, N, 3), lambda w, x: [body.set_velocity(x) for body in w.bodies], results=GETTERS[getter]
    )


def test_mass_is_a_function_of_density(world):
    check(world, FACTORS["(B,)"][0], lambda w, x: w.body.set_material(rho=1e3 * x), lambda w: [w.body.get_mass()])


TOOL_GETTERS = {
    "get_pos": lambda w: [w.tool.get_pos()],
    "get_quat": lambda w: [w.tool.get_quat()],
    "get_vel": lambda w: [w.tool.get_vel()],
    "get_ang": lambda w: [w.tool.get_ang()],
    "get_pos of some": lambda w: [w.tool.get_pos(envs_idx=SOME)],
    "get_quat of some": lambda w: [w.tool.get_quat(envs_idx=SOME)],
    "get_state": lambda w: [getattr(w.tool.get_state(), k) for k in ("pos", "quat", "vel", "ang")],
    "state.tool": lambda w: [getattr(w.scene.get_state().tool, k) for k in ("pos", "quat", "vel", "ang")],
}


def move_tool(w, x):
    w.tool.set_position(x[..., :3])
    w.tool.set_quaternion(x[..., 3:7])
    w.tool.set_velocity(x[..., 7:10], x[..., 10:])


@pytest.mark.parametrize("rows", [(), (B,)])
@pytest.mark.parametrize("getter", TOOL_GETTERS)
def test_tool_setters_and_getters(world, getter, rows):
    check(world, noise(*rows, 13, seed=5), move_tool, results=TOOL_GETTERS[getter])


def test_tool_setters_in_some_environments(world):
    def apply(w, x):
        w.tool.set_position(x[:, :3], envs_idx=SOME)
        w.tool.set_quaternion(x[:, 3:7], envs_idx=SOME)
        w.tool.set_velocity(vel=x[:, 7:10], envs_idx=SOME)
        w.tool.set_velocity(ang=x[:, 10:], envs_idx=SOME)

    check(world, noise(2, 13, seed=5), apply, results=TOOL_GETTERS["state.tool"])


def test_what_is_overwritten_has_no_gradient(world):
    """A setter in environments 2 and 0 cuts their part of the gradient and keeps that of environment 1."""
    fresh(world)
    vel = leaf(0.3 * noise(B, N, 3))
    world.body.set_velocity(vel)
    world.run(2)
    for body in world.bodies:  # They touch through the grid, so that one alone would leave paths through the others.
        body.set_position(near(3), envs_idx=SOME)
        body.set_velocity([0.1, 0.0, 0.0], envs_idx=SOME)
    world.run(2)
    (grad,) = torch.autograd.grad(probe(plain(world.body.get_particles_pos())), vel)
    assert (grad[SOME] == 0).all()
    assert (grad[1] != 0).any()
