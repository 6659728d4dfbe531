"""Rigid entities: parameters as loaded, as set, their constraints, and who gets their gradients."""

import pytest
import torch

import genesis as gs
from tests.engine.rigid_scenes import ELBOW, N_DOFS, SLIDER, mixed

real = torch.float64
pytestmark = pytest.mark.precision("64")
DOF_PARAMETERS = ("kp", "kv", "damping", "armature", "stiffness")


def run(scene, robot, steps=2):
    robot.set_dofs_velocity(torch.linspace(-1.0, 1.0, N_DOFS, dtype=real))
    robot.set_dofs_position(0.2, dofs_idx_local=[ELBOW, SLIDER], zero_velocity=False)
    robot.control_dofs_position([0.3, -0.1], dofs_idx_local=[ELBOW, SLIDER])
    for _ in range(steps):
        scene.step()
    weights = torch.linspace(0.5, 1.5, N_DOFS, dtype=real)
    return (robot.get_dofs_velocity() * weights).sum(1)


def test_the_model_arrives(rigid):
    _, robot, (body,) = rigid(boxes=1)
    model = mixed()
    for name in DOF_PARAMETERS[2:]:
        assert torch.equal(getattr(robot, f"get_dofs_{name}")()[1], torch.tensor(getattr(model, name)))
    assert torch.equal(robot.get_links_mass()[2], torch.tensor(model.mass))
    assert torch.equal(robot.get_links_inertia()[0], torch.tensor(model.inertia))
    assert robot.get_friction()[0].tolist() == [0.6, 0.9, 0.5]
    assert robot.get_dofs_kp()[0].tolist() == [0.0] * 9 + [5.0, 0.0]
    assert robot.get_dofs_kv([ELBOW])[0].tolist() == pytest.approx([0.4])
    assert robot.get_mass().tolist() == pytest.approx([3.2] * 3)
    assert body.get_mass().tolist() == pytest.approx([2.0] * 3) and body.get_friction().tolist() == [[0.7]] * 3
    third = 2.0 / 12 * 0.08
    assert body.get_links_inertia()[0, 0].tolist() == pytest.approx([third] * 3 + [0.0] * 3)


def test_shapes(rigid):
    _, robot, _ = rigid()
    robot.set_dofs_kp(3.0)
    assert (robot.get_dofs_kp() == 3.0).all()
    robot.set_dofs_kp(torch.arange(11.0))
    assert robot.get_dofs_kp().tolist() == [list(range(11))] * 3
    robot.set_dofs_kp(torch.arange(33.0).reshape(3, 11))
    assert robot.get_dofs_kp()[2, 0] == 22.0
    robot.set_dofs_kp([[7.0], [8.0]], envs_idx=[2, 0])
    assert robot.get_dofs_kp()[:, 4].tolist() == [8.0, 15.0, 7.0]
    robot.set_dofs_kp([1.0, 2.0], dofs_idx_local=[SLIDER, 0])
    robot.set_dofs_kp([[4.0]], dofs_idx_local=[ELBOW, SLIDER], envs_idx=1)
    assert robot.get_dofs_kp([0, ELBOW, SLIDER]).tolist() == [[2.0, 8.0, 1.0], [2.0, 4.0, 4.0], [2.0, 7.0, 1.0]]
    robot.set_inertia([0.1, 0.1, 0.1, 0.0, 0.0, 0.0], links_idx_local=[3, 1])
    assert robot.get_links_inertia([1])[0].tolist() == [[0.1, 0.1, 0.1, 0.0, 0.0, 0.0]]
    assert torch.equal(robot.get_links_inertia(2)[0, 0], torch.tensor(mixed().inertia[2]))
    robot.set_mass(0.7, links_idx_local=robot.get_link("arm").idx_local)
    assert robot.get_links_mass()[0].tolist() == [2.0, 0.7, 0.4, 0.3]
    for wrong in (torch.ones(3), torch.ones(3, 4), torch.ones(11, 1)):
        with pytest.raises(
            ValueError, match=r"robot\.kp must have shape \(11,\) or \(\) or \(3, 11\) or \(3, 1\), got"
        ):
            robot.set_dofs_kp(wrong)


