"""Options, morphs and materials: what they derive, and what they refuse."""

import dataclasses
import math

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.sampling import sample
from genesis.math import quaternion

Elastic, Liquid = gs.materials.MPM.Elastic, gs.materials.MPM.Liquid


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda: gs.options.SimOptions(steps=3), "got steps. Valid ones: dt, substeps, gravity, requires_grad"),
        (lambda: gs.options.SimOptions(0.1), "by name, got 1 positional"),
        (lambda: gs.options.SimOptions(dt=0), "SimOptions.dt must be a finite number > 0, got 0"),
        (lambda: gs.options.SimOptions(dt="1"), "must be a number"),
        (lambda: gs.options.SimOptions(substeps=0), "at least 1, got 0"),
        (lambda: gs.options.SimOptions(substeps=1.5), "must be an integer"),
        (lambda: gs.options.SimOptions(gravity=(0, 0)), "must be 3 numbers, got 2"),
        (lambda: gs.options.SimOptions(gravity=(0, 0, math.nan)), "finite"),
        (lambda: gs.options.SimOptions(requires_grad=1), "True or False"),
        (lambda: gs.options.SimOptions(frame_budget_mb=-1), "frame_budget_mb"),
        (lambda: gs.options.MPMOptions(grid_density=-1), "grid_density"),
        (lambda: gs.options.MPMOptions(upper_bound=(0, 0, 0)), "must exceed lower_bound"),
        (lambda: gs.options.ToolOptions(x=1), "got x. Valid ones"),
        (lambda: gs.options.CompliantContact(sag=0.0), "CompliantContact.sag must be a finite number > 0"),
        (lambda: gs.options.CompliantContact(limit_damping=-1.0), "limit_damping must be a finite number >= 0"),
        (lambda: gs.options.CompliantContact(friction_velocity=0), "friction_velocity"),
        (lambda: gs.options.RigidOptions(self_collision=1), "self_collision must be True or False"),
        (lambda: gs.options.CompliantContact(sag=1e-3, stiffness=1e4), "must get sag or stiffness"),
        (lambda: gs.options.RigidOptions(contact=1.0), "must be a CompliantContact or MujocoContact, got float"),
        (lambda: gs.options.RigidOptions(sag=1e-3), "RigidOptions must get known fields only, got sag"),
        (lambda: gs.morphs.Box(), "either size, or lower and upper"),
        (lambda: gs.morphs.Box(size=(1, 1, 1), lower=(0, 0, 0)), "either size, or lower and upper"),
        (lambda: gs.morphs.Box(lower=(0, 0, 0), upper=(1, 1, 0)), "edge of Box"),
        (lambda: gs.morphs.Box(size=(1, 1, 1), quat=(1, 0, 0, 0), euler=(0, 0, 0)), "one orientation"),
        (lambda: gs.morphs.Capsule(quat=(0, 0, 0, 0)), "must not be zero"),
        (lambda: gs.morphs.Sphere(radius=-1), "Sphere.radius"),
        (lambda: gs.morphs.Plane(normal=(0, 0, 0)), "must not be zero"),
        (lambda: gs.morphs.Capsule(fixed=1), "Capsule.fixed must be True or False"),
        (lambda: gs.morphs.Terrain(heights=np.zeros((2, 3))), "at least 3 x 3, got shape"),
        (lambda: gs.morphs.Terrain(heights=np.full((3, 3), np.nan)), "with NaN or inf"),
        (lambda: gs.morphs.Terrain(heights=[[1.0], [1.0, 2.0]]), "Terrain.heights must be rectangular"),
        (lambda: gs.morphs.Terrain(heights=np.zeros((3, 3)), spacing=0), "Terrain.spacing"),
        (lambda: gs.morphs.Terrain(), "Terrain.heights must hold numbers, got NoneType"),
        (lambda: gs.morphs.Terrain(heights=[[True] * 3] * 3), "Terrain.heights must hold numbers, got a bool"),
        (lambda: gs.morphs.Terrain(heights=np.full((3, 3), 1e9)), "must lie within 1e\\+06 m, got 1e\\+09 m"),
        (
            lambda: gs.morphs.Sphere(radius=1e-7),
            "Sphere.radius must be a finite number from 1e-06 to 1e\\+06, got 1e-07",
        ),
        (lambda: gs.morphs.Capsule(height=1e-300), "Capsule.height, where it is not 0, must be a finite number from"),
        (
            lambda: gs.morphs.Box(size=(1, 1, 1), pos=(0, 1e30, 0)),
            "every entry of Box.pos must be a finite number from",
        ),
        (lambda: gs.morphs.Box(lower=(0, 0, 0), upper=(1, 1, 1), pos=3), "Box.pos must be 3 numbers, got shape"),
        (lambda: gs.morphs.URDF(file=__file__, allow=3), "URDF.allow must be names of elements, got 3"),
        (lambda: gs.options.MPMOptions(grid_density=1e300), "must have at most 2147483647 nodes, got inf"),
        (lambda: gs.options.SimOptions(gravity=torch.ones(3, requires_grad=True)), "gravity must be constant"),
        (lambda: gs.materials.Tool(friction=[True]), "Tool.friction must hold numbers, got a bool"),
        (lambda: gs.morphs.MJCF(), "MJCF.file must be a path, got None"),
        (lambda: gs.morphs.MJCF(file="no/such.xml"), "MJCF.file must be an existing file, got 'no/such.xml'"),
        (lambda: gs.morphs.URDF(file=__file__, allow="tendon"), "URDF.allow must be names of elements"),
        (lambda: gs.morphs.URDF(file=__file__, fixed=1), "URDF.fixed must be True or False"),
        (lambda: gs.morphs.Robot(name=3), "Robot.name must be a string"),
        (lambda: gs.morphs.Robot(name="ant", ground=0), "Robot.ground must be True or False"),
        (lambda: gs.materials.Rigid(rho=0), "Rigid.rho must be a finite number > 0"),
        (lambda: gs.materials.Rigid(friction=-1.0), "Rigid.friction must be a finite number >= 0"),
        (lambda: gs.materials.Rigid(friction=torch.ones(2, 2)), r"shape \(\) or \(n_envs,\)"),
        (lambda: Elastic(E=-1), "Elastic.E must be a finite number > 0, got -1"),
        (lambda: Elastic(E=torch.tensor([1.0, math.nan])), "Elastic.E must be finite > 0, got nan"),
        (lambda: Elastic(E=torch.ones(2, 2)), r"shape \(\) or \(n_envs,\)"),
        (lambda: Elastic(nu=0.5), "strictly between -1 and 0.5"),
        (lambda: Elastic(model="linear"), "one of corotation, neohooken, got 'linear'"),
        (lambda: Elastic(sampler="x"), "one of regular, random, pbs"),
        (lambda: Liquid(viscous=True), "viscosity must be given where viscous is True"),
        (lambda: gs.materials.Tool(friction=-0.1), "Tool.friction"),
    ],
)
def test_refusals(act, message):
    with pytest.raises(gs.GenesisException, match=message):
        act()


