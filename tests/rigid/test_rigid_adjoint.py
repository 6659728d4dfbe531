"""Every gradient of a control step against differences, without contact: 1e-8, whole gradients, input by input."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from genesis.options import CompliantContact, RigidOptions
from tests.loaders.random_trees import random_tree
from tests.rigid.rigid_bench import Bench, noise
from tests.rigid.rigid_models import ZOO, from_text

pytestmark = pytest.mark.precision("64")
BAR = 1e-8
OUTPUTS = ("link_wrench", "link_acceleration")
SOFT = RigidOptions(contact=CompliantContact(limit_stiffness=60.0, limit_damping=1.5, limit_smoothing=0.5))
"""Limits whose rounding is as wide as the motion: no corner is passed, and differences see 1e-8."""


@pytest.fixture(scope="module")
def bench():
    return Bench(from_text(ZOO), options=SOFT, dt=0.04, substeps=8, outputs=OUTPUTS)


def stirred(bench, seed=1, angle=0.4, speed=0.8):
    """One environment in which everything moves, is pushed, pulled, and follows targets."""
    model = bench.model
    values = bench.initial(1, gravity=(1.0, -2.0, -8.0))
    values["qpos"] = bench.retract(values["qpos"][0], angle * noise(1, model.n_dofs, seed=seed))
    values["dofs_vel"] = speed * noise(1, model.n_dofs, seed=seed + 1)
    values["wrench"] = 0.7 * noise(1, model.n_links, 6, seed=seed + 2)
    dofs = 0.6 * noise(1, model.n_dofs, 5, seed=seed + 3)
    rotates = elastic(model)
    dofs[0, :, 3:] = torch.where(rotates[:, None], torch.tensor([0.7, 0.4], dtype=dofs.dtype), 0.0)
    values["dofs"] = dofs
    for name, size in (("kp", 4.0), ("kv", 0.5), ("stiffness", 3.0), ("damping", 0.4), ("armature", 0.03)):
        block = bench.block(values, name)
        block[:] = torch.where(rotates, size * (1.2 + 0.3 * noise(model.n_dofs, seed=seed + 5).tanh()), block)
    return values


def elastic(model):
    """(D,) bool: dofs of hinges, slides and balls, which have springs and targets."""
    mask = torch.ones(model.n_dofs, dtype=torch.bool)
    for joint in model.joints:
        if joint.kind == "free":
            mask[joint.dof : joint.dof + 6] = False
    return mask


NEEDED = tuple("qpos dofs_vel dofs wrench mass inertia damping armature stiffness kp kv gravity".split())


@pytest.mark.parametrize("seed", [1, 2])
def test_every_input(bench, seed):
    """Free, ball, hinge and slide joints, stacks, off-axis anchors: state, controls, parameters, limits engaged."""
    values = stirred(bench, seed)
    bench.check(values, BAR, needed=NEEDED, seed=seed)


@pytest.mark.parametrize("seed", range(6))
def test_random_trees(seed):
    """Seven bodies at random, with springs, damping and wide limits."""
    model = from_text(random_tree(np.random.default_rng(100 + seed), n_bodies=7, springs=True, limits=True))
    bench = Bench(model, options=SOFT, dt=0.02, substeps=8, outputs=OUTPUTS)
    bench.check(stirred(bench, seed), BAR, seed=seed, needed=("qpos", "dofs_vel", "dofs", "mass", "inertia", "damping"))


@pytest.mark.parametrize("output", OUTPUTS)
def test_outputs_alone(bench, output):
    weights = dict.fromkeys(bench.results, 0.0) | {output: 1.0}
    bench.check(stirred(bench, 3), BAR, weights=weights, needed=("qpos", "dofs_vel", "wrench", "mass", "gravity"))


def test_one_substep_and_many():
    """One link after one substep, and 64 substeps of the whole: what is summed over substeps is summed over all."""
    for substeps, dt in ((1, 0.01), (64, 0.16)):
        bench = Bench(from_text(ZOO), options=SOFT, dt=dt, substeps=substeps, outputs=OUTPUTS)
        bench.check(stirred(bench, 4), BAR, needed=NEEDED)


def test_quaternions_off_the_unit_sphere(bench):
    """Only its direction counts, so a quaternion's gradient has no part along it; and q and -q are one rotation."""
    values = stirred(bench, 5)
    base = bench.forward(values)
    cotangents = {name: noise(*value.shape, seed=9) / (1 + value.abs().max()) for name, value in base.items()}
    grad = bench.backward(values, cotangents)["qpos"][0]
    for joint in bench.model.joints:
        if joint.kind in ("free", "ball"):
            first = joint.q + (3 if joint.kind == "free" else 0)
            part = slice(first, first + 4)
            g, q = grad[part], values["qpos"][0, part]
            assert abs(float(g @ q)) < 1e-12 * float(grad.norm()), joint.name
            for factor in (1.7, -1.0):
                other = {**values, "qpos": values["qpos"].clone()}
                other["qpos"][0, part] *= factor
                for name, value in bench.forward(other).items():
                    if name == "qpos":
                        sign = torch.sign((value[0, part] * base[name][0, part]).sum())
                        value[0, part] *= sign
                    assert (value - base[name]).abs().max() < 1e-11 * (1 + base[name].abs().max()), joint.name


