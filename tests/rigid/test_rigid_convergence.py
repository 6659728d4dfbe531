"""Springs, damping, limits, targets, contact: they converge, to first order in dt, to laws on MuJoCo's dynamics.

Nothing is shared with the solver there: mass matrix, bias, springs, damping and Jacobians are MuJoCo's, the laws are
written down in continuous time in `rigid_mujoco`, and the integrator is Runge and Kutta's.
"""

from dataclasses import replace

import mujoco
import numpy as np
import pytest
import torch

from genesis.options import CompliantContact, RigidOptions
from tests.rigid.rigid_bench import F64, Bench, noise
from tests.rigid.rigid_grounds import flat
from tests.rigid.rigid_models import CRAWLER, ZOO, from_text
from tests.rigid.rigid_mujoco import Twin, ground_force, ramp, run

pytestmark = pytest.mark.precision("64")


def unlimited(model):
    none = np.full(model.n_dofs, np.inf)
    return replace(model, limit_low=-none, limit_high=none)


def converges(solution, exact, size=0.1):
    """`solution(n)` with 1, 2 and 4 times the substeps: errors halve, and what is extrapolated is much closer."""
    one, two, four = (solution(n) for n in (1, 2, 4))
    errors = [float((x - exact).norm()) for x in (one, two, four)]
    extrapolated = float((2 * four - two - exact).norm())
    print(f"errors {errors}, extrapolated {extrapolated:.1e}")
    assert errors[2] < size
    assert 1.85 < errors[1] / errors[2] < 2.15
    assert extrapolated < 0.01 * errors[2]


def final(bench, values):
    results = bench.forward(values)
    return torch.cat([results["qpos"][0], results["dofs_vel"][0]])


def as_one(q, v):
    return torch.tensor(np.concatenate([q, v]), dtype=F64)


def test_springs_and_damping():
    """MuJoCo's own, on every kind of joint."""
    t = 0.1
    model = unlimited(from_text(ZOO))
    values = Bench(model).initial(1)
    values["qpos"] = Bench(model).retract(values["qpos"][0], 0.4 * noise(1, model.n_dofs, seed=1))
    values["dofs_vel"] = 0.5 * noise(1, model.n_dofs, seed=2)
    q, v = values["qpos"][0].numpy(), values["dofs_vel"][0].numpy()
    exact = as_one(*run(Twin(ZOO, passive=True), q, v, None, t / 1600, 1600))
    converges(lambda n: final(Bench(model, dt=t, substeps=200 * n), values), exact)


def test_targets():
    """Position and velocity targets with gains, on hinges and slides; their clamp is another test's."""
    t, kp, kv = 0.1, 6.0, 0.4
    model = unlimited(from_text(ZOO))
    dofs = [j.dof for j in model.joints if j.kind in ("hinge", "slide")]
    qs = [j.q for j in model.joints if j.kind in ("hinge", "slide")]
    position, velocity = 0.3 * noise(len(dofs), seed=3), 0.5 * noise(len(dofs), seed=4)
    first = Bench(model)
    values = first.initial(1)
    values["qpos"] = first.retract(values["qpos"][0], 0.3 * noise(1, model.n_dofs, seed=1))
    first.block(values, "kp")[:, dofs] = kp
    first.block(values, "kv")[:, dofs] = kv
    values["dofs"][0, dofs, 1], values["dofs"][0, dofs, 2] = position, velocity
    values["dofs"][0, dofs, 3:] = 1.0

    def law(twin):
        force = np.zeros(model.n_dofs)
        force[dofs] = kp * (position.numpy() - twin.d.qpos[qs]) + kv * (velocity.numpy() - twin.d.qvel[dofs])
        return force

    q, v = values["qpos"][0].numpy(), values["dofs_vel"][0].numpy()
    exact = as_one(*run(Twin(ZOO, passive=True), q, v, law, t / 1600, 1600))
    converges(lambda n: final(Bench(model, dt=t, substeps=200 * n), values), exact)


STIFFNESS, WIDTH = 40.0, 0.3


