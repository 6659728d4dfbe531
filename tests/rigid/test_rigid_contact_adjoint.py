"""Gradients through contact against differences, 1e-6: every shape, grounds and bodies, made, broken, slid, stuck."""

import pytest
import torch

from genesis.options import CompliantContact, RigidOptions
from genesis.solvers.rigid.prepare import STUCK_MASS
from tests.rigid.rigid_bench import Bench, G, noise
from tests.rigid.rigid_differences import STIFF_STEPS
from tests.rigid.rigid_grounds import flat, hilly
from tests.rigid.rigid_models import CRAWLER, SHAPES, from_text, lone

pytestmark = pytest.mark.precision("64")
BAR = 1e-6
GROUNDS = {"plane": flat, "tilted plane": lambda: flat(normal=(0.15, -0.1, 1.0)), "heightfield": hilly}
NEEDED = ("qpos", "dofs_vel", "mass", "inertia", "friction", "contact_stiffness", "gravity", "wrench")


def touching(bench, values):
    """(C,) whether each contact point pushes, averaged over the step."""
    return bench.forward(values)["contacts"][0, :, :3].norm(dim=-1) > 1e-9


def fall(bench, height, velocity=(0.5, -0.3, -0.8), spin=1.0, seed=1):
    values = bench.initial(1)
    values["qpos"] = bench.retract(values["qpos"][0], 0.3 * noise(1, bench.model.n_dofs, seed=seed))
    values["qpos"][0, :3] = torch.tensor([0.21, 0.13, height], dtype=torch.float64)
    values["dofs_vel"] = spin * noise(1, bench.model.n_dofs, seed=seed + 1)
    values["dofs_vel"][0, :3] = torch.tensor(velocity, dtype=torch.float64)
    return values


@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_on_grounds(shape, ground):
    """It falls onto the ground and slides on: no point touches at first, some do within the step."""
    bench = Bench(from_text(lone(shape)), (GROUNDS[ground](),), dt=0.04, substeps=20, outputs=("contacts",))
    for height in (0.19, 0.17, 0.15, 0.13, 0.11, 0.09, 0.07):
        values = fall(bench, height)
        if touching(bench, values).any():
            break
    else:
        raise AssertionError("the body must reach the ground")
    bench.check(values, BAR, steps=STIFF_STEPS, needed=NEEDED)