def test_limits_engaged():
    """Stiff limits, driven into on both sides; differences stay between the corners of the rounding."""
    model = from_text(ZOO)
    options = RigidOptions(contact=CompliantContact(limit_stiffness=500.0, limit_damping=5.0, limit_smoothing=0.02))
    bench = Bench(model, options=options, dt=0.02, substeps=8)
    values = stirred(bench, 6)
    sides = {"bite": 1.05, "twist": -0.8, "toe": 0.24, "elbow": 0.49}
    for joint in model.joints:
        if joint.name in sides:
            values["qpos"][0, joint.q] = sides[joint.name]
            low, high = model.limit_low[joint.dof], model.limit_high[joint.dof]
            assert not low <= sides[joint.name] <= high
            values["dofs_vel"][0, joint.dof] = 0.2 * np.sign(sides[joint.name])
    bench.check(values, BAR, steps=tuple(2e-3 * 2.0**-k for k in range(8)), needed=NEEDED)


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_saturated_actuators(side):
    """Beyond its strength an actuator pushes with all of it: targets and gains have no influence, the rest has."""
    model = from_text(ZOO)
    strength = np.where(elastic(model).numpy(), 0.3, np.inf)
    model = replace(model, force_low=-strength, force_high=strength)
    bench = Bench(model, options=SOFT, dt=0.04, substeps=8, outputs=OUTPUTS)
    values = stirred(bench, 7)
    values["dofs"][0, :, 0] = torch.where(elastic(model), side * 40.0, 0.0)
    found = bench.check(values, BAR, needed=("qpos", "dofs_vel", "mass", "damping"))
    for name in ("kp", "kv", "dofs"):
        part = found[name].size
        assert part < (1e-9 if name != "dofs" else 1.0), name
    free = bench.backward(values, {k: torch.ones_like(v) for k, v in bench.forward(values).items()})["dofs"][0]
    assert (free[elastic(model)] == 0).all()
    alone = {**values, "dofs": values["dofs"].clone()}
    alone["dofs"][0, :, 1:] = 0.0
    alone["dofs"][0, :, 0] = torch.where(elastic(model), side * 0.3, 0.0)
    for name, value in bench.forward(alone).items():
        assert (value - bench.forward(values)[name]).abs().max() < 1e-12 * (1 + value.abs().max()), name


def test_environments_do_not_mix(bench):
    """What one environment's gradient is alone, it is in company; a zero cotangent gives zeros."""
    rows = [stirred(bench, seed) for seed in (1, 2, 3)]
    together = {k: torch.cat([row[k] for row in rows]) for k in rows[0]}
    results = bench.forward(together)
    cotangents = {k: noise(*v.shape, seed=4) / (1 + v.abs().max()) for k, v in results.items()}
    for value in cotangents.values():
        value[1] = 0.0
    grads = bench.backward(together, cotangents)
    for e, row in enumerate(rows):
        alone = bench.backward(row, {k: v[e : e + 1] for k, v in cotangents.items()})
        for name in grads:
            assert torch.equal(grads[name][e : e + 1], alone[name]), name
            assert e != 1 or not grads[name][e].any(), name
        for name, value in bench.forward(row).items():
            assert torch.equal(value, results[name][e : e + 1]), name
