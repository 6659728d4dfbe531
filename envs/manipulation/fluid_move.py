"""FluidMove: an open box with a liquid in it is moved to a goal without spilling."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.manipulation.table import rounded_norm
from envs.options import BatchOptions
from envs.single import single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

CONTROL_DT = 0.02  # s
INSIDE = (0.18, 0.18, 0.14)  # m, of the box
DEPTH = 0.09  # m, of the liquid at rest
YOUNG, POISSON, DENSITY = 5e4, 0.3, 1000.0  # Pa, -, kg/m^3: sound has 5.4 m/s
SOFTNESS = 0.01  # m

MAX_SPEED = 1.0  # m/s of the box along each axis
START, START_HEIGHT = 0.03, 0.20  # m: half-width of the box's start around the middle; its bottom there
GOAL_RANGE = (0.2, 0.2, 0.1)  # m, half-widths of the goal's place from the start
BOX_REACH = ((-0.25, -0.25, 0.08), (0.25, 0.25, 0.34))  # m, where the box can be moved
SUCCESS_DISTANCE, SUCCESS_LOST = 0.02, 0.1  # m, -

LENGTH, SPEED = 0.10, 1.0  # m, m/s: units in observations and rewards
EDGE = 0.005  # m over which a particle comes to be outside
LOST_WEIGHT, ACTION_WEIGHT = 10.0, 0.01


class FluidMove(DifferentiableVectorEnv):
    """Move an open box, two thirds full of a liquid (18 x 18 x 9 cm, 2.9 kg), to a goal, and lose nothing.

    The task is that of Rewarped's FluidMove (Xing et al. 2025): a box of tools that moves as it is told, a goal for
    it, particles that may spill. The sizes, the liquid (5 m/s is the speed of sound in it) and the reward are ours.
    The box is 14 cm deep inside; what spills falls on a floor and is lost. 1,800 particles, 48 grid nodes per metre.

    Action (3,), in [-1, 1]: velocity of the box along x, y and z (up) in units of 1 m/s. It stops 25 cm from the
    middle along x and y, and where its bottom is 8 or 34 cm high.
    Observation (19,), lengths in units of 10 cm and velocities of 1 m/s: goal from box (3), box (3; the middle of its
    bottom), the liquid's centre from the box (3), the standard deviations of its particles' places (3); the box's
    velocity (3), that of the liquid's centre from it (3); the part that is lost.
    Reward, per step: minus the distance of box and goal in 10 cm, rounded off at 1 cm, minus 10 times the part of the
    liquid that is outside of the box, minus 0.01 times the squared action. A particle comes to be outside over 5 mm at
    the middle of a wall's thickness.
    Start: the box within +-3 cm along each axis of the middle, its bottom 20 cm high; the goal within +-20 cm of it
    along x and y and +-10 cm along z.
    `info`: `distance` (m), `lost` (part of the particles that are outside), `success` (within 2 cm of the goal, and
    less than a tenth lost). Never terminated.
    """

    GRID_DENSITY = 48.0  # nodes per m
    SUBSTEPS = 13
    PARTICLE_SIZE = 0.012  # m
    WALL = 0.05  # m, thickness

    single_observation_space = Box(-np.inf, np.inf, (19,), np.float32)
    single_action_space = Box(-1.0, 1.0, (3,), np.float32)

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None, **options: Unpack[BatchOptions]):
        """Builds the scene; see `DifferentiableVectorEnv`."""
        self.sides: list[Any] = []
        super().__init__(num_envs, max_episode_steps, **options)

    def build_scene(self) -> gs.Scene:
        """Liquid, box and floor."""
        room = 3 / self.GRID_DENSITY + 0.001
        aside = BOX_REACH[1][0] + 0.5 * INSIDE[0] + self.WALL
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=self.SUBSTEPS, requires_grad=self.differentiable),
            mpm_options=gs.options.MPMOptions(
                grid_density=self.GRID_DENSITY,
                lower_bound=(-aside - room, -aside - room, -room),
                upper_bound=(aside + room, aside + room, BOX_REACH[1][2] + INSIDE[2] + 0.15 + room),
                particle_size=self.PARTICLE_SIZE,
            ),
        )
        tool = gs.materials.Tool(coup_softness=SOFTNESS)
        scene.add_entity(gs.morphs.Plane(), material=tool, name="floor")
        self.liquid = scene.add_entity(
            gs.morphs.Box(pos=(0.0, 0.0, START_HEIGHT + 0.5 * DEPTH), size=(INSIDE[0], INSIDE[1], DEPTH)),
            material=gs.materials.MPM.Liquid(E=YOUNG, nu=POISSON, rho=DENSITY),
            surface=gs.surfaces.Default(color="blue", vis_mode="recon"),
            name="liquid",
        )
        for name, pos, size in self._walls():
            place = (pos[0], pos[1], START_HEIGHT + pos[2])
            self.sides.append(scene.add_entity(gs.morphs.Box(pos=place, size=size), material=tool, name=name))
        self._offsets = self.tensor([pos for _, pos, _ in self._walls()])
        scene.build(n_envs=self.num_envs)
        self._low, self._high = self.tensor(BOX_REACH[0]), self.tensor(BOX_REACH[1])
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places box and liquid; the episode's `goal` (n, 3), m, world frame, for the middle of the box's bottom."""
        box = self.tensor(draw.uniform(-START, START, (3,))) + self.tensor((0.0, 0.0, START_HEIGHT))
        for side, offset in zip(self.sides, self._offsets, strict=True):
            side.set_position(box + offset, envs_idx=envs_idx)
        self.liquid.set_position(box + self.tensor((0.0, 0.0, 0.5 * DEPTH)), envs_idx=envs_idx)
        return {"goal": box + self.tensor(draw.uniform(-1.0, 1.0, (3,))) * self.tensor(GOAL_RANGE)}

    def add_camera(self) -> gs.Camera:
        """From above, so that one sees into the box."""
        return self.scene.add_camera(res=self.render_size, pos=(0.5, -0.9, 0.95), lookat=(0.0, 0.0, 0.22))

    def draw_marks(self) -> None:
        """The goal of the middle of the box's bottom: a ball of the size that counts as success."""
        self.scene.draw_debug_sphere(self.episode["goal"], SUCCESS_DISTANCE, "green")

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Density of the liquid (upwards, and with it its stiffness: sound keeps its speed)."""
        share = draw.uniform(1.0, 1.0 + width)
        self.liquid.set_material(E=self.tensor(YOUNG * share), rho=self.tensor(DENSITY * share), envs_idx=envs_idx)

    def apply_action(self, action: torch.Tensor) -> None:
        """Sets the box's velocity, so that it stays within its bounds."""
        box = self._box()
        goal = torch.clamp(box + (MAX_SPEED * CONTROL_DT) * action, self._low, self._high)
        velocity = (goal - box) / CONTROL_DT
        for side in self.sides:
            side.set_velocity(velocity)

    def observe(self) -> torch.Tensor:
        """See the class."""
        box, velocity = self._box(), self.sides[0].get_vel().as_subclass(torch.Tensor)
        particles, flow = self._particles(), self.liquid.get_particles_vel().as_subclass(torch.Tensor).mean(dim=1)
        lengths = [self.episode["goal"] - box, box, particles.mean(dim=1), particles.std(dim=1)]
        return torch.cat(
            [
                torch.cat(lengths, dim=1) / LENGTH,
                torch.cat([velocity, flow - velocity], dim=1) / SPEED,
                self._lost()[:, None],
            ],
            dim=1,
        )

    def reward(self) -> torch.Tensor:
        """See the class."""
        distance = rounded_norm(self.episode["goal"] - self._box())
        effort = self.action.as_subclass(torch.Tensor).square().sum(dim=1)
        return -distance / LENGTH - LOST_WEIGHT * self._lost() - ACTION_WEIGHT * effort

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros_like(self._pending)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Distance of the box from the goal, m, part of the liquid that is lost, and whether that is success."""
        distance = (self.episode["goal"] - self._box().detach()).norm(dim=1)
        lost = (self._outside().detach() > 0.0).to(self.dtype).mean(dim=1)
        return {"distance": distance, "lost": lost, "success": (distance < SUCCESS_DISTANCE) & (lost < SUCCESS_LOST)}

    def _walls(self) -> list[tuple[str, tuple[float, float, float], tuple[float, float, float]]]:
        """Name, place from the middle of the box's bottom, and size of each of its sides, m.

        They overlap at edges, where the nearest face of a side would not be the one that holds the liquid.
        """
        wall, (x, y, height) = self.WALL, INSIDE
        size = (x + 2.0 * wall, y + 2.0 * wall, height + wall)
        found = [("bottom", (0.0, 0.0, -0.5 * wall), (size[0], size[1], wall))]
        for name, sign in (("left", -1.0), ("right", 1.0)):
            found.append((name, (sign * 0.5 * (x + wall), 0.0, 0.5 * (height - wall)), (wall, *size[1:])))
        for name, sign in (("front", -1.0), ("back", 1.0)):
            found.append((name, (0.0, sign * 0.5 * (y + wall), 0.5 * (height - wall)), (size[0], wall, size[2])))
        return found

    @cached_per_step
    def _box(self) -> torch.Tensor:
        """The middle of the box's bottom (B, 3), m, world frame."""
        return self.sides[0].get_pos().as_subclass(torch.Tensor) - self._offsets[0]

    @cached_per_step
    def _particles(self) -> torch.Tensor:
        """Places of the liquid's particles from the middle of the box's bottom (B, n, 3), m."""
        return self.liquid.get_particles_pos().as_subclass(torch.Tensor) - self._box()[:, None]

    @cached_per_step
    def _outside(self) -> torch.Tensor:
        """How far the liquid's particles are beyond the middle of the box's sides (B, n), m; negative within."""
        particles = self._particles()
        half = self.tensor((0.5 * INSIDE[0], 0.5 * INSIDE[1], 0.0))
        beyond = torch.cat([particles[..., :2].abs(), -particles[..., 2:]], dim=2) - half - 0.5 * self.WALL
        return beyond.amax(dim=2)

    def _lost(self) -> torch.Tensor:
        """Part of the liquid that is outside (B,), smooth over `EDGE`."""
        return torch.sigmoid(self._outside() / EDGE).mean(dim=1)


class FluidMoveMini(FluidMove):
    """`FluidMove` for two cores: 605 particles, 30 grid nodes per metre, and thicker sides, which a grid as coarse as
    this resolves."""

    GRID_DENSITY = 30.0
    SUBSTEPS = 8
    PARTICLE_SIZE = 0.0166  # m
    WALL = 0.08


FluidMoveEnv = single_env(FluidMove)
FluidMoveMiniEnv = single_env(FluidMoveMini)
