"""Kinematics and mass matrix of random trees, against MuJoCo."""

import mujoco
import numpy as np
import pytest

from genesis.errors import GenesisValueError
from genesis.loaders import link_jacobians, load_mjcf, load_robot, mass_matrix, rotations
from tests.loaders.random_trees import random_configuration, random_tree
from tests.loaders.reference import compile_text, composite, full_mass_matrix, moving_together


@pytest.mark.parametrize("seed", range(30))
def test_random_trees(seed, tmp_path):
    rng = np.random.default_rng(seed)
    text = random_tree(rng, 1 + seed % 8, springs=True, limits=True, geoms=True)
    (tmp_path / "tree.xml").write_text(text)
    robot = load_mjcf(tmp_path / "tree.xml", cache=False)
    model, data = compile_text(text)
    assert robot.n_dofs == model.nv and robot.n_qs == model.nq
    qpos = random_configuration(rng, robot)
    data.qpos[:] = qpos
    mujoco.mj_forward(model, data)
    np.testing.assert_allclose(mass_matrix(robot, qpos), full_mass_matrix(model, data), rtol=0, atol=1e-10)
    positions, turns, linear, angular = link_jacobians(robot, qpos)
    for link, name in enumerate(robot.link_names):
        body = model.body(name).id
        np.testing.assert_allclose(positions[link], data.xpos[body], atol=1e-12)
        np.testing.assert_allclose(rotations.matrix(turns[link]), data.xmat[body].reshape(3, 3), atol=1e-12)
        theirs = np.zeros((2, 3, model.nv))
        mujoco.mj_jacBody(model, data, theirs[0], theirs[1], body)
        np.testing.assert_allclose((linear[link], angular[link]), theirs, atol=1e-12)
        if robot.moving[link]:
            mass, com, inertia = composite(model, data, moving_together(model, body))
            axes = rotations.matrix(turns[link])
            assert robot.mass[link] == pytest.approx(mass, rel=1e-12)
            np.testing.assert_allclose(positions[link] + axes @ robot.com[link], com, atol=1e-12)
            np.testing.assert_allclose(axes @ rotations.symmetric(robot.inertia[link]) @ axes.T, inertia, atol=1e-12)
    for name, (link, pos, quat) in robot.aliases.items():
        at, along = rotations.compose((positions[link], turns[link]), (np.array(pos), np.array(quat)))
        np.testing.assert_allclose(at, data.xpos[model.body(name).id], atol=1e-12)
        np.testing.assert_allclose(rotations.matrix(along), data.xmat[model.body(name).id].reshape(3, 3), atol=1e-12)


def test_the_generator_draws_every_kind_of_joint():
    text = "".join(random_tree(np.random.default_rng(seed)) for seed in range(30))
    assert all(word in text for word in ("<freejoint", 'type="ball"', 'type="hinge"', 'type="slide"'))


def test_wrong_configuration():
    with pytest.raises(GenesisValueError, match=r"qpos must have shape \(15,\), got \(14,\)"):
        mass_matrix(load_robot("ant"), np.zeros(14))