def test_limits():
    """A limit is a spring with a rounded corner, beyond the range only."""
    t = 0.1
    model = from_text(ZOO)
    options = RigidOptions(
        contact=CompliantContact(limit_stiffness=STIFFNESS, limit_damping=0.0, limit_smoothing=WIDTH)
    )
    first = Bench(model, options=options)
    values = first.initial(1)
    values["qpos"] = first.retract(values["qpos"][0], 0.3 * noise(1, model.n_dofs, seed=1))
    limited = [j for j in model.joints if np.isfinite(model.limit_low[j.dof])]
    assert len(limited) == 4
    for k, j in enumerate(limited):
        values["qpos"][0, j.q] = model.limit_high[j.dof] + 0.2 if k % 2 else model.limit_low[j.dof] - 0.2

    def law(twin):
        force = np.zeros(model.n_dofs)
        for j in limited:
            y, low, high = twin.d.qpos[j.q], model.limit_low[j.dof], model.limit_high[j.dof]
            force[j.dof] = STIFFNESS * (ramp(low - y, WIDTH) - ramp(y - high, WIDTH))
        return force

    q, v = values["qpos"][0].numpy(), values["dofs_vel"][0].numpy()
    exact = as_one(*run(Twin(ZOO, passive=True), q, v, law, t / 1600, 1600))
    converges(lambda n: final(Bench(model, options=options, dt=t, substeps=1000 * n), values), exact)


def points_of(model):
    """(link, centre, radius, friction) of all that touches: balls of spheres and capsules, corners of boxes."""
    found = []
    for geom in model.geoms:
        turn = np.zeros(9)
        mujoco.mju_quat2Mat(turn, np.array(geom.quat))
        size, radius, local = geom.size, 0.0, [np.zeros(3)]
        if geom.kind == "capsule":
            local = [np.array([0, 0, s * size[1]]) for s in (-1, 1)]
        if geom.kind == "box":
            local = [np.array(size) * [x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
        else:
            radius = size[0]
        found += [(geom.link, np.array(geom.pos) + turn.reshape(3, 3) @ p, radius, geom.friction) for p in local]
    return found


@pytest.mark.parametrize("normal", [(0.0, 0.0, 1.0), (0.15, -0.1, 1.0)])
@pytest.mark.parametrize("ground_friction", [0.0, 1.1])
def test_contact(normal, ground_friction):
    """Soft ground that a robot falls on: normal force with its damping, friction of link or ground, and its moment."""
    t, k, d, w, slip = 0.15, 1500.0, 1.5, 8e-3, 0.2
    model = unlimited(from_text(CRAWLER))
    ground = flat(normal, friction=ground_friction)
    options = RigidOptions(contact=CompliantContact(stiffness=k, dissipation=d, smoothing=w, friction_velocity=slip))
    first = Bench(model, (ground,), options)
    values = first.initial(1)
    values["qpos"] = first.retract(values["qpos"][0], 0.3 * noise(1, model.n_dofs, seed=1))
    values["qpos"][0, 2] = 0.24
    values["dofs_vel"] = 0.8 * noise(1, model.n_dofs, seed=2)
    n, points = np.array(ground.normal), points_of(model)
    touched = set()

    def law(twin):
        force = np.zeros(model.n_dofs)
        for i, (link, centre, radius, friction) in enumerate(points):
            body = twin.body(model.link_names[link])
            at = twin.d.xpos[body] + twin.d.xmat[body].reshape(3, 3) @ centre - radius * n
            depth = -(at @ n)
            if depth > -w:
                touched.add(i)
                moving = twin.point(body, at)[0] @ twin.d.qvel
                mu = max(friction, ground_friction)
                force += twin.pull(body, at, ground_force(depth, n, moving, k, d, w, mu, slip))
        return force

    q, v = values["qpos"][0].numpy(), values["dofs_vel"][0].numpy()
    exact = as_one(*run(Twin(CRAWLER, passive=True), q, v, law, t / 2400, 2400))
    assert len(touched) >= 3
    converges(lambda n: final(Bench(model, (ground,), options, dt=t, substeps=600 * n), values), exact)