def made_and_broken(bench, values, parts=10):
    """(C,) which points begin to touch within the step, and which cease to."""
    part = Bench(bench.model, bench.grounds, bench.options, bench.dt / parts, bench.substeps // parts, ("contacts",))
    values, touched = dict(values), []
    for _ in range(parts):
        results = part.forward(values)
        touched.append(results["contacts"][0, :, :3].norm(dim=-1) > 1e-9)
        values["qpos"], values["dofs_vel"] = results["qpos"], results["dofs_vel"]
    before, after = torch.stack(touched[:-1]), torch.stack(touched[1:])
    return (after & ~before).any(0), (before & ~after).any(0)


@pytest.mark.parametrize("ground", ["plane", "heightfield"])
def test_contact_is_made_and_broken(ground):
    """A robot lands on one leg and tips over to others: points begin to touch, and points cease to, within the step."""
    bench = Bench(from_text(CRAWLER), (GROUNDS[ground](),), dt=0.2, substeps=100, outputs=("contacts", "link_wrench"))
    for seed in range(1, 60):
        values = fall(bench, 0.34, velocity=(0.4, 0.2, -1.0), spin=4.0, seed=seed)
        values["dofs"][0, 6:, 0] = 4.0 * noise(bench.model.n_dofs - 6, seed=seed + 50)
        made, broken = made_and_broken(bench, values)
        if made.sum() > 1 and broken.any():
            break
    else:
        raise AssertionError("contact must be made and broken in some of the falls")
    print("seed", seed, "made", made.nonzero().flatten().tolist(), "broken", broken.nonzero().flatten().tolist())
    bench.check(values, BAR, steps=STIFF_STEPS, needed=(*NEEDED, "damping", "armature", "stiffness", "dofs"))


SPEEDS = {"stuck": 0.08, "slow": 1.0, "fast": 30.0}
"""Times the velocity at which friction saturates."""


@pytest.mark.parametrize("speed", SPEEDS)
@pytest.mark.parametrize("by_ground", [False, True])
@pytest.mark.parametrize("given", [0.05, None])
def test_friction(speed, by_ground, given):
    """A box on its corners, pushed along, far below, at and above the velocity at which friction saturates."""
    friction, ground = (0.2, 0.8) if by_ground else (0.6, 0.1)
    options = RigidOptions(contact=CompliantContact(friction_velocity=given))
    dt = 0.02 if given else 0.1  # long, so that differences are not smaller than what is small here
    saturates = given or dt / 10 * max(friction, ground) * G / 4 / STUCK_MASS  # a quarter of the weight on each corner
    model, floor = from_text(lone("box", friction=friction)), flat(friction=ground)
    bench = Bench(model, (floor,), options, dt=dt, substeps=10, outputs=("contacts",))
    values = settled(bench, 50 * dt)
    way = torch.tensor([0.8, -0.6, 0.0], dtype=torch.float64)
    values["dofs_vel"][0, :3] = SPEEDS[speed] * saturates * way
    if speed != "fast" and given is None:  # mu matters only under a load along the ground, half of what it can bear
        values["wrench"][0, 0, :3] = 0.5 * max(friction, ground) * float(model.mass[0]) * G * way
    assert touching(bench, values).any()
    matters, idle = ("ground_friction", "friction") if by_ground else ("friction", "ground_friction")
    found = bench.check(values, BAR, steps=STIFF_STEPS, needed=("qpos", "dofs_vel", "mass", matters))
    assert found[idle].size == 0.0


def settled(bench, seconds=1.0, damp=True):
    """A state at rest on the ground, found by running on, with all spin and speed taken out now and then."""
    values = bench.initial(1)
    values["qpos"][0, 2] = 0.2
    for _ in range(int(seconds / bench.dt)):
        results = bench.forward(values)
        values["qpos"], values["dofs_vel"] = results["qpos"], (0.9 if damp else 1.0) * results["dofs_vel"]
    return values


@pytest.mark.parametrize("departure", [0.0, 0.3, 1.0, 3.0, 10.0])
def test_clamp_of_the_normal_force(departure):
    """Leaving the ground from deep inside: the faster it goes, the less it is pushed, and it is never pulled."""
    options = RigidOptions(contact=CompliantContact(dissipation=0.5))
    bench = Bench(from_text(lone("ellipsoid")), (flat(),), options, dt=4e-3, substeps=8, outputs=("contacts",))
    values = settled(bench)
    values["qpos"][0, 2] -= 0.01
    values["dofs_vel"][0, :3] = torch.tensor([0.1, -0.05, departure], dtype=torch.float64)
    normal = bench.forward(values)["contacts"][0, :, 2]
    assert (normal >= 0).all(), f"the ground pulls: {normal.min()}"
    bench.check(values, BAR, steps=STIFF_STEPS)


@pytest.mark.parametrize("turning", [False, True])
def test_released_points(turning):
    """Torn off the ground, all of it or one side: within the substep the force would turn, so the point is let go."""
    bench = Bench(from_text(lone("box")), (flat(),), dt=4e-3, substeps=2, outputs=("contacts",))
    values = settled(bench)
    down = bench.forward(values)["contacts"][0, :, 2]
    values["wrench"][0, 0] = torch.tensor(
        [0.0, 4.0, 0.0, 6.0, 0.0, 0.0] if turning else [1.0, 2.0, 900.0, 0.1, 0.2, 0.0]
    )
    one = Bench(bench.model, bench.grounds, dt=2e-3, substeps=1, outputs=("contacts",)).forward(values)
    normal = one["contacts"][0, :, 2]
    assert (normal >= 0).all()
    assert ((down > 1.0) & (normal == 0.0)).any(), "a point must be released in the first substep"
    assert turning == bool((normal > 1.0).any())
    bench.check(values, BAR, steps=STIFF_STEPS, needed=("qpos", "dofs_vel", "wrench", "mass"))