def test_values_for_each_environment_are_never_taken_for_links(rigid):
    """(B,) is refused whatever B is, save that with as many environments as links it means the links."""
    _, robot, (body,) = rigid(boxes=1)
    with pytest.raises(ValueError, match=r"\(4,\) or \(\) or \(3, 4\) or \(3, 1\)"):
        robot.set_mass([0.1, 0.2, 0.3])
    body.set_friction([0.1, 0.2, 0.3])
    assert body.get_friction().tolist() == [[0.1], [0.2], [0.3]]
    body.set_mass([4.0, 5.0], envs_idx=[2, 0])
    assert body.get_mass().tolist() == pytest.approx([5.0, 2.0, 4.0])


def test_materials_friction(rigid):
    friction = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=real, requires_grad=True)
    _, robot, _ = rigid(n_envs=4, friction=friction)
    assert torch.equal(robot.get_friction(), friction[:, None].expand(4, robot.n_geoms))
    (grad,) = torch.autograd.grad(robot.get_friction().sum(), friction)
    assert (grad == robot.n_geoms).all()
    with pytest.raises(ValueError, match=r"robot\.friction must have shape"):
        rigid(n_envs=3, friction=friction)


def test_ground_friction():
    friction = torch.tensor([0.1, 0.2], dtype=real, requires_grad=True)
    scene = gs.Scene(sim_options=gs.options.SimOptions(requires_grad=True))
    ball = scene.add_entity(gs.morphs.Sphere(radius=0.1, pos=(0, 0, 0.095)), gs.materials.Rigid(friction=0.0))
    plane = scene.add_entity(gs.morphs.Plane(), gs.materials.Rigid(friction=friction))
    scene.build(n_envs=2)
    assert torch.equal(plane.get_friction(), friction)
    ball.set_dofs_velocity([1.0, 0, 0, 0, 0, 0])
    scene.step()
    (grad,) = torch.autograd.grad(ball.get_vel()[:, 0].sum(), friction)
    assert (grad < 0).all()
    plane.set_friction(0.5, envs_idx=1)
    assert plane.get_friction(envs_idx=[1, 0]).tolist() == [0.5, 0.1]
    for wrong in (-1.0, None, [0.1, 0.2, 0.3]):
        with pytest.raises(gs.GenesisException, match="friction must"):
            plane.set_friction(wrong)
    for wrong in ((0.9, 0.95, 0.001, 0.5), 0.5, [[0.9, 0.95, 0.001, 0.5, 2.0]] * 3):
        with pytest.raises(gs.GenesisException, match=r"plane_1.solimp must have shape \(5,\) or \(2, 5\)"):
            plane.set_solimp(wrong)
    with pytest.raises(gs.GenesisException, match=r"plane_1.solimp must have d_min, d_max and midpoint from 0 to 1"):
        plane.set_solimp((0.9, 1.1, 0.001, 0.5, 2.0))


def test_gradients_are_those_of_difference_quotients(rigid):
    scene, robot, _ = rigid(ground=False)
    inputs = {
        "mass": torch.tensor(mixed().mass),
        "inertia": torch.tensor(mixed().inertia),
        "dofs_kp": torch.full((3, 1), 4.0, dtype=real),
        "dofs_kv": torch.tensor(0.5, dtype=real),
        "dofs_damping": torch.rand(3, N_DOFS, dtype=real),
        "dofs_armature": torch.full((N_DOFS,), 0.05, dtype=real),
        "dofs_stiffness": torch.cat([torch.zeros(6), torch.rand(5) + 1.0]).to(real),
    }

    def loss(*values):
        scene.reset()
        for name, value in zip(inputs, values, strict=True):
            if name == "dofs_stiffness":
                robot.set_dofs_stiffness(value[6:], dofs_idx_local=range(6, N_DOFS))
            else:
                getattr(robot, f"set_{name}")(value)
        return run(scene, robot)

    leaves = [value.clone().requires_grad_() for value in inputs.values()]
    assert torch.autograd.gradcheck(loss, leaves, eps=1e-6, atol=1e-7, rtol=1e-5)


