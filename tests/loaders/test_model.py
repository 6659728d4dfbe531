"""Robots as arrays: primitives, placing, fusing, saving, and the constraints on them."""

from dataclasses import fields, replace

import mujoco
import numpy as np
import pytest

from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.loaders import (
    RigidModel,
    archive,
    fuse,
    link_jacobians,
    load_mjcf,
    load_robot,
    place,
    primitive,
    rotations,
)
from genesis.loaders.mujoco_numbers import MujocoNumbers, Table
from genesis.loaders.parts import Actuator, ContactNumbers, Geom, GroundGeom, Joint, Visual
from genesis.meshes.triangles import TriangleMesh
from tests.loaders.random_trees import random_tree

RECORDS = (RigidModel, Joint, Geom, Actuator, GroundGeom, Visual, TriangleMesh, ContactNumbers, MujocoNumbers, Table)
SIZES = {
    "sphere": (0.3,),
    "capsule": (0.1, 0.4),
    "box": (0.1, 0.2, 0.3),
    "cylinder": (0.2, 0.3),
    "ellipsoid": (0.1, 0.2, 0.3),
}


def same(a, b):
    """Two parts, records or arrays are equal field by field."""
    if isinstance(a, np.ndarray):
        return np.array_equal(a, b)
    if isinstance(a, tuple):
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    if isinstance(a, RECORDS):
        return type(a) is type(b) and all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return type(a) is type(b) and a == b


@pytest.mark.parametrize("kind", SIZES)
def test_inertia_of_primitives_equals_mujoco_s(kind):
    robot = primitive(kind, SIZES[kind], mass=3.0, friction=0.4)
    size = " ".join(str(entry) for entry in SIZES[kind])
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><worldbody><body><freejoint/><geom type="{kind}" size="{size}" mass="3"/></body></worldbody></mujoco>'
    )
    axes = np.zeros(9)
    mujoco.mju_quat2Mat(axes, model.body_iquat[1])
    axes = axes.reshape(3, 3)
    expected = axes @ np.diag(model.body_inertia[1]) @ axes.T
    np.testing.assert_allclose(rotations.symmetric(robot.inertia[0]), expected, rtol=1e-12, atol=1e-15)
    (geom,) = robot.geoms
    assert (geom.kind, geom.friction, geom.link, geom.group, geom.mask) == (kind, 0.4, 0, 1, 1)
    assert (robot.n_links, robot.n_qs, robot.n_dofs) == (1, 7, 6)
    assert robot.qpos0.tolist() == [0, 0, 0, 1, 0, 0, 0]


def test_a_fixed_primitive_has_no_joint():
    robot = primitive("box", (1, 1, 1), 1.0, 0.5, fixed=True, name="table")
    assert (robot.n_qs, robot.n_dofs, robot.name) == (0, 0, "table") and not robot.moving.any()


def test_sizes_may_come_filled_up_to_three_numbers():
    assert primitive("sphere", (0.3, 0, 0), 1.0, 0.5).geoms[0].size == (0.3, 0, 0)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("cone", (1,), 1.0, 0.5), "kind must be one of sphere, capsule"),
        (("box", (1, 1), 1.0, 0.5), "size of a box must be 3 numbers, got 2"),
        (("box", (1, 1, -1), 1.0, 0.5), "size of a box must be a finite number > 0, got -1"),
        (("box", (1, 1, 1), 0.0, 0.5), "mass must be a finite number > 0, got 0"),
        (("box", (1, 1, 1), 1.0, -0.5), "friction must be a finite number >= 0, got -0.5"),
        (("box", (1, 1, float("nan")), 1.0, 0.5), "got nan"),
    ],
)
def test_wrong_primitives(given, told):
    with pytest.raises(GenesisValueError, match=told):
        primitive(*given)


def test_place_moves_roots_and_nothing_else():
    ant = load_robot("ant")
    turn = np.array([np.cos(0.3), 0, 0, np.sin(0.3)])
    moved = place(ant, (1, 2, 3), turn)
    np.testing.assert_allclose(moved.qpos0[:7], [1, 2, 3.75, *turn], atol=1e-15)
    np.testing.assert_array_equal(moved.link_pos[1:], ant.link_pos[1:])
    before, after = link_jacobians(ant)[0], link_jacobians(moved)[0]
    np.testing.assert_allclose(after, before @ rotations.matrix(turn).T + (1, 2, 3), atol=1e-12)
    with pytest.raises(GenesisValueError, match="quat must have length 1"):
        place(ant, quat=(1, 1, 0, 0))


