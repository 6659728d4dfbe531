"""Crawler: a block of muscles crawls along the ground."""

from collections.abc import Mapping

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.single import single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

CONTROL_DT = 0.02  # s
BODY_SIZE = (0.30, 0.10, 0.10)  # m
YOUNG, POISSON, DENSITY = 2e4, 0.2, 1000.0  # Pa, -, kg/m^3
VISCOSITY = 20.0  # Pa s
STIFFNESS = 5e3  # Pa, of the fibres
FRICTION = 1.0  # of the ground
SOFTNESS = 0.01  # m
COLUMNS, LAYERS = 4, 2  # of muscles, along x and from below
GROUPS = COLUMNS * LAYERS

START = 0.02  # m, half-width along x and y
START_SPEED = 0.05  # m/s, half-width along x and y
ASIDE = 0.15  # m from the middle of the track to its walls
HIGHEST = 0.3  # m
BAR = 0.5  # body lengths per second that count as success
ACTION_WEIGHT = 0.05


class Crawler(DifferentiableVectorEnv):
    """Crawl along +x: a block of eight soft muscles (neo-Hookean, 30 x 10 x 10 cm, 20 kPa) on the ground.

    The muscles are its four quarters along x, each with a lower and an upper half; their fibres run along x. The ground
    has a friction coefficient of 1. 1,029 particles, 33 grid nodes per metre. The track is 2 m long and ends at a wall.

    Action (8,), in [-1, 1]: activations, of the lower muscles from the rear to the front, then of the upper ones;
    negative ones lengthen. The fibres' stiffness is 5 kPa: a free muscle at rest is 0.82 and 1.46 times as long as it
    was at actions of 1 and -1. The body has a viscosity of 20 Pa s.
    Observation (56,): of each muscle, in the order of the action, its centre from the body's (10 cm; 3) and its
    velocity (0.3 m/s; 3); the activations.
    Reward, per step: the centre's velocity along x (body lengths, 30 cm, per second), minus 0.05 times the mean of the
    squared actions.
    Start: within +-2 cm of the origin along x and y, with a velocity within +-5 cm/s along both.
    `info`: `distance` (m, along x from the start), `speed` (body lengths per second since the start), `success` (a
    speed of at least half a body length per second). Never terminated.
    """

    GRID_DENSITY = 100 / 3  # nodes per m
    SUBSTEPS = 14
    PARTICLE_SIZE = 0.0145  # m
    TRACK = 2.0  # m

    single_observation_space = Box(-np.inf, np.inf, (7 * GROUPS,), np.float32)
    single_action_space = Box(-1.0, 1.0, (GROUPS,), np.float32)

    def build_scene(self) -> gs.Scene:
        """The body on the ground."""
        room = 3 / self.GRID_DENSITY + 0.001
        behind = 0.5 * BODY_SIZE[0] + 0.1
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=self.SUBSTEPS, requires_grad=self.differentiable),
            mpm_options=gs.options.MPMOptions(
                grid_density=self.GRID_DENSITY,
                lower_bound=(-behind - room, -ASIDE - room, -room),
                upper_bound=(self.TRACK - behind + room, ASIDE + room, HIGHEST + room),
                particle_size=self.PARTICLE_SIZE,
            ),
        )
        scene.add_entity(
            gs.morphs.Plane(), material=gs.materials.Tool(friction=FRICTION, coup_softness=SOFTNESS), name="ground"
        )
        self.body = scene.add_entity(
            gs.morphs.Box(pos=(0.0, 0.0, 0.5 * BODY_SIZE[2]), size=BODY_SIZE),
            material=gs.materials.MPM.Muscle(
                E=YOUNG, nu=POISSON, rho=DENSITY, viscosity=VISCOSITY, stiffness=STIFFNESS, n_groups=GROUPS
            ),
            vis_mode="recon",
            name="body",
        )
        scene.build(n_envs=self.num_envs)
        places = self.body.initial_positions
        low = np.array((-0.5 * BODY_SIZE[0], 0.0))
        cells = (places[:, ::2] - low) / (BODY_SIZE[0], BODY_SIZE[2]) * (COLUMNS, LAYERS)
        column, layer = np.clip(cells.astype(np.int64), 0, (COLUMNS - 1, LAYERS - 1)).T
        groups = layer * COLUMNS + column
        self.body.set_muscle(muscle_group=groups, muscle_direction=np.array((1.0, 0.0, 0.0)))
        members = self.tensor(groups[None] == np.arange(GROUPS)[:, None])
        self._average = members / members.sum(dim=1, keepdim=True)
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places the body; the episode's `start` (n,), m along x."""
        place = self.tensor(draw.uniform(-START, START, (2,)))
        height = torch.full_like(place[:, :1], 0.5 * BODY_SIZE[2])
        self.body.set_position(torch.cat([place, height], dim=1), envs_idx=envs_idx)
        velocity = self.tensor(draw.uniform(-START_SPEED, START_SPEED, (2,)))
        self.body.set_velocity(torch.cat([velocity, torch.zeros_like(height)], dim=1), envs_idx=envs_idx)
        return {"start": place[:, 0]}

    def add_camera(self) -> gs.Camera:
        """From the right of the track."""
        return self.scene.add_camera(res=self.render_size, pos=(0.45, -1.1, 0.45), lookat=(0.15, 0.0, 0.05))

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Stiffness of body and fibres, which change alike (downwards only: upwards it is unstable)."""
        share = draw.uniform(1.0 - width, 1.0)
        self.body.set_material(
            E=self.tensor(YOUNG * share), stiffness=self.tensor(STIFFNESS * share), envs_idx=envs_idx
        )

    def apply_action(self, action: torch.Tensor) -> None:
        """Sets the activations."""
        self.body.set_actuation(action)

    def observe(self) -> torch.Tensor:
        """See the class."""
        places, velocities = self._muscles()
        places = (places - places.mean(dim=1, keepdim=True)) / 0.1
        parts = torch.cat([places, velocities / 0.3], dim=2).flatten(1)
        return torch.cat([parts, self.action.as_subclass(torch.Tensor)], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        speed = self.body.get_particles_vel().as_subclass(torch.Tensor)[..., 0].mean(dim=1) / BODY_SIZE[0]
        return speed - ACTION_WEIGHT * self.action.as_subclass(torch.Tensor).square().mean(dim=1)

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros_like(self._pending)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Distance along x since the start, m, mean speed, body lengths per second, and whether that is success."""
        place = self.body.get_particles_pos().as_subclass(torch.Tensor)[..., 0].detach().mean(dim=1)
        distance = place - self.episode["start"]
        speed = distance / (self.elapsed.clamp(min=1) * (CONTROL_DT * BODY_SIZE[0]))
        return {"distance": distance, "speed": speed, "success": speed >= BAR}

    @cached_per_step
    def _muscles(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Centres (B, 8, 3), m, world frame, and velocities (B, 8, 3), m/s, of the muscles."""
        places = self.body.get_particles_pos().as_subclass(torch.Tensor)
        return self._average @ places, self._average @ self.body.get_particles_vel().as_subclass(torch.Tensor)


class CrawlerMini(Crawler):
    """`Crawler` for two cores: 192 particles, 20 grid nodes per metre, a track of 1.4 m."""

    GRID_DENSITY = 20.0
    SUBSTEPS = 8
    PARTICLE_SIZE = 0.025
    TRACK = 1.4


CrawlerEnv = single_env(Crawler)
CrawlerMiniEnv = single_env(CrawlerMini)
