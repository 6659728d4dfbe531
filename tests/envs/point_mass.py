"""A task on a scene of a few lines of torch: the base class and the agents are tested on it, without a solver."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.base import DifferentiableVectorEnv
from envs.single import single_env
from genesis.engine.state import SceneState

CONTROL_DT = 0.1  # s
GOAL_RADIUS = 0.5  # m
SUCCESS = 0.1  # m


@dataclass(frozen=True)
class PointState:
    pos: torch.Tensor
    vel: torch.Tensor


class PointScene:
    """Unit masses in a plane, pushed by forces. State: pos, vel (B, 2). `poison` maps a step to rows that turn NaN."""

    def __init__(self, n_envs, like):
        self.n_envs = n_envs
        self.like = like
        self.mass = torch.ones(n_envs, 1).to(like)
        self.force = torch.zeros(n_envs, 2).to(like)
        self.poison = {}
        self.failures = []
        self.t = 0
        self.values = {"point.pos": torch.zeros(n_envs, 2).to(like), "point.vel": torch.zeros(n_envs, 2).to(like)}

    def step(self):
        vel = self.values["point.vel"] + CONTROL_DT * self.force / self.mass
        pos = self.values["point.pos"] + CONTROL_DT * vel
        for row in self.poison.get(self.t, ()):
            bad = torch.zeros(self.n_envs, 1, dtype=torch.bool)
            bad[row] = True
            pos = torch.where(bad, math.nan, pos)
        self.values = {"point.pos": pos, "point.vel": vel}
        self.t += 1

    def reset(self, state=None, envs_idx=None):
        mask = torch.zeros(self.n_envs, 1, dtype=torch.bool)
        mask[slice(None) if envs_idx is None else envs_idx] = True
        start = {name: torch.zeros_like(value) for name, value in self.values.items()}
        if state is not None:
            start = {f"point.{name}": value for name, value in vars(state.point).items()}
        self.values = {name: torch.where(mask, start[name], value) for name, value in self.values.items()}

    def set_position(self, pos, envs_idx):
        self.values["point.pos"] = self.values["point.pos"].index_copy(0, envs_idx, pos)

    def get_state(self):
        point = PointState(self.values["point.pos"], self.values["point.vel"])
        return SceneState({"point": point}, self.t, {"point": ()}, None)

    def detach_(self):
        self.values = {name: value.detach() for name, value in self.values.items()}
        self.force = self.force.detach()


class PointMass(DifferentiableVectorEnv):
    """Bring a unit mass from near the origin to a goal; the episode ends early when it is far off."""

    single_observation_space = Box(-np.inf, np.inf, (6,), np.float32)
    single_action_space = Box(-1.0, 1.0, (2,), np.float32)

    def build_scene(self):
        return PointScene(self.num_envs, self.tensor(0.0))

    def sample_initial_state(self, draw, envs_idx):
        self.scene.set_position(self.tensor(draw.uniform(-0.1, 0.1, (2,))), envs_idx)
        angle = self.tensor(draw.uniform(-math.pi, math.pi))
        return {"goal": GOAL_RADIUS * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)}

    def randomise_parameters(self, draw, envs_idx, width):
        mass = self.tensor(draw.uniform(1 - width, 1 + width, (1,)))
        self.scene.mass = self.scene.mass.index_copy(0, envs_idx, mass)

    def apply_action(self, action):
        self.scene.force = action.as_subclass(torch.Tensor)

    def observe(self):
        values = self.scene.values
        return torch.cat([values["point.pos"], values["point.vel"], self._offset()], dim=1)

    def reward(self):
        return -(self._offset() ** 2).sum(dim=1) - 0.01 * (self.action.as_subclass(torch.Tensor) ** 2).sum(dim=1)

    def terminated(self):
        return (self.scene.values["point.pos"].abs() > 2.0).any(dim=1)

    def measure(self):
        distance = self._offset().detach().norm(dim=1)
        return {"distance": distance, "success": distance < SUCCESS}

    def _offset(self):
        return self.episode["goal"] - self.scene.values["point.pos"]


PointMassEnv = single_env(PointMass)


def make(num_envs=4, max_episode_steps=20, **options):
    """A point-mass batch with the torch interface."""
    gs.is_initialized() or gs.init(precision="64")
    return PointMass(num_envs, max_episode_steps, **{"output": "torch", **options})