def test_place_moves_slides_too():
    """The rail of a cart turns with its robot."""
    moved = place(load_robot("cartpole"), (0, 0, 1), (np.sqrt(0.5), 0, 0, np.sqrt(0.5)))
    positions, _, _, _ = link_jacobians(moved, np.array([2.0, np.pi]))
    np.testing.assert_allclose(positions[0], (0, 2, 1), atol=1e-12)


def test_fuse_is_the_sum_of_its_parts():
    ant, box, hopper = load_robot("ant"), primitive("box", (1, 1, 1), 1.0, 0.5, fixed=True), load_robot("hopper")
    fused = fuse([ant, box, hopper], excluded=[(10, 9)])
    assert (fused.n_links, fused.n_qs, fused.n_dofs) == (14, 21, 20)
    assert fused.parent.tolist() == [*ant.parent, -1, -1, 10, 11, 12]
    assert fused.link_names[9:11] == ("box[1]/box", "hopper[2]/torso")
    assert fused.joints[9].name == "hopper[2]/rootx" and (fused.joints[9].q, fused.joints[9].dof) == (15, 14)
    assert fused.joints[9].link == 10 and fused.actuators[8].dof == 17
    assert [geom.link for geom in fused.geoms[-5:]] == [9, 10, 11, 12, 13]
    assert fused.excluded == ant.excluded | {(9, 10), (10, 11), (11, 12), (12, 13)}
    assert fused.aliases["ant[0]/back_leg"][0] == 0
    np.testing.assert_array_equal(fused.damping, [*ant.damping, *hopper.damping])
    np.testing.assert_array_equal(link_jacobians(fused)[0][10:], link_jacobians(hopper)[0])


def test_fuse_of_one_changes_nothing_and_of_none_is_an_error():
    ant = load_robot("ant")
    assert same(fuse([ant]), ant)
    assert fuse([ant], excluded=[(3, 1)]).excluded == ant.excluded | {(1, 3)}
    with pytest.raises(GenesisValueError, match="models must not be empty"):
        fuse([])


def test_saving_and_loading_gives_the_same(tmp_path):
    rng = np.random.default_rng(1)
    path = tmp_path / "tree.xml"
    path.write_text(random_tree(rng, 7, springs=True, limits=True, geoms=True))
    tree = load_mjcf(path, cache=False)
    up, still = (0.0, 0.0, 1.0), (1.0, 0.0, 0.0, 0.0)
    hull = Geom("hull", "hull", 0, up, still, (0.0, 0.0, 0.0), 0.5, 2, 4, rng.normal(size=(5, 3)))
    grounds = (
        GroundGeom("floor", "plane", up, up, 0.3),
        GroundGeom("hills", "heightfield", up, up, 0.3, 1, 1, rng.normal(size=(3, 4)), 0.5),
    )
    servo = Actuator("servo", 0, 2.0, "position", 3.0, 1.0, -np.inf, 1.0)
    aliases = {"é": (-1, (1.0, 2.0, 3.0), still)}
    mesh = TriangleMesh(rng.normal(size=(5, 3)).astype(np.float32), rng.integers(0, 5, (7, 3)))
    seen = [Visual(f"leaf{k}", "mesh", k, up, still, (0.0, 0.0, 0.0), tint, mesh) for k, tint in ((-1, None), (0, up))]
    seen.append(Visual("knob", "sphere", 0, up, still, (0.1, 0.0, 0.0), (0.1, 0.2, 0.3)))
    tree = replace(tree, geoms=(hull, *tree.geoms), grounds=grounds, actuators=(servo,), aliases=aliases)
    tree = replace(tree, visuals=tuple(seen))
    for robot in (tree, primitive("box", (1, 1, 1), 1.0, 0.5, fixed=True)):
        robot.save(tmp_path / "robot.npz")
        again = RigidModel.load(tmp_path / "robot.npz")
        assert same(again, robot)
    tree.save(tmp_path / "robot.npz")
    meshes = [each.mesh for each in RigidModel.load(tmp_path / "robot.npz").visuals]
    assert meshes[0] is meshes[1] and meshes[2] is None  # a mesh is stored once
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".npz"] == ["robot.npz"]


