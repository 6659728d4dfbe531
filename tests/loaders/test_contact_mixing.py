"""Which geoms meet, and the parameters of their contact, against what MuJoCo's mj_forward lists."""

import warnings

import numpy as np
import pytest

from genesis.loaders import candidates, check_for_mujoco, ground_candidates, load_mjcf, mix
from genesis.loaders.contact_mixing import explicit

mujoco = pytest.importorskip("mujoco")


def words(values):
    return " ".join(f"{value!r}" for value in values)


def geom(rng, name, kind="sphere"):
    """A shape with random parameters, half of them as the default has them."""
    solref = (
        [rng.uniform(0.01, 0.1), rng.uniform(0.3, 2)]
        if rng.random() < 0.7
        else [-rng.uniform(1, 500), -rng.uniform(0, 50)]
    )
    given = {
        "condim": f"{rng.choice([1, 3, 4, 6])}",
        "friction": words(rng.choice([0.0, *rng.uniform(0, 1, 3).tolist()], 3).tolist()),
        "solref": words(float(value) for value in solref),
        "solimp": words(rng.uniform([0, 0, 0, 0, 1], [1, 1, 0.1, 1, 4]).tolist()),
        "solmix": f"{rng.choice([0.0, 1.0, rng.uniform(0, 5)])!r}".replace("np.float64(", "").replace(")", ""),
        "priority": f"{rng.choice([-1, 0, 0, 0, 2])}",
        "margin": f"{rng.uniform(0, 0.3):.6f}",
        "gap": f"{rng.uniform(0, 0.3):.6f}",
        "contype": f"{rng.integers(0, 4)}",
        "conaffinity": f"{rng.integers(1, 4)}",
    }
    kept = " ".join(f'{key}="{value}"' for key, value in given.items() if rng.random() < 0.6)
    size = {"sphere": ".3", "capsule": ".3 .1", "ellipsoid": ".3 .25 .3", "cylinder": ".3 .2", "box": ".2 .2 .2"}[kind]
    return f'<geom name="{name}" type="{kind}" size="{size}" {kept}/>'


def pair(rng, one, two):
    """An explicit pair, half of whose numbers are its own."""
    given = {
        "condim": f"{rng.choice([1, 3, 4, 6])}",
        "friction": words(rng.uniform(0, 1, 5).tolist()),
        "solref": words(rng.uniform([0.01, 0.3], [0.1, 2]).tolist()),
        "solreffriction": words(rng.uniform([0.01, 0.3], [0.1, 2]).tolist()),
        "solimp": words(rng.uniform([0, 0, 0, 0, 1], [1, 1, 0.1, 1, 4]).tolist()),
        "margin": f"{rng.uniform(0, 0.3):.6f}",
        "gap": f"{rng.uniform(0, 0.3):.6f}",
    }
    kept = " ".join(f'{key}="{value}"' for key, value in given.items() if rng.random() < 0.5)
    return f'<pair geom1="{one}" geom2="{two}" {kept}/>'


def world(rng):
    """Bodies that all overlap: trees, welded bodies, bodies fixed to the world, a plane, exclusions."""
    count = iter(range(100))
    names, given = [], []

    def body(depth):
        name = f"b{next(count)}"
        names.append(name)
        joint = rng.choice(["", '<joint type="hinge"/>', '<joint type="ball"/>', '<joint type="slide"/>'])
        if depth == 0 and rng.random() < 0.4:
            joint = "<freejoint/>"
        kinds = rng.choice(["sphere", "capsule", "ellipsoid", "cylinder", "box"], 1 + (rng.random() < 0.3))
        shapes = "".join(geom(rng, f"{name}.{k}", kind) for k, kind in enumerate(kinds))
        given.extend(f"{name}.{k}" for k in range(len(kinds)))
        inside = "".join(body(depth + 1) for _ in range(int(rng.integers(0, 3)) if depth < 3 else 0))
        place = words(rng.uniform(-0.02, 0.02, 3).tolist())
        inertial = '<inertial mass="1" pos="0 0 0" diaginertia="1 1 1"/>'
        return f'<body name="{name}" pos="{place}">{joint}{inertial}{shapes}{inside}</body>'

    bodies = "".join(body(0) for _ in range(3))
    pairs = {tuple(sorted(rng.choice(names, 2, replace=False))) for _ in range(3)} if len(names) > 1 else set()
    excludes = "".join(f'<exclude body1="{a}" body2="{b}"/>' for a, b in pairs)
    shapes = ["floor", *given]
    paired = [rng.choice(shapes, 2, replace=False) for _ in range(3)]
    explicit = "".join(pair(rng, a, b) for a, b in paired)
    flag = '<flag filterparent="disable"/>' if rng.random() < 0.3 else ""
    plane = geom(rng, "floor").replace("sphere", "plane").replace('size=".3"', 'size="1 1 1"')
    return (
        f'<mujoco><option cone="elliptic">{flag}</option><worldbody>{plane}{bodies}</worldbody>'
        f"<contact>{excludes}{explicit}</contact></mujoco>"
    )