def test_ranges_of_force_are_set_together_or_not_at_all(rigid):
    _, robot, _ = rigid(ground=False)
    inf = float("inf")
    low, high = robot.get_dofs_force_range()
    assert low[1].tolist() == [-inf] * 9 + [-2.0, -inf] and high[1].tolist() == [inf] * 9 + [2.0, inf]
    robot.set_dofs_force_range([-1.0, -inf], [0.5, inf], dofs_idx_local=[SLIDER, ELBOW], envs_idx=[2])
    low, high = robot.get_dofs_force_range([ELBOW, SLIDER])
    assert low.tolist() == [[-2.0, -inf]] * 2 + [[-inf, -1.0]] and high[2].tolist() == [inf, 0.5]
    for given, message in (
        ((0.1, 1.0), "robot.force_low must be finite <= 0, got 0.1"),
        ((-0.3, -0.1), "robot.force_high must be finite >= 0, got -0.1"),
        ((-0.3, None), "robot.force_high must be a number or a tensor"),
        ((-0.3, float("nan")), "robot.force_high must be"),
    ):
        with pytest.raises(gs.GenesisException, match=message):
            robot.set_dofs_force_range(*given)
    assert torch.equal(robot.get_dofs_force_range([ELBOW, SLIDER])[0], low)


def test_a_force_beyond_its_range_is_the_end_of_it_and_has_its_slope(rigid):
    scene, robot, _ = rigid(ground=False)
    ends = torch.tensor([[-0.4, -0.7], [-0.5, -0.6], [-0.3, -0.8]], dtype=real), torch.tensor([0.6, 0.9], dtype=real)
    axes, pushes = [ELBOW, SLIDER], torch.tensor([[5.0, -5.0], [-5.0, 0.2], [0.1, 5.0]], dtype=real)

    def pushed(force, lower=-1e3, upper=1e3):
        scene.reset()
        robot.set_dofs_force_range(lower, upper, dofs_idx_local=axes)
        robot.control_dofs_force(force, dofs_idx_local=axes)
        given = robot.get_dofs_control_force(axes)
        for _ in range(2):
            scene.step()
        return (robot.get_dofs_velocity() * torch.linspace(0.5, 1.5, N_DOFS, dtype=real)).sum(1), given

    cut = pushes.clamp(ends[0], ends[1])
    found, given = pushed(pushes, *ends)
    assert torch.equal(found, pushed(cut)[0]) and torch.equal(given, cut)
    leaves = [pushes.clone().requires_grad_(), *(end.clone().requires_grad_() for end in ends)]
    assert torch.autograd.gradcheck(lambda *x: pushed(*x), leaves, eps=1e-6, atol=1e-7, rtol=1e-5)


def test_some_units_and_the_others_keep_their_owners(rigid):
    scene, robot, _ = rigid()
    whole = torch.full((N_DOFS,), 0.3, dtype=real, requires_grad=True)
    some = torch.tensor([0.4, 0.5], dtype=real, requires_grad=True)
    env = torch.tensor([[0.6]], dtype=real, requires_grad=True)
    robot.set_dofs_damping(whole)
    robot.set_dofs_damping(some, dofs_idx_local=[SLIDER, 6])
    robot.set_dofs_damping(env, dofs_idx_local=[6, 7], envs_idx=[1])
    assert robot.get_dofs_damping([6, 7, SLIDER]).tolist() == [[0.5, 0.3, 0.4], [0.6, 0.6, 0.4], [0.5, 0.3, 0.4]]
    a, b, c = torch.autograd.grad(robot.get_dofs_damping().sum(), (whole, some, env))
    assert a.tolist() == [3.0] * 6 + [0.0, 2.0, 3.0, 3.0, 0.0] and b.tolist() == [3.0, 2.0] and c.item() == 2.0
    for _ in range(2):  # made of operations that keep nothing, so further episodes need no new call
        scene.reset()
        assert torch.autograd.grad(run(scene, robot).sum(), some)[0].all()