def test_files_that_are_no_robots(tmp_path, monkeypatch):
    path = tmp_path / "robot.npz"
    with pytest.raises(GenesisValueError, match=r"path must name a file, got '.*robot.npz'"):
        RigidModel.load(path)
    path.write_bytes(b"nothing")
    with pytest.raises(GenesisValueError, match="must be a robot written by RigidModel.save"):
        RigidModel.load(path)
    np.savez(path, pos=np.zeros(3))
    with pytest.raises(GenesisValueError, match="must be a robot written by RigidModel.save"):
        RigidModel.load(path)
    with open(path, "wb") as stream:
        np.savez(stream, version=np.array([{"a": 1}], dtype=object))  # a pickle, which is never opened
    with pytest.raises(GenesisValueError, match="must be a robot written by RigidModel.save"):
        RigidModel.load(path)
    monkeypatch.setattr(archive, "VERSION", 99)
    load_robot_copy = primitive("box", (1, 1, 1), 1.0, 0.5)
    load_robot_copy.save(path)
    monkeypatch.undo()
    with pytest.raises(GenesisValueError, match=f"must have format version {archive.VERSION}, got 99"):
        RigidModel.load(path)


def test_arrays_are_copied_and_read_only():
    mass = np.ones(1)
    robot = replace(primitive("box", (1, 1, 1), 1.0, 0.5), mass=mass)
    mass[0] = 5
    assert robot.mass[0] == 1 and robot.mass.dtype == np.float64 and robot.parent.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        robot.mass[0] = 2


def changed(name, value, index=()):
    """An edit of one array."""

    def edit(robot):
        array = getattr(robot, name).copy()
        array[index] = value
        return {name: array}

    return edit


def joint_with(**fields):
    return lambda robot: {"joints": (*robot.joints[:-1], replace(robot.joints[-1], **fields))}


def part_with(group, **fields):
    return lambda robot: {group: (replace(getattr(robot, group)[0], **fields), *getattr(robot, group)[1:])}


def with_visual(**given):
    parts = {"kind": "sphere", "link": 0, "size": (0.1, 0.0, 0.0)} | given
    seen = Visual(name="knob", pos=(0.0, 0.0, 0.0), quat=(1.0, 0.0, 0.0, 0.0), **parts)
    return lambda _robot: {"visuals": (seen,)}


