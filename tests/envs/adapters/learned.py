"""Whether a training has learned to swing the pendulum up: the bar that every library's test must pass."""

import gymnasium as gym
import numpy as np

ENV_ID = "envs:genesis/Pendulum-v0"
UNTRAINED, TRAINED = -1000.0, -500.0
"""Mean returns: what no untrained policy reaches, and what only one that swings up and balances does."""


def mean_return(act, episodes=64):
    """Of one episode in each environment of a batch, under `act`: observations (B, O) to actions (B, A), arrays."""
    env = gym.make_vec(ENV_ID, num_envs=episodes, autoreset_mode="SameStep")
    observation, _ = env.reset(seed=1_000_000)
    total = np.zeros(episodes)
    truncated = np.zeros(episodes, dtype=bool)
    while not truncated.all():
        observation, reward, _, truncated, _ = env.step(act(observation))
        total += reward
    env.close()
    return total.mean()
