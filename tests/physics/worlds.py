"""Tiny scenes for the tests of physics: a domain of 16^3 cells of 0.1 m, bodies of 27 to 64 particles."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

import genesis as gs

F64 = torch.float64
LOWER, UPPER, DX = 0.0, 1.6, 0.1
"""Particles live from 0.3 to 1.3 m: walls are three cells thick."""
MODELS = ("corotation", "neohooken", "liquid")
ALONE = ("corotation",)
"""Of a body without tools: as in tests/engine/test_kinds.py, so that the kernels are the same."""
SHAPES = ("sphere", "capsule", "box", "cylinder", "plane")


@dataclass
class World:
    """A built scene and its bodies; `body` and `tool` are the first of each."""

    scene: gs.Scene
    bodies: list[Any]
    tools: list[Any]
    outputs: Sequence[str] = ()

    @property
    def body(self) -> Any:
        return self.bodies[0]

    @property
    def tool(self) -> Any:
        return self.tools[0]

    def run(self, steps: int) -> None:
        for _ in range(steps):
            self.scene.step()


def material(model: str, E: Any = 1e4, nu: Any = 0.3, rho: Any = 1000.0) -> Any:
    if model == "liquid":
        return gs.materials.MPM.Liquid(E=E, nu=nu, rho=rho)
    return gs.materials.MPM.Elastic(E=E, nu=nu, rho=rho, model=model)


def tool_morph(shape: str) -> Any:
    """A tool whose surface is about 1.5 cm below a block that fills 0.7 to 0.9 m on every axis. Nothing is aligned."""
    match shape:
        case "sphere":
            return gs.morphs.Sphere(pos=(0.78, 0.82, 0.485), radius=0.2)
        case "capsule":
            return gs.morphs.Capsule(pos=(0.78, 0.82, 0.585), euler=(80, 10, 25), radius=0.1, height=0.2)
        case "box":
            return gs.morphs.Box(pos=(0.81, 0.78, 0.6), euler=(5, -7, 20), size=(0.3, 0.22, 0.16))
        case "cylinder":
            return gs.morphs.Cylinder(pos=(0.78, 0.81, 0.57), euler=(6, -5, 0), radius=0.17, height=0.2)
        case _:
            return gs.morphs.Plane(pos=(0.8, 0.8, 0.68), normal=(0.1, -0.05, 1.0))


def build(
    models: Sequence[str] = ("neohooken",),
    shapes: Sequence[str] = (),
    n_envs: int = 2,
    size: float | tuple[float, float, float] = 0.15,
    centres: Sequence[tuple[float, float, float]] | None = None,
    outputs: Sequence[str] = (),
    friction: Any = 0.4,
    softness: float = 0.03,
    materials: Sequence[Any] | None = None,
    upper: tuple[float, float, float] = (UPPER, UPPER, UPPER),
    tools: Sequence[Any] | None = None,
    particle_size: float | None = None,
    **sim: Any,
) -> World:
    """A scene with a body of each model (0.25 m apart along x) and a tool of each shape below the first."""
    options = {"dt": 8e-3, "substeps": 4, "requires_grad": True, "gravity": (0.3, -0.2, -2.0), **sim}
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(**options),
        mpm_options=gs.options.MPMOptions(
            grid_density=1 / DX, lower_bound=(LOWER,) * 3, upper_bound=upper, particle_size=particle_size
        ),
    )
    edges = (size,) * 3 if isinstance(size, float) else size
    centres = centres or [(0.8 + 0.25 * (-1) ** k * ((k + 1) // 2), 0.8, 0.8) for k in range(len(models))]
    bodies = [
        scene.add_entity(
            morph=gs.morphs.Box(pos=centre, size=edges), material=materials[k] if materials else material(model)
        )
        for k, (model, centre) in enumerate(zip(models, centres, strict=True))
    ]
    stuff = gs.materials.Tool(friction=friction, coup_softness=softness)
    tools = [scene.add_entity(morph=morph, material=stuff) for morph in tools or [tool_morph(s) for s in shapes]]
    scene.build(n_envs=n_envs, outputs=outputs)
    return World(scene, bodies, tools, outputs)


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def plain(value: Any) -> torch.Tensor:
    return value.as_subclass(torch.Tensor)


def stir(world: World, speed: float = 0.4, seed: int = 0) -> None:
    """Set every particle's velocity at random, the same in no two environments, so that nothing is symmetric."""
    for k, body in enumerate(world.bodies):
        body.set_velocity(speed * noise(world.scene.n_envs, body.n_particles, 3, seed=seed + k))


def probe(*values: Any, seed: int = 11) -> torch.Tensor:
    """A scalar that depends on every entry, in no symmetric way: a weighted sum, and a sum of squares."""
    total = torch.zeros((), dtype=F64)
    for k, value in enumerate(values):
        value = plain(value)
        weight = noise(*value.shape, seed=seed + k)
        total = total + (weight * value).mean() + 0.5 * ((1 + weight**2) * value**2).mean()
    return total


def everything(world: World) -> list[torch.Tensor]:
    """All tensors of the state, each of a size near one."""
    state = world.scene.get_state()
    values = [state.pos, state.vel, 0.1 * state.C, state.F]
    if world.tools:
        values += [state.tool.pos, state.tool.quat, state.tool.vel, state.tool.ang]
    return values


def leaf(value: Any) -> torch.Tensor:
    return torch.as_tensor(value, dtype=F64).clone().requires_grad_()


def fresh(world: World) -> None:
    """Back to build time, with parameters that no graph knows, and every particle stirred."""
    world.scene.reset()
    world.scene.set_gravity(list(world.scene.sim_options.gravity))
    for body in world.bodies:
        body.set_material(E=1e4, nu=0.3, rho=1000.0)
    for tool in world.tools:
        tool.set_friction(0.4)
    stir(world)


def push(world: World) -> None:
    """Drive the first tool into the body above it, turning."""
    world.tool.set_velocity([0.15, 0.1, 0.6], [0.5, -0.4, 0.6])
