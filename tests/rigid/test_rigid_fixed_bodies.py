"""What cannot move never gives way, whatever mass a file states; what is welded to a mover counts with it."""

import pytest
import torch

import genesis as gs
from tests.rigid.rigid_models import file_of
from tests.rigid.rigid_worlds import plain

pytestmark = pytest.mark.precision("32")

F64 = torch.float64
MASSES = (0.0, 1e-3, 1.0, 1e6)
GEOMS = {
    "box": 'type="box" size=".5 .5 .1" pos="0 0 -.1"',
    "sphere": 'type="sphere" size=".3" pos="0 0 -.3"',
    "capsule": 'type="capsule" size=".05 .3" pos="0 0 -.05" euler="0 90 0"',
}
MOVERS = {
    "box": '<geom type="box" size=".05 .05 .05" mass=".7"/>',
    "sphere": '<geom type="sphere" size=".05" mass=".7"/>',
    "capsule": '<geom type="capsule" size=".05 .05" mass=".7" euler="0 85 20"/>',
}
PLACES = {
    "world": "<geom {}/>",
    "static": "<body>{}<geom {}/></body>",
    "nested": "<body><body>{}<geom {}/></body></body>",
}


ROUND = [pytest.param(*pair, marks=pytest.mark.slow) for pair in (("sphere", "capsule"), ("capsule", "sphere"))]


def scene_of(xml=None, morphs=(), rigid=None, **sim):
    """A scene with one file, or with morphs and their densities."""
    settings = {"dt": 0.01, "substeps": 32, **sim}
    scene = gs.Scene(sim_options=gs.options.SimOptions(**settings), rigid_options=rigid)
    files = [scene.add_entity(gs.morphs.MJCF(file=file_of(xml)))] if xml is not None else []
    bodies = [scene.add_entity(morph, material=gs.materials.Rigid(rho=rho)) for morph, rho in morphs]
    scene.build()
    return scene, [*files, *bodies]


def inertial(mass):
    return f'<inertial pos="0 0 0" mass="{mass}" diaginertia="{mass} {mass} {mass}"/>' if mass else ""


def path_of(xml, steps=25):
    """Everything that moves, after each step."""
    scene, (robot,) = scene_of(xml)
    found = []
    for _ in range(steps):
        scene.step()
        found.append(torch.cat([plain(robot.get_qpos())[0], plain(robot.get_dofs_velocity())[0]]))
    return torch.stack(found)


def dropped_on(place, mass, geom, mover):
    fixed = PLACES["world"].format(GEOMS[geom]) if place == "world" else PLACES[place].format(
        inertial(mass), f'{GEOMS[geom]} mass="{mass}"')  # fmt: skip
    return path_of(
        f'<mujoco><option integrator="implicitfast"/><worldbody>{fixed}'
        f'<body pos="0.01 0.005 .06"><freejoint/>{MOVERS[mover]}</body></worldbody></mujoco>'
    )


@pytest.mark.parametrize("geom, mover", [("box", "box"), *ROUND])
def test_the_mass_of_what_is_fixed_changes_no_bit(geom, mover):
    wanted = dropped_on("static", 1.0, geom, mover)
    assert torch.isfinite(wanted).all() and wanted[:, 2].min() > 0.02
    assert (wanted[-1] - dropped_on("static", 1.0, geom, mover)[-1]).abs().max() == 0
    got = dropped_on("world", 0.0, geom, mover)
    assert torch.equal(got, wanted)
    for mass in MASSES:
        assert torch.equal(dropped_on("nested" if mass else "static", mass, geom, mover), wanted)


@pytest.mark.parametrize(
    "kind", ["box", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sphere", "capsule"))]
)
def test_the_density_of_fixed_morphs_changes_no_bit(kind):
    found = []
    for rho in (1e-3, 1.0, 1e3, 1e6):
        fixed = {
            "box": gs.morphs.Box(pos=(0, 0, -0.1), size=(1, 1, 0.2), fixed=True),
            "sphere": gs.morphs.Sphere(pos=(0, 0, -0.3), radius=0.3, fixed=True),
            "capsule": gs.morphs.Capsule(pos=(0, 0, -0.1), euler=(0, 90, 0), radius=0.1, height=0.6, fixed=True),
        }[kind]
        cube = gs.morphs.Box(pos=(0, 0, 0.06), size=(0.1, 0.1, 0.1))
        scene, (_, body) = scene_of(morphs=[(fixed, rho), (cube, 1e3)])
        for _ in range(25):
            scene.step()
        found.append(plain(body.get_qpos()))
    assert found[0][0, 2] > 0.045
    assert all(torch.equal(each, found[0]) for each in found)


@pytest.mark.slow
def test_links_fixed_by_a_urdf():
    def drop(mass):
        inertia = " ".join(f'{axes}="{mass if axes in ("ixx", "iyy", "izz") else 0}"' for axes in
                           ("ixx", "iyy", "izz", "ixy", "ixz", "iyz"))  # fmt: skip
        link = f'<inertial><mass value="{mass}"/><inertia {inertia}/></inertial>' if mass else ""
        urdf = (
            f'<robot name="table"><link name="base">{link}</link><link name="top">{link}'
            '<collision><origin xyz="0 0 -0.1"/><geometry><box size="1 1 0.2"/></geometry></collision></link>'
            '<joint name="j" type="fixed"><parent link="base"/><child link="top"/></joint></robot>'
        )
        scene = gs.Scene(sim_options=gs.options.SimOptions(dt=0.01, substeps=32))
        scene.add_entity(gs.morphs.URDF(file=file_of(urdf, "urdf"), fixed=True))
        cube = scene.add_entity(gs.morphs.Box(pos=(0, 0, 0.06), size=(0.1, 0.1, 0.1)), gs.materials.Rigid())
        scene.build()
        for _ in range(25):
            scene.step()
        return plain(cube.get_qpos())

    wanted = drop(1.0)
    assert wanted[0, 2] > 0.045
    assert all(torch.equal(drop(mass), wanted) for mass in MASSES)


def test_the_mass_of_a_fixed_base_is_no_part_of_what_it_carries():
    """An arm on a base, which falls onto the ground: stiffness and friction are those of what moves."""

    def swing(mass):
        return path_of(
            f"""<mujoco><worldbody><geom type="plane" size="5 5 1"/><body pos="0 0 .3">{inertial(mass)}
            <body><joint type="hinge" axis="0 1 0"/><geom type="capsule" fromto="0 0 0 .5 0 0" size=".03" mass="1"/>
            </body></body></worldbody></mujoco>"""
        )

    wanted = swing(1.0)
    assert wanted[:, 0].max() > 0.5  # it has arrived
    assert all(torch.equal(swing(mass), wanted) for mass in MASSES)


def test_what_is_welded_onto_a_mover_counts_with_it():
    """A light body that carries a heavy one without a joint falls like one body of both masses."""
    one = '<body pos="0 0 .06"><freejoint/><geom type="box" size=".05 .05 .05" mass="2.1"/></body>'
    two = """<body pos="0 0 .06"><freejoint/><geom type="box" size=".05 .05 .05" mass=".1"/>
        <body><geom type="box" size=".05 .05 .05" mass="2" contype="0" conaffinity="0"/></body></body>"""
    table = PLACES["world"].format(GEOMS["box"])
    first, second = (
        path_of(f'<mujoco><option integrator="implicitfast"/><worldbody>{table}{body}</worldbody></mujoco>')
        for body in (one, two)
    )
    assert first[-1, 2] > 0.045
    tolerance = 1e-12 if first.dtype == F64 else 1e-5
    assert (first - second).abs().max() < tolerance
