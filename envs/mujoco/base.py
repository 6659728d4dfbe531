"""What Gymnasium's tasks share here: scene, starts, velocities over a step, what MuJoCo evaluated last, single envs."""

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from gymnasium.spaces import Box
from typing_extensions import Unpack

import genesis as gs
from envs.articulated import ArticulatedTask
from envs.mujoco.derived import Bodies, State
from envs.mujoco.options import GymnasiumOptions, settings
from envs.options import BatchOptions, completed
from envs.single import SingleEnv, single_env
from envs.step_cache import cached_per_step
from envs.streams import Draw

Terms = Mapping[str, torch.Tensor]
"""The terms (B,) of a reward, under their names in Gymnasium's infos; the reward is their sum."""
FIELDS = ("qpos", "dofs_vel", "contacts", "joints")
"""What `episode` keeps of the last evaluation, as last_qpos etc.: fields of `gs.LastEvaluation` and of `State`."""


class MujocoTask(ArticulatedTask):
    """Abstract: a task of Gymnasium's, on its model and on MuJoCo's contact model.

    A task states the constants, `observation_size`, `observe`, `reward_terms`, and where Gymnasium's has them
    `health`, `tracked` and `sample_initial_state`. Observations, rewards, ends and infos are Gymnasium's, and its
    keywords are this constructor's, without `xml_file` and `main_body`.

    Positions of bodies, forces of contacts and what else MuJoCo derives from a state are, after a step, those of its
    last evaluation: of the fourth stage of RK4, or of the start of Euler's last substep. `EVALUATED` tasks have them in
    `last`; at the start of an episode they are of the start, without forces.

    Two models of contact: "mujoco" is MuJoCo's own, "smoothed" lets contacts and limits begin to act over `SMOOTHING`.
    Randomised parameters: masses with inertias, joint damping, strength, and friction of the robot's geoms.
    """

    ROBOT: ClassVar[str]  # of `gs.morphs.Robot`
    TIMESTEP: ClassVar[float]  # of the model, s
    GRAVITY: ClassVar[tuple[float, float, float]] = (0.0, 0.0, -9.81)  # of the model, m/s^2
    GYMNASIUM: ClassVar[str]  # id of the same task there
    DEFAULTS: ClassVar[Mapping[str, Any]]  # of the task's own options
    EVALUATED: ClassVar[bool] = False  # whether it needs `last`
    NORMAL_VELOCITIES: ClassVar[bool] = False  # whether velocities at the start are normal; else uniform
    ENDS_HEALTHY: ClassVar[bool] = False  # whether the ends of healthy ranges are healthy
    SMOOTHING: ClassVar[float] = 0.02  # m, rad
    FLOOR: ClassVar[float | None] = None  # m, height of a floor that is only seen, where the model has no ground
    CONTACTS: ClassVar[Mapping[str, gs.options.RigidOptions]] = {
        "mujoco": gs.options.RigidOptions(contact=gs.options.MujocoContact()),
        "smoothed": gs.options.RigidOptions(contact=gs.options.MujocoContact(smoothing=SMOOTHING)),
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "DEFAULTS" in vars(cls):
            cls.single_observation_space = _space(cls.observation_size(cls.DEFAULTS))

    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        *,
        contact: str = "mujoco",
        **options: Unpack[GymnasiumOptions],
    ):
        """Builds the scene.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never.
            contact: "mujoco" or "smoothed".
            options: See `envs.options`, and of `envs.mujoco.options` those in the task's `DEFAULTS`.

        Raises:
            gs.GenesisException: An argument violates its constraint.
        """
        own, shared = self.split(options)
        completed(type(self), shared, BatchOptions, own=self.DEFAULTS)
        self.options = settings(type(self).__name__, self.DEFAULTS, own)
        """Gymnasium's keywords in force."""
        self.contact = self.checked_contact(contact)
        self.substeps = self.options["frame_skip"]
        self.control_dt = self.TIMESTEP * self.substeps
        """s."""
        self.single_observation_space = _space(self.observation_size(self.options))
        super().__init__(num_envs, max_episode_steps, **shared)

    # ---- what a task writes beside the base's hooks ----

    @classmethod
    def observation_size(cls, options: Mapping[str, Any]) -> int:
        """Numbers in an observation, with these options; there is no scene yet."""
        raise NotImplementedError

    def reward_terms(self) -> Terms:
        """See `Terms`; differentiable."""
        raise NotImplementedError

    def health(self) -> torch.Tensor | None:
        """(B, k) how far the robot is inside of each bound of health, m, rad and what else is bounded; differentiable.

        None: the task never ends by itself.
        """
        return None

    def tracked(self, state: State) -> torch.Tensor:
        """(B, k) m: what `velocity_over_step` is the velocity of; differentiable."""
        return state.qpos[:, :2]

    # ---- what they share ----

    @classmethod
    def split(cls, options: Mapping[str, Any]) -> tuple[dict[str, Any], Any]:
        """The task's own options, and the others."""
        own = {name: value for name, value in options.items() if name in cls.DEFAULTS}
        return own, {name: value for name, value in options.items() if name not in own}

    def build_scene(self) -> gs.Scene:
        """Robot and ground of Gymnasium's model."""
        scene = gs.Scene(
            sim_options=gs.options.SimOptions(
                dt=self.control_dt, substeps=self.substeps, gravity=self.GRAVITY, requires_grad=self.differentiable
            ),
            rigid_options=self.CONTACTS[self.contact],
            vis_options=gs.options.VisOptions(floor_height=self.FLOOR),
        )
        self.robot = scene.add_entity(gs.morphs.Robot(name=self.ROBOT), name="robot")
        scene.build(n_envs=self.num_envs, outputs=("last_evaluation",) if self.EVALUATED else ())
        self.took_robot()
        self.bodies = Bodies(self.robot, self.rest)
        return scene

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """The model's pose at rest, all of its numbers disturbed."""
        noise = self.options["reset_noise_scale"]
        qpos = self.rest + self.tensor(draw.uniform(-noise, noise, (len(self.rest),)))
        n = (self.robot.n_dofs,)
        velocity = draw.normal(noise, n) if self.NORMAL_VELOCITIES else draw.uniform(-noise, noise, n)
        return self.start_at(qpos, self.tensor(velocity), envs_idx)

    def start_at(self, qpos: torch.Tensor, dofs_vel: torch.Tensor, envs_idx: torch.Tensor) -> dict[str, torch.Tensor]:
        """Puts robots at `qpos` (n, Q), whose quaternions may have any length, with velocities (n, D).

        Returns:
            What `sample_initial_state` must: Gymnasium's first observation has the quaternions as they were drawn.
        """
        unit, lengths = qpos.clone(), torch.ones_like(qpos)
        for joint in self.robot.model.joints:
            if joint.kind in ("free", "ball"):
                first = joint.q + (3 if joint.kind == "free" else 0)
                length = qpos[:, first : first + 4].norm(dim=1, keepdim=True)
                unit[:, first : first + 4] /= length
                lengths[:, first : first + 4] = length
        self.place(unit, dofs_vel, envs_idx)
        here = self.present()
        tracked = self.tracked(here)
        started = {"tracked": tracked, "tracked_before": tracked}
        if self.EVALUATED:
            started |= {f"last_{name}": getattr(here, name) for name in FIELDS}
        return {"start_lengths": lengths} | {name: value[envs_idx] for name, value in started.items()}

    def present(self) -> State:
        """The state of now, in which nothing touches."""
        n_geoms, n_links = len(self.robot.model.geoms), self.robot.n_links
        nothing = (self.rest.new_zeros(self.num_envs, n, 6) for n in (n_geoms, n_links))
        return State(self.bodies, self.qpos(), self.dofs_vel(), *nothing)

    @cached_per_step
    def last(self) -> State:
        """The state of the last evaluation; of tasks that are not `EVALUATED`, of now."""
        if not self.EVALUATED:
            return self.present()
        return State(self.bodies, *(self.episode[f"last_{name}"] for name in FIELDS))

    def after_step(self, failed: torch.Tensor | None) -> None:
        """Notes the last evaluation, and what is tracked."""
        if self.EVALUATED:
            evaluated, here = self.robot.get_last_evaluation(), None if failed is None else self.present()
            for name in FIELDS:
                value = getattr(evaluated, name).as_subclass(torch.Tensor)
                if failed is not None:
                    value = torch.where(failed.view(-1, *[1] * (value.ndim - 1)), getattr(here, name), value)
                self.episode[f"last_{name}"] = value
        self.episode["tracked_before"] = self.episode["tracked"]
        self.episode["tracked"] = self.tracked(self.last())

    @cached_per_step
    def velocity_over_step(self) -> torch.Tensor:
        """(B, k) velocity of what is tracked over the last control step, m/s; 0 after a reset. Differentiable."""
        return (self.episode["tracked"] - self.episode["tracked_before"]) / self.control_dt

    @cached_per_step
    def observed_qpos(self) -> torch.Tensor:
        """(B, Q) `qpos` as Gymnasium shows it: at the start of an episode quaternions are as long as drawn."""
        first = self.elapsed == 0
        if not bool(first.any()):
            return self.qpos()
        return torch.where(first[:, None], self.qpos() * self.episode["start_lengths"], self.qpos())

    @cached_per_step
    def bounds(self) -> torch.Tensor | None:
        """`health`, once a step."""
        return self.health()

    @cached_per_step
    def terms(self) -> Terms:
        """`reward_terms`, once a step."""
        return self.reward_terms()

    @cached_per_step
    def is_healthy(self) -> torch.Tensor:
        """(B,) bool: inside of all bounds of `health`."""
        health = self.bounds()
        if health is None:
            return torch.ones(self.num_envs, dtype=torch.bool, device=self.device)
        health = health.detach()
        return (health >= 0 if self.ENDS_HEALTHY else health > 0).all(dim=1)

    def survival(self) -> torch.Tensor:
        """(B,) the reward of being healthy."""
        return self.options["healthy_reward"] * self.is_healthy().to(self.dtype)

    def within(self, values: torch.Tensor, option: str) -> torch.Tensor:
        """(B, 2 n) how far values (B, n) are inside of the range that a keyword gives; of its finite ends alone."""
        low, high = self.options[option]
        above = [values - low] if math.isfinite(low) else []
        return torch.cat([*above, high - values] if math.isfinite(high) else above, dim=1)

    def ground_place(self) -> dict[str, torch.Tensor]:
        """Infos `x_position`, `y_position` and `distance_from_origin` of the first two coordinates, m."""
        x, y = self.qpos()[:, :2].detach().unbind(dim=1)
        return {"x_position": x, "y_position": y, "distance_from_origin": torch.hypot(x, y)}

    def ground_velocity(self) -> dict[str, torch.Tensor]:
        """Infos `x_velocity` and `y_velocity` over the step, m/s."""
        x, y = self.velocity_over_step().detach().unbind(dim=1)
        return {"x_velocity": x, "y_velocity": y}

    def rise(self, index: int) -> dict[str, torch.Tensor]:
        """Info `z_distance_from_origin`, m, of a coordinate from its rest."""
        return {"z_distance_from_origin": (self.qpos() - self.rest)[:, index].detach()}

    def control_cost(self) -> torch.Tensor:
        """(B,) of the action that acts now."""
        return self.options["ctrl_cost_weight"] * self.effort()

    def reward(self) -> torch.Tensor:
        """The sum of `reward_terms`."""
        return torch.stack(list(self.terms().values())).sum(dim=0)

    def terminated(self) -> torch.Tensor:
        """Whether the robot is not healthy."""
        return ~self.is_healthy() & self.options.get("terminate_when_unhealthy", True)

    def margins(self) -> torch.Tensor | None:
        """`health`, where its end is the episode's."""
        return self.bounds() if self.options.get("terminate_when_unhealthy", True) else None

    def measure(self) -> Mapping[str, torch.Tensor]:
        """The terms of the reward."""
        return {name: value.detach() for name, value in self.terms().items()}


class MujocoEnv(SingleEnv):
    """One environment of a task of Gymnasium's; make a concrete class with `mujoco_single_env`."""

    task: ClassVar[type[MujocoTask]]

    def __init__(self, *, contact: str = "mujoco", **options: Unpack[GymnasiumOptions]):
        """Builds the task's scene; the options are those of `MujocoTask`."""
        own, shared = self.task.split(options)
        self._build({"contact": contact, **own}, shared, self.task.DEFAULTS)


def mujoco_single_env(task: type[MujocoTask]) -> type[SingleEnv]:
    """The `gymnasium.Env` class of such a task: what its `entry_point` names."""
    return single_env(task, MujocoEnv)


def _space(size: int) -> Box:
    return Box(-np.inf, np.inf, (size,), np.float32)
