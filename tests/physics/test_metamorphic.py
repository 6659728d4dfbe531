"""Relations between runs: order and split of environments, place, orientation."""

import pytest
import torch

from tests.physics.worlds import DX, F64, MODELS, build, everything, leaf, noise, plain, probe, tool_morph

pytestmark = pytest.mark.precision("64")
N = 27


def draw(n_envs, seed=0):
    """A row of inputs for each environment."""
    return {
        "pos": 0.8 + 0.02 * noise(n_envs, 3, seed=seed),
        "vel": 0.4 * noise(n_envs, N, 3, seed=seed + 1),
        "tool_vel": torch.tensor([0.1, 0.1, 0.6]) + 0.1 * noise(n_envs, 3, seed=seed + 2),
        "tool_ang": noise(n_envs, 3, seed=seed + 3),
        "E": 1e4 * (1 + 0.1 * noise(n_envs, seed=seed + 4)),
        "friction": 0.4 + 0.05 * noise(n_envs, seed=seed + 5),
        "gravity": noise(n_envs, 3, seed=seed + 6),
    }


def run(inputs, rows, steps=4, models=("neohooken",), budget=256.0):
    """Results and gradients of each chosen row of `inputs`, one environment for each."""
    world = build(models, shapes=("capsule",), n_envs=len(rows), outputs=("wrench",), frame_budget_mb=budget)
    x = {name: leaf(value[rows]) for name, value in inputs.items()}
    world.body.set_position(x["pos"])
    world.body.set_velocity(x["vel"])
    world.body.set_material(E=x["E"])
    world.tool.set_friction(x["friction"])
    world.scene.set_gravity(x["gravity"])
    for _ in range(steps):
        world.tool.set_velocity(x["tool_vel"], x["tool_ang"])
        world.scene.step()
    results = [plain(v) for v in [*everything(world), world.tool.get_wrench()]]
    loss = sum((noise(*v.shape[1:], seed=k) * v**2).sum() for k, v in enumerate(results))
    grads = torch.autograd.grad(loss, list(x.values()))
    return [*(v.detach() for v in results), *grads]


@pytest.mark.parametrize("models", [("neohooken",), MODELS])
@pytest.mark.parametrize("n_envs", [3, 9])
def test_order_of_environments(n_envs, models):
    """A permutation of environments permutes results and gradients, to the bit."""
    inputs = draw(n_envs)
    order = torch.randperm(n_envs, generator=torch.Generator().manual_seed(2)).tolist()
    straight, shuffled = run(inputs, list(range(n_envs)), models=models), run(inputs, order, models=models)
    for a, b in zip(straight, shuffled, strict=True):
        assert torch.equal(a[order], b)


@pytest.mark.parametrize("budget", [0.0, 256.0])
def test_split_of_a_batch(budget):
    """One scene of 10 equals scenes of 8 and 2, and of 1, to the bit: all run one environment on a thread."""
    inputs = draw(10)
    whole = run(inputs, list(range(10)), budget=budget)
    for rows in (list(range(8)), [8, 9], [3]):
        for a, b in zip(whole, run(inputs, rows, budget=budget), strict=True):
            assert torch.equal(a[rows], b)


def test_copies_of_an_environment_are_equal():
    inputs = draw(1)
    for value in run(inputs, [0] * 5):
        assert torch.equal(value, value[:1].expand_as(value))


def test_gradient_of_a_shared_parameter_is_the_sum_of_its_environments():
    per_env, shared = leaf(torch.full((4,), 1e4, dtype=F64)), leaf(1e4)
    grads = []
    for E in (per_env, shared):
        world = build(shapes=("box",), n_envs=4)
        world.body.set_velocity(0.4 * noise(4, N, 3))
        world.tool.set_velocity([0.1, 0.0, 0.6])
        world.body.set_material(E=E)
        world.run(4)
        grads.append(torch.autograd.grad(probe(*everything(world)), E)[0])
    assert abs(grads[0].sum() - grads[1]) < 1e-14 * grads[0].abs().sum()


