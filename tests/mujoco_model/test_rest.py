"""What rests on fixed bodies: as deep as in MuJoCo, and a humanoid on a fixed box as on a plane."""

import mujoco
import numpy as np
import pytest
import torch

import genesis as gs
from tests.mujoco_model.engine import States, gymnasium_text
from tests.mujoco_model.ours import Ours, number
from tests.rigid.rigid_worlds import plain

pytestmark = [pytest.mark.precision("64"), pytest.mark.slow]
DT, SECONDS = 0.01, 3.0
TABLES = {
    "plane": (gs.morphs.Plane(), 'type="plane" size="9 9 1"', 0.0),
    "box": (lambda pos: gs.morphs.Box(pos=pos, size=(0.6, 0.6, 0.4), fixed=True), 'type="box" size="0.3 0.3 0.2"', 0.2),
    "sphere": (lambda pos: gs.morphs.Sphere(pos=pos, radius=0.3, fixed=True), 'type="sphere" size="0.3"', 0.3),
    "capsule": (lambda pos: gs.morphs.Capsule(pos=pos, euler=(0, 90, 0), radius=0.2, height=0.6, fixed=True),
                'type="capsule" size="0.2 0.3" euler="0 90 0"', 0.2),
    "cylinder": (lambda pos: gs.morphs.Cylinder(pos=pos, radius=0.3, height=0.4, fixed=True),
                 'type="cylinder" size="0.3 0.2"', 0.2),
}  # fmt: skip
"""Fixed geoms: ours, MuJoCo's, and how high they are, m."""
BALL, CUBE = 0.05, 0.1
HEAVY = 50.0 / (2 * CUBE) ** 3
"""kg/m^3 of a cube of 50 kg."""
ON = [(table, "ball") for table in TABLES] + [(table, "cube") for table in ("plane", "box", "cylinder")]
"""What lies on what: a ball, or a cube of 50 kg."""


def places():
    """Of each table, and of what lies on it, 5 mm above; the plane is one for all."""
    for k, (table, what) in enumerate(ON):
        top = TABLES[table][2]
        yield (
            table,
            what,
            (2.0 * k, 0.0, 0.5),
            (2.0 * k, 0.0, (0.0 if table == "plane" else 0.5 + top) + size_of(what) + 5e-3),
        )


def size_of(what):
    return BALL if what == "ball" else CUBE


def in_mujoco():
    """(n,) heights at rest."""
    friction = 'friction="0.7 0.005 0.0001"'
    parts = f'<geom type="plane" size="99 99 1" {friction}/>'
    for table, what, place, above in places():
        if table != "plane":
            parts += f'<body pos="{" ".join(map(str, place))}"><geom {TABLES[table][1]} {friction}/></body>'
        shape = f'type="sphere" size="{BALL}"' if what == "ball" else f'type="box" size="{CUBE} {CUBE} {CUBE}"'
        density = 1000.0 if what == "ball" else HEAVY
        parts += (
            f'<body pos="{" ".join(map(str, above))}"><freejoint/><geom {shape} density="{density}" {friction}/></body>'
        )
    model = mujoco.MjModel.from_xml_string(
        f'<mujoco><option timestep="{DT / 2}" integrator="implicitfast"/><worldbody>{parts}</worldbody></mujoco>'
    )
    data = mujoco.MjData(model)
    for _ in range(round(2 * SECONDS / DT)):
        mujoco.mj_step(model, data)
    return data.qpos.reshape(-1, 7)[:, 2]


def test_a_ball_and_fifty_kilograms_rest_on_all_fixed_bodies_as_deep_as_in_mujoco():
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=DT, substeps=2))
    scene.add_entity(gs.morphs.Plane())
    bodies = []
    for table, what, place, above in places():
        if table != "plane":
            scene.add_entity(TABLES[table][0](place))
        if what == "ball":
            bodies.append(scene.add_entity(gs.morphs.Sphere(pos=above, radius=BALL), gs.materials.Rigid(rho=1000.0)))
        else:
            cube = gs.morphs.Box(pos=above, size=(2 * CUBE, 2 * CUBE, 2 * CUBE))
            bodies.append(scene.add_entity(cube, gs.materials.Rigid(rho=HEAVY)))
    scene.build()
    with torch.no_grad():
        for _ in range(round(SECONDS / DT)):
            scene.step()
    assert scene.failures == []
    found = np.array([float(plain(body.get_pos())[0, 2]) for body in bodies])
    starts = np.array([above[2] - 5e-3 for _, _, _, above in places()])
    depths, wanted = starts - found, starts - in_mujoco()
    for (table, what), ours, theirs in zip(ON, depths, wanted, strict=True):
        print(f"{what} on {table}: {1e3 * ours:.4f} mm deep, in MuJoCo {1e3 * theirs:.4f}")
    assert (wanted > 1e-5).all() and (wanted < 5e-3).all()
    assert np.abs(depths - wanted).max() < 1e-6
    assert max(float(plain(body.get_vel()).norm()) for body in bodies) < 1e-3


def test_a_humanoid_falls_on_a_fixed_box_as_on_a_plane():
    """With cones: a pyramid turns with the contact's tangents, which of a box are others than of a plane (there
    MuJoCo's two worlds part, too)."""
    start = mujoco.MjSpec.from_string(gymnasium_text("humanoid"))
    start.option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    start.compile()
    text = start.to_xml()
    spec = mujoco.MjSpec.from_string(text)
    (floor,) = [geom for geom in spec.geoms if geom.type == mujoco.mjtGeom.mjGEOM_PLANE]
    floor.type, floor.size, floor.pos = mujoco.mjtGeom.mjGEOM_BOX, [20, 20, 0.5], floor.pos - np.array([0, 0, 0.5])
    model = mujoco.MjModel.from_xml_string(text)
    rng, n, steps = np.random.default_rng(0), 8, 250
    qpos = np.tile(model.qpos0, (n, 1))
    qpos[:, 7:] += 0.1 * rng.normal(size=(n, model.nq - 7))
    states = States(qpos, 0.1 * rng.normal(size=(n, model.nv)), np.zeros((n, model.nu)))
    ends = []
    for world in (text, spec.to_xml()):
        ours = Ours(world, n)
        with torch.no_grad():
            ours.place(number(states.qpos), number(states.qvel))
            ours.step(steps)
        ends.append(ours.state().numpy())
    assert (ends[0][:, 2] < qpos[:, 2] - 0.05).all()  # they have arrived
    print(f"plane and box: {np.abs(ends[0] - ends[1]).max():.1e}")
    assert np.abs(ends[0] - ends[1])[:, : model.nq].max() < 1e-6
