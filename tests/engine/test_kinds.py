"""What every registered kind of matter promises. A new one is held to it by being in `KINDS`."""

import dataclasses
import functools

import pytest
import torch

import genesis as gs
from genesis.engine import assembly
from genesis.engine.kinds import KINDS
from genesis.morphs import Morph
from tests.engine.toy_kind import ToyKind
from tests.physics.finite import compare

STEPS = 3


def concrete(kind):
    """The subclasses of a class, itself if there are none, that have no subclasses."""
    below = kind.__subclasses__()
    return [found for child in below for found in concrete(child)] if below else [kind]


def example(kind):
    """A scene with a small box, or else the first morph that the kind takes by defaults, of its first material."""
    reasons = []
    for morph in [functools.partial(gs.morphs.Box, size=(0.1, 0.1, 0.1)), *concrete(Morph)]:
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=1e-3, substeps=2, requires_grad=True),
            mpm_options=gs.options.MPMOptions(grid_density=16),  # few particles: other tests have these kernels
        )
        try:
            scene.add_entity(morph(pos=(0.0, 0.0, 0.3)), material=concrete(kind.materials[0])[0]())
            scene.build(n_envs=2)
        except (gs.GenesisException, TypeError) as error:
            reasons.append(str(error))
        else:
            return scene
    raise AssertionError(f"{kind.name} must take some morph with defaults: {reasons}")


@pytest.fixture(params=[*KINDS, ToyKind()], ids=lambda kind: kind.name)
def kind(request):
    new = request.param not in KINDS
    if new:
        KINDS.append(request.param)
    yield request.param
    if new:
        KINDS.remove(request.param)


def fields(kind, scene):
    """Values of the solver in the kind's part of the state, by name."""
    part = getattr(scene.get_state(), kind.name)
    values = {f.name: getattr(part, f.name) for f in dataclasses.fields(part)}
    values = {name: v for name, v in values.items() if isinstance(v, torch.Tensor) and v.is_floating_point()}
    solvers = {solver.name: solver for solver in scene._built.simulator.coupling.solvers}
    derived = kind.other_state(values, solvers[kind.name])
    other = {*derived, "hold"}  # whether a particle is held is no number
    return part, {name: v.detach().as_subclass(torch.Tensor) for name, v in values.items() if name not in other}


@pytest.mark.precision("64")
def test_gradients_from_state_to_state_match_central_differences(kind):
    scene = example(kind)
    start, values = fields(kind, scene)
    whole = scene.get_state()
    shift = {name: 0.05 * torch.randn_like(v) for name, v in values.items() if not name.endswith(("quat", "pos"))}
    leaves = {name: (v + shift.get(name, 0.0)).requires_grad_() for name, v in values.items()}
    weights = {name: torch.randn_like(v) for name, v in values.items()}

    def rollout(*_):
        scene.reset(whole.having(kind.name, dataclasses.replace(start, **leaves)))
        for _step in range(STEPS):
            scene.step()
        part = getattr(scene.get_state(), kind.name)
        now = {name: getattr(part, name).as_subclass(torch.Tensor) for name in values}
        return sum((weights[name] * (now[name] - values[name])).sum() for name in values)

    for name, found in zip(leaves, compare(rollout, list(leaves.values())), strict=True):
        assert found.kinks == 0, name
        found.check(1e-6)


BOX, BALL = gs.morphs.Box(size=(0.1, 0.1, 0.1), pos=(0, 0, 1)), gs.morphs.Sphere(radius=0.1, pos=(1, 0, 1))
FIXED = gs.morphs.Box(size=(0.1, 0.1, 0.1), pos=(0, 1, 1), fixed=True)
SHORT, COMPLIANT = {"dt": 5e-3}, gs.options.RigidOptions(contact=gs.options.CompliantContact())


@pytest.mark.parametrize(
    "entities, options, rigid, substeps",
    [
        ([BOX, BALL], {}, None, 2), ([BOX, FIXED], {}, None, 2), ([BOX, BALL], {"dt": 0.012}, None, 3),
        ([BOX, BALL], SHORT, None, 1), ([BOX, BALL], {"substeps": 1}, None, 1), ([BOX, BALL], {}, COMPLIANT, 1),
        ([BOX], {}, None, 1), ([FIXED], {}, None, 1), ([BOX, BALL, gs.morphs.Robot(name="hopper")], {}, None, 1),
    ],
)  # fmt: skip
def test_shapes_that_can_meet_have_short_substeps_by_default(entities, options, rigid, substeps):
    scene = gs.Scene(sim_options=gs.options.SimOptions(**options), rigid_options=rigid)
    for morph in [gs.morphs.Plane(), *entities]:
        scene.add_entity(morph)
    sim = assembly.with_substeps(scene.entities, scene.sim_options, scene.solver_options)
    assert sim.substeps == substeps and sim.substep_dt <= 0.01
