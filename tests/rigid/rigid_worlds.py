"""Scenes with a robot, and gradients of losses: every environment takes another step of a difference."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

import genesis as gs
from tests.rigid.rigid_bench import F64, noise, retract
from tests.rigid.rigid_differences import SMOOTH_STEPS, STIFF_STEPS, Comparison, compared, ridders
from tests.rigid.rigid_models import file_of

OUTPUTS = ("contacts", "link_wrench", "link_acceleration")
COMPLIANT = gs.options.RigidOptions(contact=gs.options.CompliantContact())
B = 64
"""Environments of a scene that differences are taken in: four directions of eight steps both ways."""


@dataclass
class World:
    scene: gs.Scene
    robot: Any
    others: list[Any] = field(default_factory=list)
    ground: Any = None

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.scene.step()


def build(
    *robots: Any,
    n_envs: int = B,
    ground: Any = None,
    outputs: Sequence[str] = (),
    options: Any = None,
    ground_friction: Any = None,
    materials: Sequence[Any] | None = None,
    **sim: Any,
) -> World:
    """A scene of robots, given as MJCF text or morphs, on a ground (a morph, or True for a plane at height 0)."""
    settings = {"dt": 0.02, "substeps": 8, "requires_grad": True, **sim}
    scene = gs.Scene(sim_options=gs.options.SimOptions(**settings), rigid_options=options or COMPLIANT)
    entities = []
    for k, robot in enumerate(robots):
        morph = gs.morphs.MJCF(file=file_of(robot)) if isinstance(robot, str) else robot
        entities.append(scene.add_entity(morph=morph, material=materials[k] if materials else gs.materials.Rigid()))
    floor = None
    if ground is not None:
        morph = gs.morphs.Plane() if ground is True else ground
        floor = scene.add_entity(morph=morph, material=gs.materials.Rigid(friction=ground_friction))
    scene.build(n_envs=n_envs, outputs=outputs)
    return World(scene, entities[0], entities[1:], floor)


def plain(value: Any) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)


def rows(value: Any, weight_seed: int) -> torch.Tensor:
    """(B,) a random weighted sum of each environment's numbers, the same weights in all."""
    value = plain(value)
    weight = noise(*value.shape[1:], seed=weight_seed).to(value.dtype)
    return (value * weight).flatten(1).sum(1)


def everything(world: World, readouts: bool = True, outputs: Sequence[str] = (), seed: int = 0) -> torch.Tensor:
    """(B,) a loss of all getters of the robot, each entry of a size near one."""
    robot = world.robot
    values = [robot.get_qpos(), robot.get_dofs_velocity()]
    if readouts:
        values += [
            robot.get_links_pos(),
            robot.get_links_quat(),
            0.3 * robot.get_links_vel(),
            0.1 * robot.get_links_ang(),
        ]
    if "contacts" in outputs:
        contacts = robot.get_contacts()
        values += [0.02 * contacts.force, contacts.position]
    if "link_wrench" in outputs:
        values.append(0.02 * robot.get_links_wrench())
    if "link_acceleration" in outputs:
        values.append(0.01 * robot.get_links_acceleration())
    return sum(rows(value, seed + k) for k, value in enumerate(values))


def place(world: World, tangent: torch.Tensor, vel: torch.Tensor | None = None, start: Any = None) -> None:
    """Reset, and set the configuration reached from the model's (or `start`) by motions (B, D); and velocities."""
    world.scene.reset()
    qpos = torch.tensor(world.robot.model.qpos0, dtype=tangent.dtype) if start is None else start
    world.robot.set_qpos(retract(world.robot.model, qpos, tangent))
    if vel is not None:
        world.robot.set_dofs_velocity(vel)


Loss = Callable[[torch.Tensor], torch.Tensor]
"""From one input (B, *shape) for each environment to one loss (B,) for each."""


def check(
    loss: Loss,
    base: Any,
    bar: float,
    smooth: bool = True,
    most: int = 12,
    scale: float | None = None,
    halves: bool = False,
    steps: Sequence[float] | None = None,
    what: str = "",
) -> list[torch.Tensor]:
    """Compare the gradient of a loss by an input of shape `base` with differences; returns the gradient (B, *shape).

    Args:
        most: Directions: coordinates if there are no more, else so many random ones.
        scale: Size of the input, which steps are relative to; default its largest entry, or 1.
        halves: Whether the loss treats the second half of the environments in another way than the first.
    """
    base = torch.as_tensor(base, dtype=F64)
    steps = steps or (SMOOTH_STEPS if smooth else STIFF_STEPS)
    n_groups = 2 if halves else 1
    per_pass = B // n_groups // (2 * len(steps))
    x = base.expand(B, *base.shape).clone().requires_grad_()
    losses = loss(x)
    (grad,) = torch.autograd.grad(losses.sum(), x)
    size = scale or float(base.abs().max()) or 1.0
    ways = directions(base, most)
    h = size * torch.tensor(steps, dtype=F64)
    ups, downs = [], []
    for first in range(0, len(ways), per_pass):
        chosen = torch.stack(ways[first : first + per_pass])
        both = torch.stack([h, -h]).reshape(2, -1, *[1] * (1 + base.dim()))
        moved = both * chosen  # (2, levels, K, *shape)
        flat = base + moved.flatten(0, 2)
        group = B // n_groups
        filled = torch.cat([flat, base.expand(group - len(flat), *base.shape)])
        with torch.no_grad():
            found = loss(filled.repeat(n_groups, *[1] * base.dim())) - losses.detach()
        found = found.unflatten(0, (n_groups, group))[:, : len(flat)].unflatten(1, (2, len(steps), len(chosen)))
        ups.append(found[:, 0])
        downs.append(found[:, 1])
    up, down = torch.cat(ups, -1), torch.cat(downs, -1)
    results: list[Comparison] = []
    for k in range(n_groups):
        env = k * (B // n_groups)
        computed = torch.stack([(grad[env] * way).sum() for way in ways])
        steps_of = h[:, None].expand(-1, len(ways))
        results.append(compared(computed, ridders(up[k], down[k], steps_of), torch.full((len(ways),), size, dtype=F64)))
    print(what, *results)
    for result in results:
        assert result.size > 1e-6, f"{what} must matter: {result}"
        result.check(bar, what)
    return grad


def directions(x: torch.Tensor, most: int) -> list[torch.Tensor]:
    if x.numel() <= most:
        return list(torch.eye(x.numel(), dtype=x.dtype).reshape(-1, *x.shape))
    drawn = [noise(*x.shape, seed=70 + k) for k in range(most)]
    return [d / d.norm() for d in drawn]
