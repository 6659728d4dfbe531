"""What a policy does to a body: returns, and how far limits, ground and contacts are strained on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch

from genesis.loaders import rotations
from genesis.loaders.model import HINGE, SLIDE, RigidModel
from genesis.solvers.rigid.prepare import bounding_box, link_poses


@dataclass(frozen=True)
class Strain:
    """What one control step left behind, (B,) each; NaN where nothing is measured."""

    limit_excess: torch.Tensor
    """Largest excess over a joint's range, rad (m of slides)."""
    penetration: torch.Tensor
    """Largest depth of a contact point in the ground, m."""
    touching: torch.Tensor
    """Number of contact points with a force."""
    pulling: torch.Tensor
    """Number of those whose force pulls the body down."""


class World(Protocol):
    """A simulator with a task on it."""

    max_episode_steps: int

    def reset(self, seed: int) -> torch.Tensor:
        """Observations (B, O) of fresh episodes."""
        ...

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observation (B, O), reward (B,), and whether the episode ended (B,)."""
        ...

    def strain(self) -> Strain:
        """Of the last step."""
        ...


@dataclass(frozen=True)
class Performance:
    """One episode in each row of a world."""

    returns: torch.Tensor
    """(B,)"""
    lengths: torch.Tensor
    """(B,) control steps."""
    limit_excess: float
    """Largest, rad (m of slides)."""
    penetration: float
    """Largest, m; NaN without a ground."""
    pulling_share: float
    """Part of the touching contact points, over all steps, whose force pulls; NaN where nothing touched."""


@torch.no_grad()
def perform(world: World, act: Callable[[torch.Tensor], torch.Tensor], seed: int) -> Performance:
    """Plays an episode in each row; a row that has ended is no longer looked at."""
    observation = world.reset(seed)
    alive = torch.ones(len(observation), dtype=torch.bool)
    returns, lengths = torch.zeros(len(observation), dtype=torch.float64), torch.zeros_like(alive, dtype=torch.int64)
    excess, depth, touching, pulling = [], [], 0.0, 0.0
    for _ in range(world.max_episode_steps):
        observation, reward, done = world.step(act(observation))
        returns += torch.where(alive, reward.cpu().double(), 0.0)
        lengths += alive
        alive = alive & ~done.cpu()
        if not bool(alive.any()):
            break
        strain = world.strain()
        excess.append(strain.limit_excess.cpu()[alive].max())
        depth.append(strain.penetration.cpu()[alive].max())
        touching += strain.touching.cpu()[alive].double().sum().item()
        pulling += strain.pulling.cpu()[alive].double().sum().item()
    return Performance(
        returns,
        lengths,
        float(torch.stack(excess).max()) if excess else float("nan"),
        float(torch.stack(depth).max()) if depth else float("nan"),
        pulling / touching if touching else float("nan"),
    )


class GenesisWorld:
    """A robot task as it is."""

    def __init__(self, env: Any):
        """Args: a `RobotTask` on the torch interface with SAME_STEP autoreset; with a ground, one that measures
        contacts."""
        self.env = env
        self.max_episode_steps: int = env.max_episode_steps
        self._limits = JointRanges(env.robot.model, env.rest)

    def reset(self, seed: int) -> torch.Tensor:
        """See `World`."""
        return self.env.reset(seed=seed)[0].as_subclass(torch.Tensor)

    def step(self, action: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """See `World`."""
        observation, reward, terminated, truncated, _ = self.env.step(action)
        return tuple(x.as_subclass(torch.Tensor) for x in (observation, reward, terminated | truncated))  # type: ignore

    def strain(self) -> Strain:
        """See `World`."""
        excess = self._limits.excess(self.env.qpos().detach())
        if "contacts" not in self.env.step_outputs:
            nothing = torch.zeros_like(excess)
            return Strain(excess, torch.full_like(excess, torch.nan), nothing, nothing)
        contacts = self.env.robot.get_contacts()
        force, height = (x.detach().as_subclass(torch.Tensor)[..., 2] for x in (contacts.force, contacts.position))
        touches = contacts.touching
        depth = torch.where(touches, -height, 0.0).clamp_min(0.0).amax(dim=1)
        return Strain(excess, depth, touches.sum(dim=1), (touches & (force < 0)).sum(dim=1))


class JointRanges:
    """The ranges of a robot's hinges and slides, by their place in qpos."""

    def __init__(self, model: RigidModel, like: torch.Tensor):
        """Args: the robot; `like` gives dtype and device."""
        joints = [joint for joint in model.joints if joint.kind in (HINGE, SLIDE)]
        self._places = torch.tensor([joint.q for joint in joints], dtype=torch.int64, device=like.device)
        dofs = [joint.dof for joint in joints]
        self._low, self._high = (torch.from_numpy(x[dofs]).to(like) for x in (model.limit_low, model.limit_high))

    def excess(self, qpos: torch.Tensor) -> torch.Tensor:
        """Largest excess (B,) of qpos (B, Q) over a range, rad (m of slides)."""
        values = qpos[:, self._places]
        return torch.maximum(self._low - values, values - self._high).clamp_min(0.0).amax(dim=1)


def body_size(model: RigidModel) -> float:
    """Root mean square edge, m, of the box along the world's axes around the robot in its rest pose."""
    poses = link_poses(model)
    corners = []
    for geom in model.geoms:
        pos, quat = rotations.compose(poses[geom.link], (np.asarray(geom.pos), np.asarray(geom.quat)))
        signs = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
        corners += [pos + rotations.rotate(quat, sign * bounding_box(geom)) for sign in signs]
    return float(np.linalg.norm(np.ptp(corners, axis=0)) / np.sqrt(3))
