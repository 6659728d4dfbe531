"""RollingFlat: a rolling pin flattens a block of dough on a table."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.options import BatchOptions
from envs.single import single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

CONTROL_DT = 0.002  # s
GRAVITY = 90.0  # m/s^2
BLOCK_SIZE = (0.30, 0.30, 0.125)  # m
YOUNG, POISSON, YIELD, DENSITY = 5e3, 0.2, 50.0, 1.0  # Pa, -, Pa, kg/m^3
FRICTION = 0.9  # of table and pin
PIN_LENGTH = 0.40  # m, straight part

MAX_MOVE, MAX_TURN = 0.01, math.pi / 60  # m along x and z, rad about z, in a control step
BLOCK_START, BLOCK_STRETCH = 0.05, 0.1  # m, half-width of the centre's along x and y; of the ratio of its sides
PIN_START = 0.1  # m, half-width along x
PIN_REACH = 0.25  # m from the origin along x
PIN_GAP, PIN_CLEARANCE = 0.015, 0.10  # m: between pin and table at least, between pin and block's top at most

ACTION_WEIGHT = 0.001
FLAT = 0.33  # mean height in units of the block's height at the start, below which the reward is doubled
LENGTH = 0.1  # m, the unit of lengths in observations


class RollingFlat(DifferentiableVectorEnv):
    """Press and roll a block of dough (von Mises' plasticity, 30 x 30 x 12.5 cm) flat with a pin.

    Bodies, actions and reward (but for its last term) are those of Rewarped's RollingFlat (Xing et al. 2025): density
    1 kg/m^3, Young's modulus 5 kPa, yield stress 50 Pa, gravity 90 m/s^2, control steps of 2 ms; 2,592 particles, 48
    grid nodes per metre. The pin has a radius of 3 cm and a straight part of 40 cm, along y at the start. As it moves
    along, it rolls: its lowest line stands still. (A pin that does not sweeps the dough into a heap.)

    Action (3,), in [-1, 1]: velocity of the pin along x and z (up) in units of 5 m/s (1 cm in a control step), its turn
    about z in units of 26.2 rad/s (3 degrees). It stops 1.5 cm over the table, 10 cm over the block's height, and 25 cm
    from the origin along x.
    Observation (10 + N * 3,), lengths in units of 10 cm. "state" (10,): the dough's centre; the pin's place along x and
    z; its axis' x and y; its velocity along x and z and its turn, in those of the action. "particles" (N, 3), N = 250
    of the dough, always the same: their place from the pin's along x, along y, their height over the table.
    Reward, per step: (1 / (1 + d))^2, doubled where d <= 0.33, minus the variance of the particles' heights (m^2),
    minus 0.001 times the squared action; d is the mean height in units of 12.5 cm. Dough that nobody has touched has
    0.44; d = 0.33 is a kink: a jump.
    Start: the dough's centre within +-5 cm of the origin along x and y, its length along x up to 10 % longer or shorter
    and its width along y shorter or longer by as much, its volume the same; the pin within +-10 cm along x, 5 mm over
    it.
    `info`: `flatness` (d), `success` (d <= 0.33). Never terminated.
    """

    GRID_DENSITY = 48  # nodes per m
    SUBSTEPS = 20
    PARTICLE_SIZE = 0.0165  # m
    PIN_RADIUS, SOFTNESS = 0.03, 1 / 666  # m
    N_OBSERVED = 250

    single_action_space = Box(-1.0, 1.0, (3,), np.float32)

    def __init__(self, num_envs: int = 1, max_episode_steps: int | None = None, **options: Unpack[BatchOptions]):
        """Builds the scene; see `DifferentiableVectorEnv`."""
        self.pin: Any = None
        super().__init__(num_envs, max_episode_steps, **options)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.single_observation_space, cls.observation_parts = _observation(cls.N_OBSERVED)

    def build_scene(self) -> gs.Scene:
        """Dough, pin and table."""
        dx = 1 / self.GRID_DENSITY
        room = 3 * dx + 0.001
        top = BLOCK_SIZE[2] + 0.08
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=CONTROL_DT,
                substeps=self.SUBSTEPS,
                gravity=(0.0, 0.0, -GRAVITY),
                requires_grad=self.differentiable,
            ),
            mpm_options=gs.options.MPMOptions(
                grid_density=self.GRID_DENSITY,
                lower_bound=(-0.32 - room, -0.32 - room, -room),
                upper_bound=(0.32 + room, 0.32 + room, top + room),
                particle_size=self.PARTICLE_SIZE,
            ),
        )
        tool = gs.materials.Tool(friction=FRICTION, coup_softness=self.SOFTNESS)
        scene.add_entity(gs.morphs.Plane(), material=tool, name="table")
        self.dough = scene.add_entity(
            gs.morphs.Box(pos=(0.0, 0.0, 0.5 * BLOCK_SIZE[2]), size=BLOCK_SIZE),
            material=gs.materials.MPM.ElastoPlastic(E=YOUNG, nu=POISSON, rho=DENSITY, von_mises_yield_stress=YIELD),
            vis_mode="recon",
            name="dough",
        )
        self.pin = scene.add_entity(
            gs.morphs.Capsule(
                pos=(0.0, 0.0, self._pin_start), height=PIN_LENGTH, radius=self.PIN_RADIUS, euler=(90.0, 0.0, 0.0)
            ),
            material=tool,
            name="pin",
        )
        scene.build(n_envs=self.num_envs)
        shape = torch.from_numpy(self.dough.initial_positions).to(self.device, self.dtype)
        self._shape = shape - shape.mean(0)
        chosen = np.random.default_rng(0).permutation(self.dough.n_particles)[: self.N_OBSERVED]
        self._observed = torch.from_numpy(np.sort(chosen)).to(self.device)
        low, high = (-PIN_REACH, PIN_GAP + self.PIN_RADIUS), (PIN_REACH, self._pin_top)
        self._pin_low, self._pin_high = self.tensor(low), self.tensor(high)
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places dough and pin."""
        centre = self.tensor(draw.uniform(-BLOCK_START, BLOCK_START, (2,)))
        stretch = self.tensor(1.0 + draw.uniform(-BLOCK_STRETCH, BLOCK_STRETCH))
        scale = torch.stack([stretch, 1.0 / stretch, torch.ones_like(stretch)], dim=1)
        middle = torch.cat([centre, torch.full_like(centre[:, :1], 0.5 * BLOCK_SIZE[2])], dim=1)
        self.dough.set_position(self._shape * scale[:, None] + middle[:, None], envs_idx=envs_idx)
        along = self.tensor(draw.uniform(-PIN_START, PIN_START))
        self.pin.set_position(
            torch.stack([along, torch.zeros_like(along), torch.full_like(along, self._pin_start)], dim=1),
            envs_idx=envs_idx,
        )
        return {}

    def add_camera(self) -> gs.Camera:
        """From the left, over the table."""
        return self.scene.add_camera(res=self.render_size, pos=(0.35, -0.95, 0.6), lookat=(0.0, 0.0, 0.04))

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Friction of the pin, and the dough's yield stress and stiffness (downwards only: upwards it is unstable)."""
        young, limit = draw.uniform(1.0 - width, 1.0), draw.uniform(1.0 - width, 1.0 + width)
        self.dough.set_material(
            E=self.tensor(YOUNG * young), von_mises_yield_stress=self.tensor(YIELD * limit), envs_idx=envs_idx
        )
        self.pin.set_friction(self.tensor(FRICTION * draw.uniform(1.0 - width, 1.0 + width)), envs_idx=envs_idx)

    def apply_action(self, action: torch.Tensor) -> None:
        """Sets the pin's velocity, so that it stays within its bounds, and rolls as if on a table below it."""
        place = self.pin.get_pos().as_subclass(torch.Tensor)[:, ::2]
        goal = torch.clamp(place + MAX_MOVE * action[:, :2], self._pin_low, self._pin_high)
        move = (goal - place) / CONTROL_DT
        axis = self._axis()
        roll = axis * (axis[:, 1:] * move[:, :1] / self.PIN_RADIUS)
        none = torch.zeros_like(move[:, :1])
        turn = (MAX_TURN / CONTROL_DT) * action[:, 2:]
        self.pin.set_velocity(
            vel=torch.cat([move[:, :1], none, move[:, 1:]], dim=1), ang=torch.cat([roll, turn], dim=1)
        )

    def observe(self) -> torch.Tensor:
        """See the class."""
        particles = self._particles()
        pin = self.pin.get_pos().as_subclass(torch.Tensor)
        move = self.pin.get_vel().as_subclass(torch.Tensor)[:, ::2] * (CONTROL_DT / MAX_MOVE)
        turn = self.pin.get_ang().as_subclass(torch.Tensor)[:, 2:] * (CONTROL_DT / MAX_TURN)
        state = [particles.mean(dim=1) / LENGTH, pin[:, ::2] / LENGTH, self._axis(), move, turn]
        from_pin = torch.cat([pin[:, :1], torch.zeros_like(pin[:, 1:])], dim=1)
        seen = (particles[:, self._observed] - from_pin[:, None]) / LENGTH
        return torch.cat([*state, seen.flatten(1)], dim=1)

    def reward(self) -> torch.Tensor:
        """See the class."""
        heights = self._particles()[..., 2]
        height = heights.mean(dim=1) / BLOCK_SIZE[2]
        near = (1.0 + height).pow(-2)
        effort = self.action.as_subclass(torch.Tensor).square().sum(dim=1)
        flatness = torch.where(height <= FLAT, 2.0 * near, near) - heights.var(dim=1, unbiased=False)
        return flatness - ACTION_WEIGHT * effort

    def terminated(self) -> torch.Tensor:
        """Never."""
        return torch.zeros_like(self._pending)

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Mean height in units of that of the block at the start, and whether that is success."""
        height = self._particles()[..., 2].detach().mean(dim=1) / BLOCK_SIZE[2]
        return {"flatness": height, "success": height <= FLAT}

    @property
    def _pin_start(self) -> float:
        return BLOCK_SIZE[2] + self.PIN_RADIUS + 0.005

    @property
    def _pin_top(self) -> float:
        return BLOCK_SIZE[2] + self.PIN_RADIUS + PIN_CLEARANCE

    def _axis(self) -> torch.Tensor:
        """Direction (B, 2) of the pin, which is level, along x and y."""
        w, x, y, z = self.pin.get_quat().as_subclass(torch.Tensor).unbind(1)
        return 2.0 * torch.stack([x * z + w * y, y * z - w * x], dim=1)

    @cached_per_step
    def _particles(self) -> torch.Tensor:
        """Places of the dough's particles (B, n, 3), m, world frame."""
        return self.dough.get_particles_pos().as_subclass(torch.Tensor)


def _observation(n: int) -> tuple[Box, dict[str, tuple[int, ...]]]:
    """Space and parts of an observation of `n` particles."""
    return Box(-np.inf, np.inf, (10 + 3 * n,), np.float32), {"state": (10,), "particles": (n, 3)}


RollingFlat.single_observation_space, RollingFlat.observation_parts = _observation(RollingFlat.N_OBSERVED)


class RollingFlatMini(RollingFlat):
    """`RollingFlat` for two cores: 20 grid nodes per metre, fewer particles, N = 64 of them observed, and a pin
    with a radius of 6 cm, which a grid as coarse as this resolves."""

    GRID_DENSITY = 20
    SUBSTEPS = 5
    PARTICLE_SIZE = 0.03
    PIN_RADIUS, SOFTNESS = 0.06, 0.01
    N_OBSERVED = 64


RollingFlatEnv = single_env(RollingFlat)
RollingFlatMiniEnv = single_env(RollingFlatMini)