BROKEN = {
    "massless link": (changed("mass", 0, 2), r"mass of link 'ankle_1' must be > 0, as the link moves, got 0"),
    "NaN mass": (changed("mass", np.nan, 2), "mass must be finite, got nan"),
    "flat inertia": (changed("inertia", 0, 2), "inertia of link 'ankle_1' must be positive definite"),
    "impossible inertia": (
        changed("inertia", 9, (2, 0)),
        "inertia of link 'ankle_1' must obey the triangle inequality",
    ),
    "inverted limits": (changed("limit_low", 2, 6), r"low < high, got 2 and 0.523599 at joint 'hip_1'"),
    "NaN limit": (changed("limit_low", np.nan, 6), r"low < high, got nan"),
    "inverted forces": (changed("force_low", np.inf, 6), "force_low and force_high must be numbers, low < high"),
    "forces without zero": (changed("force_low", 1, 6), "force_low and force_high must have 0 between them"),
    "negative damping": (changed("damping", -1, 6), "damping must be >= 0, got -1"),
    "NaN armature": (changed("armature", np.nan, 6), "armature must be finite, got nan"),
    "infinite spring": (changed("stiffness", np.inf, 6), "stiffness must be finite, got inf"),
    "quaternion of a link": (
        changed("link_quat", 2, (1, 0)),
        r"quaternion of link 'hip_1' must have length 1, got \(2",
    ),
    "quaternion at rest": (changed("qpos0", 2, 3), "quaternion in qpos0 of joint 'root' must have length 1"),
    "NaN position": (changed("link_pos", np.nan, (1, 0)), "link_pos must be finite, got nan"),
    "child before parent": (changed("parent", 5, 1), r"parent of link 'hip_1' \(index 1\) must come before the link"),
    "no parent": (changed("parent", -2, 1), "parent of link 'hip_1'"),
    "size": (lambda robot: {"mass": robot.mass[1:]}, r"mass must have shape \(9,\), got \(8,\)"),
    "size of q": (lambda robot: {"qpos0": robot.qpos0[1:]}, r"qpos0 must have shape \(15,\), got \(14,\)"),
    "names": (lambda robot: {"link_names": ("a",) * 9}, "names of links and of joints must be unique, got a twice"),
    "kind of joint": (joint_with(kind="screw"), "kind of joint 'ankle_4' must be one of free, ball, hinge, slide"),
    "axis": (joint_with(axis=(1.0, 1.0, 0.0)), r"axis of joint 'ankle_4' must have length 1, got \(1.0, 1.0, 0.0\)"),
    "anchor": (joint_with(anchor=(np.nan, 0, 0)), "anchor of joint 'ankle_4' must be finite"),
    "link of a joint": (joint_with(link=9), "link of joint 'ankle_4' must be from 0 to 8, got 9"),
    "order of joints": (joint_with(link=1), "link of joint 'ankle_4' must not come before that"),
    "index of a joint": (
        joint_with(dof=3),
        r"\(q, dof\) of joint 'ankle_4' must follow the joints above it: \(14, 13\)",
    ),
    "link without joint": (
        lambda robot: {
            "joints": robot.joints[:-1],
            "qpos0": robot.qpos0[:-1],
            **{name: getattr(robot, name)[:-1] for name in ("armature", "damping", "stiffness", "spring_ref")},
            **{
                f"{what}_{end}": getattr(robot, f"{what}_{end}")[:-1]
                for what in ("limit", "force")
                for end in ("low", "high")
            },
        },
        "link 'ankle_4' must have a joint, as its parent moves",
    ),
    "kind of geom": (part_with("geoms", kind="cone"), "kind of geom 'torso' must be one of sphere"),
    "size of geom": (part_with("geoms", size=(0, 0, 0)), "size of geom 'torso' must have 1 entries > 0"),
    "quaternion of geom": (part_with("geoms", quat=(1, 1, 0, 0)), "quaternion of geom 'torso' must have length 1"),
    "friction": (part_with("geoms", friction=-1), "friction of geom 'torso' must be finite and >= 0, got -1"),
    "link of geom": (part_with("geoms", link=-1), "link of geom 'torso' must be from 0 to 8, got -1"),
    "hull without corners": (
        part_with("geoms", kind="hull"),
        r"vertices of geom 'torso' must have shape \(n >= 4, 3\)",
    ),
    "kind of visual": (with_visual(kind="hull"), "kind of visual 'knob' must be one of sphere"),
    "link of visual": (with_visual(link=-2), "link of visual 'knob' must be from -1 to 8, got -2"),
    "colour of visual": (with_visual(tint=(1, 1, 2)), r"tint of visual 'knob' must be from 0 to 1, got \(1, 1, 2\)"),
    "visual without mesh": (with_visual(kind="mesh"), "mesh of visual 'knob' must be there"),
    "actuator": (part_with("actuators", kind="muscle"), "kind of actuator 'hip_1' must be one of force, position"),
    "gear": (part_with("actuators", gear=0), "gear of actuator 'hip_1' must not be 0"),
    "range": (part_with("actuators", low=1), "range of actuator 'hip_1' must be numbers, low < high"),
    "dof": (part_with("actuators", dof=14), "dof of actuator 'hip_1' must be from 0 to 13, got 14"),
    "excluded": (lambda robot: {"excluded": frozenset({(2, 1)})}, "excluded must be pairs"),
    "alias": (lambda robot: {"aliases": {"x": (9, (0, 0, 0), (1, 0, 0, 0))}}, "link of alias 'x' must be from -1 to 8"),
    "ground": (
        lambda robot: {"grounds": (GroundGeom("floor", "plane", (0, 0, 0), (0, 0, 2), 1.0),)},
        "normal of ground 'floor' must have length 1",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_violated_constraints_are_told(what):
    edit, told = BROKEN[what]
    ant = load_robot("ant")
    with pytest.raises(GenesisValueError, match=told):
        replace(ant, **edit(ant)).validate()


def test_free_joints_stand_alone_at_a_root():
    box = primitive("box", (1, 1, 1), 1.0, 0.5)
    with pytest.raises(GenesisValueError, match="must be alone on a link without parent, as it is free"):
        replace(fuse([box, box]), parent=np.array([-1, 0])).validate()


def test_wrong_classes():
    box = primitive("box", (1, 1, 1), 1.0, 0.5)
    with pytest.raises(GenesisTypeError, match="mass must be an array of numbers"):
        replace(box, mass="heavy")
    with pytest.raises(GenesisTypeError, match="joints must hold Joints, got str"):
        replace(box, joints=("root",)).validate()
    with pytest.raises(GenesisTypeError, match="geoms must be a tuple, got list"):
        replace(box, geoms=[]).validate()


def test_a_valid_robot_is_returned():
    ant = load_robot("ant")
    assert ant.validate() is ant
