"""The point mass that sees its goal as points, of which some may be absent: its observation has parts."""

import numpy as np
import torch
from gymnasium.spaces import Box

import genesis as gs
from envs.single import single_env
from tests.envs.point_mass import PointMass

N_POINTS = 5
ABSENT = 7.0
"""What stands for an absent point."""


class PointCloud(PointMass):
    """`PointMass` that sees, instead of the goal's offset, those of points around it; one is always there."""

    single_observation_space = Box(-np.inf, np.inf, (4 + 3 * N_POINTS,), np.float32)
    observation_parts = {"state": (4,), "cloud": (N_POINTS, 2), "cloud_present": (N_POINTS,)}

    def sample_initial_state(self, draw, envs_idx):
        present = self.tensor(draw.uniform(0.0, 1.0, (N_POINTS,)) < 0.6)
        present[:, 2] = 1.0
        return {**super().sample_initial_state(draw, envs_idx), "present": present}

    def observe(self):
        values, present = self.scene.values, self.episode["present"]
        angle = torch.arange(N_POINTS).to(present) * (2.0 * torch.pi / N_POINTS)
        circle = 0.2 * torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)
        cloud = torch.where(present[..., None] > 0.5, self._offset()[:, None] + circle, ABSENT)
        return torch.cat([values["point.pos"], values["point.vel"], cloud.flatten(1), present], dim=1)


PointCloudEnv = single_env(PointCloud)


def make(num_envs=4, max_episode_steps=20, **options):
    """A batch with the torch interface."""
    gs.is_initialized() or gs.init(precision="64")
    return PointCloud(num_envs, max_episode_steps, **{"output": "torch", **options})