def moved_run(transform, turn, shift_quat=None):
    """A run whose whole initial condition has been carried elsewhere: positions by `transform`, vectors by `turn`."""
    world = build(MODELS, tools=[tool_morph("box"), tool_morph("sphere")], n_envs=2, outputs=("wrench",),
                  centres=[(0.8, 0.8, 0.8), (1.03, 0.8, 0.8), (0.8, 0.57, 0.8)], upper=(2.0, 1.6, 1.6))  # fmt: skip
    scene = world.scene
    for k, body in enumerate(world.bodies):
        body.set_position(transform(plain(body.get_particles_pos()) + 0.005 * noise(2, N, 3, seed=20 + k)))
        body.set_velocity(turn(0.4 * noise(2, N, 3, seed=k)))
        body.set_material(E=1e4, nu=0.3)
    for k, tool in enumerate(world.tools):
        tool.set_position(transform(plain(tool.get_pos())))
        if shift_quat is not None:
            tool.set_quaternion(shift_quat(plain(tool.get_quat())))
        tool.set_velocity(turn(torch.tensor([0.15, 0.1, 0.6 - 0.2 * k])), turn(torch.tensor([0.5, -0.4, 0.6])))
    scene.set_gravity(turn(torch.tensor([0.3, -0.2, -2.0])))
    world.run(5)
    state = scene.get_state()
    wrench = plain(world.tool.get_wrench())
    return [plain(v).detach() for v in (state.pos, state.vel, state.C, state.F, wrench[:, :3], wrench[:, 3:])]


def same(results, wanted, slack=1e-11):
    for got, want in zip(results, wanted, strict=True):
        assert (got - want).abs().max() < slack * max(1.0, float(want.abs().max()))


def test_shift_by_whole_cells():
    by = torch.tensor([2 * DX, -DX, 0.0], dtype=F64)
    pos, *rest = moved_run(lambda x: x, lambda v: v)
    assert float(rest[-1].norm()) > 0.01
    same(moved_run(lambda x: x + by, lambda v: v), [pos + by, *rest])


def quat_product(a, b):
    w, v, s, u = a[..., :1], a[..., 1:], b[..., :1], b[..., 1:]
    return torch.cat([w * s - (v * u).sum(-1, keepdim=True), w * u + s * v + torch.linalg.cross(v, u)], -1)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_quarter_turn(axis):
    """Turned by 90 degrees about a grid node, everything turns with it: stress, transfers, tools, wrench."""
    k = "xyz".index(axis)
    R = torch.zeros(3, 3, dtype=F64)
    R[k, k] = 1.0
    R[(k + 2) % 3, (k + 1) % 3], R[(k + 1) % 3, (k + 2) % 3] = 1.0, -1.0
    quat = torch.zeros(4, dtype=F64)
    quat[0] = quat[1 + k] = 0.5**0.5
    middle = torch.tensor([0.8, 0.8, 0.8], dtype=F64)

    def turn(v):
        return v.to(F64) @ R.T

    pos, vel, C, F, force, torque = moved_run(lambda x: x, lambda v: v)
    turned = moved_run(lambda x: turn(x - middle) + middle, turn, lambda q: quat_product(quat.expand_as(q), q))
    same(turned, [turn(pos - middle) + middle, turn(vel), R @ C @ R.T, R @ F @ R.T, turn(force), turn(torque)])


def test_units():
    """E, rho and forces scaled alike: the same motion, a scaled wrench."""
    results = []
    for scale in (1.0, 3.0):
        world = build(shapes=("cylinder",), n_envs=2, outputs=("wrench",))
        world.body.set_velocity(0.4 * noise(2, N, 3))
        world.body.set_material(E=1e4 * scale, rho=1e3 * scale)
        world.tool.set_velocity([0.1, 0.0, 0.6], [0.3, 0.2, 0.1])
        world.run(5)
        results.append([*(plain(v) for v in everything(world)), plain(world.tool.get_wrench()) / scale])
    same(results[1], results[0])
    assert results[0][-1].abs().max() > 0.1