def test_leaves_are_kept_and_parts_are_set_again(rigid):
    scene, robot, _ = rigid()
    leaf = torch.tensor(0.4, dtype=real, requires_grad=True)
    robot.set_dofs_damping(leaf)
    for _ in range(2):
        run(scene, robot).sum().backward()
        assert leaf.grad != 0
        leaf.grad = None
        scene.detach_()
    with torch.no_grad():
        leaf.add_(0.2)
    assert (robot.get_dofs_damping() == leaf).all()
    robot.set_dofs_damping(leaf, dofs_idx_local=[ELBOW])
    run(scene, robot).sum().backward()
    scene.detach_()
    with pytest.raises(RuntimeError, match=r"robot\.damping must be set again.*robot\.set_dofs_damping"):
        scene.step()
    robot.set_dofs_damping(leaf)
    scene.step()
    with torch.no_grad():
        leaf.mul_(-1.0)
    with pytest.raises(ValueError, match=r"robot\.damping must be finite >= 0"):
        scene.step()


def test_without_gradients_everything_is_detached(rigid):
    scene, robot, _ = rigid(requires_grad=False)
    leaf = torch.tensor([0.4], dtype=real, requires_grad=True)
    robot.set_dofs_damping(leaf, dofs_idx_local=ELBOW)
    robot.control_dofs_force(leaf, dofs_idx_local=ELBOW)
    scene.step()
    assert not robot.get_dofs_damping().requires_grad and not robot.get_links_pos().requires_grad


@pytest.mark.parametrize(
    "act, message",
    [
        (lambda r: r.set_mass(0.0), r"robot\.mass must be finite > 0, got 0"),
        (lambda r: r.set_mass([1.0, -1.0], links_idx_local=[0, 1]), r"robot\.mass must be finite > 0, got -1"),
        (lambda r: r.set_mass(None), r"robot\.mass must be a number or a tensor, got None"),
        (lambda r: r.set_inertia([1.0, 1.0, 1.0, 2.0, 0.0, 0.0]), "inertia must be positive definite"),
        (lambda r: r.set_inertia([1.0, 1.0, 0.0, 0.0, 0.0, 0.0]), "positive definite"),
        (lambda r: r.set_inertia([1.0, 1.0, 2.5, 0.0, 0.0, 0.0]), r"a \+ b >= c, got moments \(1.0, 1.0, 2.5\)"),
        (lambda r: r.set_inertia([1.0, 1.0, float("nan"), 0.0, 0.0, 0.0]), "inertia must be finite"),
        (lambda r: r.set_inertia(torch.ones(4)), r"shape \(4, 6\) or \(6,\) or \(3, 4, 6\) or \(3, 1, 6\)"),
        (lambda r: r.set_friction(-0.1), "friction must be finite >= 0"),
        (lambda r: r.set_geoms_solref([0.02, -1.0]), "solref must be finite, both > 0"),
        (lambda r: r.set_dofs_kp(-1.0, dofs_idx_local=[9]), "kp must be finite >= 0"),
        (lambda r: r.set_dofs_kv(float("nan")), "kv must be finite"),
        (lambda r: r.set_dofs_armature("heavy"), "armature must hold numbers"),
        (lambda r: r.set_dofs_stiffness(1.0), "stiffness must be zero at free joints, got 1.*dofs_idx_local"),
        (lambda r: r.set_dofs_stiffness(1.0, dofs_idx_local=11), "dofs_idx_local must lie in"),
    ],
)
def test_constraints(rigid, act, message):
    scene, robot, _ = rigid()
    before = scene._built.read("rigid", "model").clone()
    with pytest.raises(gs.GenesisException, match=message):
        act(robot)
    assert torch.equal(scene._built.read("rigid", "model"), before)
