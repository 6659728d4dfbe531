"""The values of an environment: whether they are finite, and how they are saved and restored."""

import dataclasses
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch

from genesis.errors import GenesisValueError

if TYPE_CHECKING:
    from envs.base import DifferentiableVectorEnv

FORMAT = 1


def state_tensors(scene: Any) -> dict[str, torch.Tensor]:
    """The scene's state by name, "solver.field": plain floating-point tensors (num_envs, ...)."""
    plain = {
        f"{solver}.{field}": value.as_subclass(torch.Tensor)
        for solver, state in scene.get_state().items()
        for field, value in vars(state).items()
        if value is not None
    }
    return {name: value for name, value in plain.items() if value.is_floating_point()}


def nonfinite_rows(state: Mapping[str, torch.Tensor], num_envs: int) -> torch.Tensor | None:
    """(num_envs,) bool: environments with an infinity or NaN anywhere in `state_tensors`; None: there are none."""
    tensors = [tensor.detach() for tensor in state.values()]
    if math.isfinite(sum(tensor.sum().item() for tensor in tensors)):  # no entry of a finite sum is infinite or NaN
        return None
    # Zero times a finite number is 0, times anything else NaN: one sum per environment tells.
    probes = torch.stack([(tensor * 0.0).reshape(num_envs, -1).sum(dim=1) for tensor in tensors])
    failed = torch.isnan(probes).any(dim=0)
    return failed if bool(failed.any()) else None


def save(env: "DifferentiableVectorEnv") -> dict[str, Any]:
    """Everything that the environment's future depends on: copies as tensors, numbers and strings."""
    return {
        "format": FORMAT,
        "task": type(env).__name__,
        "num_envs": env.num_envs,
        "scene": _copies(state_tensors(env.scene)),
        "episode": _copies(env.episode),
        "action": _copy(env.action),
        "delayed": [_copy(action) for action in env._delayed],
        "elapsed": env.elapsed.clone(),
        "returns": env._returns.clone(),
        "pending": env._pending.clone(),
        "seeds": torch.from_numpy(env.streams.seeds.copy()),
        "episodes": torch.from_numpy(env.streams.episodes.copy()),
    }


def load(env: "DifferentiableVectorEnv", state: Mapping[str, Any]) -> None:
    """Puts saved values back, checked before anything changes."""
    missing = [name for name in save(env) if name not in state] if isinstance(state, Mapping) else ["everything"]
    if missing:
        raise GenesisValueError(f"The saved state must come from state_dict(), got one without {', '.join(missing)}.")
    expected = {
        "format": FORMAT,
        "task": type(env).__name__,
        "num_envs": env.num_envs,
        "delayed": env.action_delay,
    }
    for name, wanted in expected.items():
        found = len(state[name]) if name == "delayed" else state.get(name)
        if found != wanted:
            raise GenesisValueError(f"The saved state must have {name} {wanted!r}, got {found!r}.")
    present = {name: tensor.shape for name, tensor in state_tensors(env.scene).items()}
    saved = {name: tensor.shape for name, tensor in state["scene"].items()}
    if present != saved:
        raise GenesisValueError(f"The saved state must be of a scene with the fields {present}, got {saved}.")
    rows = {name: state[name] for name in ("action", "returns", "elapsed", "pending", "seeds", "episodes")}
    rows |= {f"episode.{name}": value for name, value in state["episode"].items()}
    for name, value in rows.items():
        if len(value) != env.num_envs:
            raise GenesisValueError(f"The saved {name} must have a row for each of {env.num_envs} environments, "
                                    f"got {len(value)}. Take the state from state_dict().")  # fmt: skip
    if env.episode and set(state["episode"]) != set(env.episode):
        raise GenesisValueError(
            f"The saved episode must hold {sorted(env.episode)}, got {sorted(state['episode'])}. "
            "Take the state from state_dict()."
        )
    env.scene.reset(state=_rebuilt(env.scene, state["scene"]))
    env.episode = {name: _to(value, env) for name, value in state["episode"].items()}
    env.action = _to(state["action"], env)
    env._delayed = [_to(action, env) for action in state["delayed"]]
    env._returns = _to(state["returns"], env)
    env.elapsed = state["elapsed"].to(env.device).clone()
    env._pending = state["pending"].to(env.device).clone()
    env.streams.seeds = state["seeds"].numpy().copy()
    env.streams.episodes = state["episodes"].numpy().copy()


def _rebuilt(scene: Any, tensors: Mapping[str, torch.Tensor]) -> Any:
    """A state of the scene that holds these tensors."""
    state = scene.get_state()
    for solver, present in state.items():
        fields = {name: value for name, value in vars(present).items() if f"{solver}.{name}" in tensors}
        fields = {name: tensors[f"{solver}.{name}"].to(value) for name, value in fields.items()}
        state = state.having(solver, dataclasses.replace(present, **fields))
    return state


def _copies(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: _copy(tensor) for name, tensor in tensors.items()}


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().as_subclass(torch.Tensor).clone()


def _to(value: torch.Tensor, env: "DifferentiableVectorEnv") -> torch.Tensor:
    dtype = env.dtype if value.is_floating_point() else value.dtype
    return value.to(device=env.device, dtype=dtype).clone()
