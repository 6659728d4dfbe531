"""The base of every environment: it owns stepping, resets, truncation, randomness and the two interfaces of a task."""

import logging
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.vector import AutoresetMode
from gymnasium.vector.utils import batch_space
from typing_extensions import Unpack

import genesis as gs
from envs import checks, cotangents, interface, snapshot
from envs.clock import SimulatorClock
from envs.options import BatchOptions, completed
from envs.parts import check_parts
from envs.step_cache import StepCache
from envs.streams import Draw, Streams
from genesis.errors import GenesisRuntimeError
from genesis.grad.modes import ordinary

_LOG = logging.getLogger("genesis")


class DifferentiableVectorEnv(interface.EnvInterface, gymnasium.vector.VectorEnv):
    """A batch of environments whose rewards and observations are differentiable functions of the actions.

    A task subclasses it, sets `single_observation_space` and `single_action_space` (finite boxes for actions) and
    writes the hooks below. Nothing else of a task is called by anyone. Hooks read `self.scene`, `self.episode`
    (what `sample_initial_state` returned, one row per environment), `self.action` (the action that acts now) and
    `self.differentiable`; tensors in hooks are batched, (num_envs, ...).

    Two interfaces of one core: `output="numpy"` takes and gives arrays (detached copies, rewards in float64), as every
    consumer of Gymnasium expects; `output="torch"` takes and gives tensors, with a graph when `differentiable=True`.

    Autoreset, in all of Gymnasium's modes. Under SAME_STEP the numpy interface puts the last observations of finished
    episodes into `info["final_obs"]` as an object array; on the torch interface it is a dense, differentiable
    (num_envs, O) tensor with every row's observation before any reset, in every step. `info["final_info"]` likewise
    holds what `measure` gave before the reset. `info["episode_return"]` and `info["episode_length"]` are valid where
    `info["_episode_return"]` is set: in the step that ends an episode. With `differentiable=True`, `info["margins"]`
    (num_envs, k) is what `margins` gave before any reset, of tasks that have some.

    A row whose simulated state is no longer finite is put back to the scene's initial state before `observe` and
    `reward` run; it is terminated with reward 0 and reported in `info["nonfinite"]`. No other row is touched, forward
    or backward.

    Actions outside the action space are clipped to it (so their gradient is zero there). Randomness is a function of
    the seed, the global environment index, the episode and the step: see `envs.streams`.
    """

    metadata: dict[str, Any] = {"render_modes": list(interface.RENDER_MODES)}
    single_observation_space: gymnasium.spaces.Box
    single_action_space: gymnasium.spaces.Box
    observation_parts: Mapping[str, tuple[int, ...]] | None = None
    """What an observation's O numbers are: name to shape, in their order. (k,) is numbers; (N, F) is N points with F
    numbers each, whose order means nothing; (N,) under the name of points with `_present` behind it is a flag for each,
    1 where there is that point and 0 where what stands for it is any finite numbers. None: numbers without parts."""
    scene: Any

    @ordinary
    def __init__(
        self,
        num_envs: int = 1,
        max_episode_steps: int | None = None,
        **options: Unpack[BatchOptions],
    ):
        """Builds the scene. Calls `gs.init()` with its defaults, and logs it, if nobody has called it.

        Args:
            num_envs: Number of environments in the batch.
            max_episode_steps: Steps after which an episode is truncated; None: never. `gymnasium.make_vec` fills it in.
            options: See `envs.options`.

        Raises:
            gs.GenesisException: An argument violates its constraint.
        """
        given = completed(type(self), options, BatchOptions)
        interface.check_options(num_envs, max_episode_steps, given)
        interface.check_scales(given)
        self.num_envs, self.max_episode_steps = num_envs, max_episode_steps
        self.output = given["output"]
        self.differentiable = given["differentiable"]
        self.autoreset_mode = interface.autoreset_member(given["autoreset_mode"])
        self.metadata = {**type(self).metadata, "autoreset_mode": self.autoreset_mode}
        self.render_mode, self._render_size = given["render_mode"], interface.checked_size(given["render_size"])
        check_parts(self.observation_parts, self.single_observation_space.shape[0])
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.action_delay = given["action_delay"]
        self.action_noise = given["action_noise"]
        self.observation_noise = given["observation_noise"]
        self.parameter_randomisation = given["parameter_randomisation"]
        checks.check_randomisable(self, DifferentiableVectorEnv.randomise_parameters)

        if not gs.is_initialized():
            gs.init()
            message = "%s called gs.init() with its defaults. To choose precision, backend and seed, call it before."
            _LOG.info(message, type(self).__name__)
        like = gs.zeros(1).as_subclass(torch.Tensor)
        self.dtype, self.device = like.dtype, like.device
        self._low = self.tensor(self.single_action_space.low)
        self._high = self.tensor(self.single_action_space.high)

        self.streams = Streams(num_envs, given["first_env_index"], max_episode_steps or math.inf, given["staggered"])
        self.episode: dict[str, torch.Tensor] = {}
        self.elapsed = torch.zeros(num_envs, dtype=torch.int64, device=self.device)
        uniform = all(len(bound.unique()) == 1 for bound in (self._low, self._high))
        # The adjoint of a clamp to two numbers is cheaper than that of one to two tensors.
        self._bounds: Any = (self._low[0].item(), self._high[0].item()) if uniform else (self._low, self._high)
        self._middle = (0.5 * (self._low + self._high)).expand(num_envs, -1)
        self.action = self._middle
        self._delayed = [self.action] * self.action_delay
        self._returns = torch.zeros(num_envs, dtype=self.dtype, device=self.device)
        self._pending = torch.zeros(num_envs, dtype=torch.bool, device=self.device)
        self._clock, self._step_cache = SimulatorClock(), StepCache()
        self._pull: cotangents.Change | None = None
        self.scene = self.build_scene()
        if isinstance(self.scene, gs.Scene):
            self.metadata["render_fps"] = round(1 / self.scene.dt)
        self._camera: Any = None

    # ---- what a task writes ----

    def build_scene(self) -> Any:
        """Returns a built `gs.Scene` of `self.num_envs` environments; it records when `self.differentiable`."""
        raise NotImplementedError

    def sample_initial_state(self, draw: Draw, envs_idx: torch.Tensor) -> Mapping[str, torch.Tensor]:
        """Places the bodies of the environments `envs_idx` (n,), and returns what else the episode fixes.

        The scene's initial state has already been restored in these environments.

        Returns:
            Named tensors (n, ...), the goal for instance; they appear, for all environments, in `self.episode`.
        """
        raise NotImplementedError

    def apply_action(self, action: torch.Tensor) -> None:
        """Sets the scene's controls from a clipped action (num_envs, A), just before the scene steps."""
        raise NotImplementedError

    def after_step(self, failed: torch.Tensor | None) -> None:
        """Notes in `self.episode` what of the step that was just taken the hooks below need, beside the state.

        Args:
            failed: (num_envs,) bool, rows that were put back to the scene's initial state; None: there are none.
        """

    def observe(self) -> torch.Tensor:
        """Observation (num_envs, O) of the present state, differentiable."""
        raise NotImplementedError

    def reward(self) -> torch.Tensor:
        """Reward (num_envs,) of the present state and `self.action`, differentiable."""
        raise NotImplementedError

    def terminated(self) -> torch.Tensor:
        """Whether the task ended, (num_envs,) bool; time limits are the base's matter."""
        raise NotImplementedError

    def margins(self) -> torch.Tensor | None:
        """How far inside (num_envs, k) of each bound whose crossing ends the task, m or rad; differentiable, so that
        agents see the edge. None: the task has no such bounds."""
        return None

    def measure(self) -> Mapping[str, torch.Tensor]:
        """Named numbers or flags (num_envs, ...) for `info`; `success` (bool) is what `scripts.evaluate` counts."""
        return {}

    def randomise_parameters(self, draw: Draw, envs_idx: torch.Tensor, width: float) -> None:
        """Sets physical parameters of the environments `envs_idx`, within a relative half-width."""
        raise NotImplementedError

    def add_camera(self) -> Any:
        """Adds to the scene, and returns, the camera that `render()` looks through."""
        return self.scene.add_camera(res=self.render_size, pos=(1.0, -3.0, 1.5), lookat=(0.0, 0.0, 0.3))

    def draw_marks(self) -> None:
        """Draws what only a viewer sees, a goal for instance, with `scene.draw_debug_...`; called for each picture."""

    # ---- Gymnasium's interface ----

    @ordinary
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts new episodes, in all environments or where `options["reset_mask"]` (num_envs,) says so.

        Args:
            seed: Starts the random streams of the environments that are reset; without it they go on.
            options: Only `reset_mask` has a meaning to the base: a bool array (or, on the torch interface, tensor).

        Returns:
            Observations (num_envs, O) and info.

        Raises:
            gs.GenesisException: The options or seed violate their constraint; nothing has been changed.
        """
        checks.require_open(self)
        mask = interface.checked_reset_mask(options, self.num_envs, self.output).to(self.device)
        seed = interface.checked_seed(seed)
        if not self._started and not bool(mask.all()):
            raise GenesisRuntimeError(
                "The first reset must be of all environments, got a reset_mask with False in it. Call reset() first."
            )
        super().reset(seed=seed)
        if seed is not None or not self._started:
            entropy = int(self.np_random.integers(2**62)) if seed is None else seed
            self.streams.seed(entropy, mask.cpu().numpy())
        with self._grad_mode(), self._step_cache.active():
            self._begin_episodes(mask)
            observation = self._observation()
            measured = self.measure()
        return interface.convert(observation, self.output), interface.infos(measured, mask, self.output)

    @ordinary
    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Advances all environments by one control step.

        Args:
            actions: (num_envs, A) array, tensor or list of numbers; clipped to the action space. Differentiable.

        Returns:
            observation (num_envs, O), reward (num_envs,), terminated and truncated (num_envs,) bool, info.

        Raises:
            gs.GenesisException: Wrong shape, dtype or a NaN, or the environment is not ready; nothing has been changed.
        """
        checks.require_ready(self, self._started, self._pending)
        same_step = self.autoreset_mode == AutoresetMode.SAME_STEP
        restarting = self._pending if bool(self._pending.any()) else None
        action = interface.checked_action(actions, self._middle, ignored=restarting)
        with self._grad_mode(), self._step_cache.active():
            self._advance(torch.clamp(action, *self._bounds))
            failed = self._replace_nonfinite_rows()
            self.after_step(failed)
            nonfinite = torch.zeros_like(self._pending) if failed is None else failed
            if restarting is not None:
                nonfinite = nonfinite & ~restarting
                self._begin_episodes(restarting)
            observation, measured = self._observation(), self.measure()
            reward = checks.shaped(self.reward(), (self.num_envs,), "reward")
            terminated = checks.shaped(self.terminated(), (self.num_envs,), "terminated") | nonfinite
            margins = self.margins() if self.differentiable else None
            limit = self.streams.limits()
            truncated = self.elapsed >= (limit if isinstance(limit, float) else torch.as_tensor(limit).to(self.elapsed))
            if restarting is not None:
                terminated, truncated = terminated & ~restarting, truncated & ~restarting
            if restarting is not None or failed is not None:
                reward = torch.where(nonfinite if restarting is None else nonfinite | restarting, 0.0, reward)
            any_done = bool((done := terminated | truncated).any())
            self._returns = self._returns + reward.detach().as_subclass(torch.Tensor)
            length = self.elapsed.int() if self.output == "torch" else self.elapsed  # as tensors become
            ended, everywhere = {"episode_return": self._returns, "episode_length": length}, torch.ones_like(done)
            info = interface.infos(ended, done, self.output)
            shown = interface.infos(measured, everywhere, self.output)
            if same_step and (self.output == "torch" or any_done):
                info.update(interface.final_infos(observation, shown, done, self.output))
            if same_step and any_done:
                self._begin_episodes(done)
                observation = torch.where(done[:, None], self._observation(), observation)
                shown = interface.infos(self.measure(), everywhere, self.output)
        self._pending = torch.zeros_like(done) if same_step else done
        more = {"nonfinite": nonfinite, **({} if margins is None else {"margins": margins})}
        info |= shown | interface.infos(more, everywhere, self.output)
        return *(interface.convert(x, self.output) for x in (observation, reward, terminated, truncated)), info

    @ordinary
    def render(self) -> tuple[np.ndarray, ...]:
        """Pictures of the present state, (H, W, 3) uint8, one for each environment. Headless, and without a graph.

        Raises:
            GenesisRuntimeError: The environment was made without `render_mode="rgb_array"`, or is closed.
        """
        if self.render_mode is None:
            raise GenesisRuntimeError(
                f'render() must have a render mode, got None. Make {type(self).__name__} with render_mode="rgb_array".'
            )
        checks.require_open(self)
        if self._camera is None:
            self._camera = self.add_camera()
        self.scene.clear_debug_objects()
        if self._started:
            self.draw_marks()
        return tuple(self._camera.render(envs_idx=range(self.num_envs))[0])

    def close_extras(self, **kwargs: Any) -> None:
        """Lets go of the scene; `close()` calls it once."""
        self.scene = self._camera = None

    # ---- beyond Gymnasium ----

    def tensor(self, values: Any) -> torch.Tensor:
        """A plain tensor of the precision and device that `gs.init` chose."""
        return torch.as_tensor(np.asarray(values), dtype=self.dtype, device=self.device)

    @property
    def simulator_seconds(self) -> float:
        """Wall-clock that this environment has spent in its simulator so far, forward and backward, s."""
        return self._clock.seconds

    def failures(self) -> list[tuple[int, int, int, str, str | None]]:
        """Where the simulator last lost a state or gradient: step since the full reset, substep, environment, field,
        body."""
        checks.require_open(self)
        return list(self.scene.failures)

    @ordinary
    def detach_(self) -> None:
        """Cuts the graph here: the start of a window. Values stay the same."""
        checks.require_ready(self, self._started, self._pending)
        self.scene.detach_()
        self.episode = {name: value.detach() for name, value in self.episode.items()}
        self.action = self.action.detach()
        self._delayed = [action.detach() for action in self._delayed]

    def pull_through(self, change: cotangents.Change | None) -> None:
        """In the steps to come a cotangent (num_envs, ...) of a tensor of the state after a step, all its parts added
        up, is pulled back as `change` makes it, which may bound single environments; None: as it is."""
        self._pull = change

    def state_dict(self) -> dict[str, Any]:
        """Everything that the future depends on, as tensors and plain numbers; for `load_state_dict`."""
        checks.require_ready(self, self._started, self._pending)
        return snapshot.save(self)

    @ordinary
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on exactly where `state_dict` was taken, without a graph to before.

        Raises:
            GenesisValueError: The state is of another task or number of environments; nothing has been changed.
        """
        checks.require_open(self)
        snapshot.load(self, state)
        if self.parameter_randomisation:
            self._randomise(torch.ones_like(self._pending))

    # ---- the core ----

    def _advance(self, action: torch.Tensor) -> None:
        """Delays and disturbs the action, applies it and steps the scene."""
        self._delayed = [*self._delayed, action]
        action, *self._delayed = self._delayed
        if self.action_noise:
            noise = self._draw("action noise").normal(self.action_noise, self.single_action_space.shape)
            action = torch.clamp(action + self.tensor(noise), *self._bounds)
        self.action = action
        self.apply_action(action)
        with self._clock.forward():
            self.scene.step()
        self._step_cache.clear()
        self.elapsed = self.elapsed + 1

    def _begin_episodes(self, mask: torch.Tensor) -> None:
        """Puts the masked rows at the start of their next episode; the graph of every other row is kept."""
        envs_idx = mask.nonzero().squeeze(1)
        rows = mask.cpu().numpy()
        self.streams.next_episode(rows)
        self.elapsed = torch.where(mask, 0, self.elapsed)
        self._returns = torch.where(mask, 0.0, self._returns)
        self._pending = self._pending & ~mask
        if len(envs_idx) == self.num_envs:  # nothing of the graph before is left
            self.action = self._middle
            self._delayed = [self._middle] * self.action_delay
            self.scene.reset()
        else:
            self.action = torch.where(mask[:, None], self._middle, self.action)
            self._delayed = [torch.where(mask[:, None], self._middle, action) for action in self._delayed]
            self.scene.reset(envs_idx=envs_idx)
        if self.parameter_randomisation:
            self._randomise(mask)
        for name, value in self.sample_initial_state(self._draw("initial state", rows), envs_idx).items():
            previous = self.episode.get(name, value)
            self.episode[name] = value if len(envs_idx) == self.num_envs else previous.index_copy(0, envs_idx, value)
        self._step_cache.clear()

    def _randomise(self, mask: torch.Tensor) -> None:
        rows = mask.cpu().numpy()
        draw = self.streams.draw("parameters", rows, np.zeros(int(rows.sum()), dtype=np.int64))
        self.randomise_parameters(draw, mask.nonzero().squeeze(1), self.parameter_randomisation)

    def _replace_nonfinite_rows(self) -> torch.Tensor | None:
        """Restores the initial state where the state is not finite, so that no NaN enters `observe` or its gradient.

        Returns:
            (num_envs,) bool, where that was; None: nowhere.
        """
        state = snapshot.state_tensors(self.scene)
        if self.differentiable and torch.is_grad_enabled():
            first = next(iter(state.values()))
            self._clock.watch_backward(first)
            cotangents.changed(first, self._pull)
        failed = snapshot.nonfinite_rows(state, self.num_envs)
        if failed is not None:
            self.scene.reset(envs_idx=failed.nonzero().squeeze(1))
            self._step_cache.clear()
            _LOG.warning("The state of environments %s was not finite; restored.", failed.nonzero().squeeze(1).tolist())
        return failed

    def _observation(self) -> torch.Tensor:
        expected = (self.num_envs, *self.single_observation_space.shape)
        observation = checks.shaped(self.observe(), expected, "observe")
        if self.observation_noise:
            noise = self._draw("observation noise").normal(self.observation_noise, self.single_observation_space.shape)
            observation = observation + self.tensor(noise)
        return observation

    def _draw(self, purpose: str, rows: np.ndarray | None = None) -> Draw:
        rows = np.ones(self.num_envs, dtype=bool) if rows is None else rows
        return self.streams.draw(purpose, rows, self.elapsed.cpu().numpy()[rows])

    def _grad_mode(self) -> AbstractContextManager:
        return torch.set_grad_enabled(self.differentiable and torch.is_grad_enabled())

    @property
    def _started(self) -> bool:
        return bool(self.streams.episodes.min() >= 0)