NO_LENGTH = (math.nan, math.inf, -math.inf, -1.0, 0.0, True, np.True_, "1", None, [1.0], np.array(1.0), (1, 2))
NO_LENGTH += (torch.tensor(1.0), 1e300, 1e-300, 10**400, 1j, {}, b"1", ...)
NO_VECTOR = (
    *NO_LENGTH,
    (1, 2, 3, 4),
    np.ones((1, 3)),
    (math.nan, 1, 1),
    (True, 1, 1),
    ("1", 1, 1),
    (None, 1, 1),
    "abc",
)
NO_VECTOR += (
    {1, 2, 3},
    {1: 2, 2: 3, 3: 4},
    (1e300, 0, 0),
    np.ones(3, bool),
    torch.ones(3, dtype=torch.bool),
    [[1], [1, 2], 3],
)
LENGTHS = {"Sphere": ["radius"], "Cylinder": ["radius", "height"], "Capsule": ["radius"], "Terrain": ["spacing"]}
PLACED = {
    "Box": {"size": (1, 1, 1)},
    "Sphere": {},
    "Cylinder": {},
    "Capsule": {},
    "Plane": {},
    "Robot": {"name": "ant"},
}


@pytest.mark.parametrize("name, field", [(name, field) for name, fields in LENGTHS.items() for field in fields])
def test_morphs_judge_their_lengths_when_they_are_made(name, field):
    given = {"heights": np.zeros((3, 3))} if name == "Terrain" else {}
    for wrong in NO_LENGTH:
        with pytest.raises(gs.GenesisException, match=f"{name}.{field} must be a"):
            getattr(gs.morphs, name)(**given, **{field: wrong})
    for right in (np.float32(0.5), np.int64(1), 1e-6, 1e6):
        assert getattr(getattr(gs.morphs, name)(**given, **{field: right}), field) == float(right)


@pytest.mark.parametrize("name", PLACED)
def test_morphs_judge_their_poses_when_they_are_made(name):
    make, given = getattr(gs.morphs, name), PLACED[name]
    for wrong in NO_VECTOR:
        with pytest.raises(gs.GenesisException, match=rf"{name}\.pos must"):
            make(**given | {"pos": wrong})
    for right in (np.array([1, 2, 3], ">f4"), torch.tensor([1.0, 2.0, 3.0]), [1, 2, 3], range(1, 4)):
        assert make(**given | {"pos": right}).pos == (1.0, 2.0, 3.0)