@pytest.mark.parametrize("seed", range(40))
def test_pairs_and_parameters_equal_mujoco_s(seed, tmp_path):
    text = world(np.random.default_rng(seed))
    (tmp_path / "world.xml").write_text(text)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        robot = load_mjcf(tmp_path / "world.xml", cache=False, contact="mujoco")
    check_for_mujoco(robot)
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    assert robot.mujoco is not None
    named = {shape.name: shape for shape in (*robot.geoms, *robot.grounds)}
    rows = {
        (robot.geoms[i].name, robot.geoms[j].name): row
        for i, j, row in candidates(robot, robot.mujoco.options[0].filterparent)
    }
    for i, k, row in ground_candidates(robot, robot.grounds):
        rows[robot.grounds[k].name, robot.geoms[i].name] = row
    moves = {geom.name for geom in robot.geoms if robot.moving[geom.link]}
    met = [(contact, *(model.geom(index).name for index in contact.geom)) for contact in data.contact]
    met = [(contact, a, b) for contact, a, b in met if a != "floor" or b in moves]  # all others push nothing
    assert rows.keys() == {(a, b) for _, a, b in met}
    for contact, a, b in met:
        row = rows[a, b]
        numbers = mix(named[a], named[b]) if row < 0 else explicit(robot.mujoco, row)
        if row >= 0:
            np.testing.assert_allclose(robot.mujoco.pairs.solreffriction[row], contact.solreffriction, rtol=1e-14)
        assert numbers.condim == contact.dim, (a, b)
        np.testing.assert_allclose(numbers.friction, contact.friction, rtol=1e-14, err_msg=f"{a}, {b}")
        np.testing.assert_allclose(numbers.solref, contact.solref, rtol=1e-14, err_msg=f"{a}, {b}")
        np.testing.assert_allclose(numbers.solimp, contact.solimp, rtol=1e-14, atol=1e-16, err_msg=f"{a}, {b}")
        np.testing.assert_allclose(numbers.margin, contact.includemargin, rtol=1e-14, atol=1e-16)
        if row < 0:
            np.testing.assert_allclose(mix(named[b], named[a]).solimp, numbers.solimp, rtol=1e-14)


@pytest.mark.parametrize("distance", np.linspace(0.005, 0.095, 10))
def test_margins_and_gaps_say_where_a_contact_acts_and_where_it_is_listed(distance, tmp_path):
    body = '<body name="{0}" pos="{1} 0 0"><freejoint/><geom name="{0}" size=".1" margin="{2}" gap="{3}"/></body>'
    text = (
        f"<mujoco><worldbody>{body.format('a', 0, 0.01, 0.015)}{body.format('b', 0.2 + distance, 0.02, 0.025)}"
        "</worldbody></mujoco>"
    )
    (tmp_path / "two.xml").write_text(text)
    a, b = load_mjcf(tmp_path / "two.xml", cache=False, contact="mujoco").geoms
    model = mujoco.MjModel.from_xml_string(text)
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    numbers = mix(a, b)
    assert data.ncon == (distance < numbers.margin + numbers.gap)
    assert data.nefc == (4 if distance < numbers.margin else 0)
