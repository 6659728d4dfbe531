"""A standard Gymnasium task behind the torch interface that agents train on, to hold them against published returns."""

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import genesis as gs
from envs.streams import Streams


class TorchInterface:
    """`gymnasium.make_vec(env_id)` in SAME_STEP mode: torch tensors, dense `final_obs`, episode statistics."""

    differentiable = False
    simulator_seconds = 0.0

    def __init__(self, env_id, num_envs):
        self.env = gymnasium.make_vec(
            env_id,
            num_envs=num_envs,
            vectorization_mode="sync",
            vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
        )
        self.num_envs = num_envs
        self.single_observation_space = self.env.single_observation_space
        self.single_action_space = self.env.single_action_space
        self.streams = Streams(num_envs, first_env_index=0)
        self.returns, self.lengths = np.zeros(num_envs), np.zeros(num_envs, dtype=np.int64)

    def reset(self, seed=None):
        self.returns[:], self.lengths[:] = 0.0, 0
        observation, _ = self.env.reset(seed=seed)
        return gs.from_numpy(observation), {}

    def step(self, action):
        low, high = self.single_action_space.low, self.single_action_space.high
        array = np.clip(action.detach().numpy(), low, high).astype(np.float32)
        observation, reward, terminated, truncated, info = self.env.step(array)
        done = terminated | truncated
        final = observation.copy()
        for row in np.flatnonzero(done):
            final[row] = info["final_obs"][row]
        self.returns += reward
        self.lengths += 1
        out = {
            "final_obs": gs.from_numpy(final),
            "final_info": {},
            "episode_return": gs.from_numpy(self.returns),
            "episode_length": torch.from_numpy(self.lengths.copy()),
            "_episode_return": torch.from_numpy(done),
            "nonfinite": torch.zeros(self.num_envs, dtype=torch.bool),
        }
        self.returns, self.lengths = np.where(done, 0.0, self.returns), np.where(done, 0, self.lengths)
        tensors = gs.from_numpy(observation), gs.from_numpy(reward)
        return *tensors, torch.from_numpy(terminated.copy()), torch.from_numpy(truncated.copy()), out

    def detach_(self):
        pass

    def close(self):
        self.env.close()