def test_a_capsule_without_a_straight_part_is_a_ball():
    scenes = []
    for morph in (
        gs.morphs.Capsule(height=0, radius=0.1, pos=(0, 0, 0.5)),
        gs.morphs.Sphere(radius=0.1, pos=(0, 0, 0.5)),
    ):
        scene = gs.Scene()
        body = scene.add_entity(morph, material=gs.materials.Rigid())
        scene.add_entity(gs.morphs.Plane())
        scene.build()
        for _ in range(50):
            scene.step()
        scenes.append((body.get_mass(), body.get_links_inertia(), body.get_pos(), body.get_quat()))
    for capsule, ball in zip(*scenes, strict=True):
        assert torch.equal(capsule.sceneless(), ball.sceneless())


def test_errors_are_also_builtins():
    with pytest.raises(TypeError):
        gs.options.SimOptions(steps=3)
    with pytest.raises(ValueError):
        gs.options.SimOptions(dt=-1)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        gs.options.SimOptions().dt = 1.0  # type: ignore[misc]
    assert dataclasses.replace(gs.options.SimOptions(), dt=0.5).dt == 0.5


def test_derived_numbers():
    assert gs.options.SimOptions(dt=0.02, substeps=4).substep_dt == 0.005
    options = gs.options.MPMOptions(grid_density=32)
    assert (options.dx, options.spacing) == (1 / 32, 1 / 64)
    assert gs.options.MPMOptions(particle_size=0.01).spacing == 0.01
    box = gs.morphs.Box(lower=(0, 0, 0), upper=(1, 2, 4))
    assert (box.pos, box.size, box.volume) == ((0.5, 1, 2), (1, 2, 4), 8)
    assert gs.morphs.Capsule(height=1, radius=0.5).volume == pytest.approx(math.pi * (0.25 + 0.5 / 3))


SOLIDS = [
    gs.morphs.Box(pos=(1, 0, 0), size=(0.4, 0.2, 0.3), euler=(10, 20, 30)),
    gs.morphs.Sphere(radius=0.2),
    gs.morphs.Cylinder(height=0.4, radius=0.15, quat=(1, 1, 0, 0)),
    gs.morphs.Capsule(height=0.3, radius=0.1),
]


@pytest.mark.parametrize("sampler", ["regular", "random", "pbs"])
@pytest.mark.parametrize("morph", SOLIDS, ids=lambda m: type(m).__name__)
def test_samples_fill_the_shape(morph, sampler):
    points = sample(morph, 0.02, sampler, np.random.default_rng(0))
    assert len(points) == pytest.approx(morph.volume / 0.02**3, rel=0.06)
    turn = torch.tensor(morph.orientation, dtype=torch.float64) * torch.tensor([1.0, -1.0, -1.0, -1.0])
    local = quaternion.rotate(turn, torch.from_numpy(points - np.array(morph.pos))).numpy()
    assert morph.contains(local * 0.999).all()
    assert np.abs(local.mean(0)).max() < 0.02
    assert np.abs(local).max(0) == pytest.approx(morph.half_extent, abs=0.03)


def test_random_samples_follow_their_generator():
    one, two, three = (sample(SOLIDS[1], 0.05, "random", np.random.default_rng(s)) for s in (0, 0, 1))
    assert np.array_equal(one, two) and not np.array_equal(one, three)


def test_too_small_for_a_particle():
    with pytest.raises(gs.GenesisException, match="at least one particle"):
        sample(gs.morphs.Sphere(radius=0.001), 0.02, "regular", np.random.default_rng(0))


def test_quaternions():
    def turned(quat, v):
        return quaternion.rotate(torch.tensor(quat, dtype=torch.float64), torch.tensor(v, dtype=torch.float64)).tolist()

    x, z = (1.0, 0.0, 0.0), (0.0, 0.0, 1.0)
    assert turned(quaternion.from_euler((0, 0, 90)), x) == pytest.approx([0, 1, 0], abs=1e-15)
    assert turned(quaternion.from_euler((90, 0, 90)), z) == pytest.approx([1, 0, 0], abs=1e-15)
    for normal in ((0, 0, 1), (0, 0, -1), (1, 0, 0), (1, 2, -3)):
        unit = [c / math.hypot(*normal) for c in normal]
        assert turned(quaternion.from_z_axis(normal), z) == pytest.approx(unit, abs=1e-12)
    a, b = (torch.tensor(quaternion.from_euler(e), dtype=torch.float64) for e in ((10, 20, 30), (-50, 5, 7)))
    v = torch.randn(5, 3, dtype=torch.float64)
    both = quaternion.rotate(quaternion.multiply(a, b), v)
    assert torch.allclose(both, quaternion.rotate(a, quaternion.rotate(b, v)), atol=1e-12)
    assert torch.allclose(quaternion.normalise(3 * a), a)
