"""The interface of an environment: what comes in is checked here once, what goes out is converted here."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.vector import AutoresetMode

import genesis as gs
from genesis.errors import GenesisRuntimeError, GenesisTypeError, GenesisValueError

OUTPUTS = ("numpy", "torch")
RENDER_MODES = ("rgb_array",)
RENDER_SIZE = (480, 480)
"""Width and height of pictures unless told otherwise, pixels."""
LARGEST_SIZE = 4096
"""Pixels each way: the cameras' limit."""


class EnvInterface:
    """What the vector and the single environments of a task have in common."""

    _render_size: tuple[int, int]

    @property
    def render_size(self) -> tuple[int, int]:
        """Width and height of pictures, pixels, as chosen when the environment was made."""
        return self._render_size

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise GenesisRuntimeError(
            f"an environment must not be copied or pickled, got {self!r}. Make another one, as from env.spec; "
            "a vector environment hands its state over by state_dict() and load_state_dict()."
        )


def check_options(num_envs: int, max_episode_steps: int | None, given: Mapping[str, Any]) -> None:
    """Raises unless the constructor's options satisfy their constraints; `given` as of `envs.options`."""
    output, differentiable, render_mode = given["output"], given["differentiable"], given["render_mode"]
    _check_whole("num_envs", num_envs, 1)
    for name in ("first_env_index", "action_delay"):
        _check_whole(name, given[name], 0)
    if max_episode_steps is not None:
        _check_whole("max_episode_steps", max_episode_steps, 1, "Pass None for episodes without a limit.")
    check_choice("output", output, OUTPUTS)
    for name in ("differentiable", "staggered"):
        if not isinstance(given[name], (bool, np.bool_)):
            raise GenesisTypeError(f"{name} must be True or False, got {type(given[name]).__name__}. Pass a bool.")
    if given["staggered"] and max_episode_steps is None:
        raise GenesisValueError(
            "staggered=True must come with max_episode_steps, got None. Episodes without a limit are never cut."
        )
    if differentiable and output != "torch":
        raise GenesisValueError(
            f'differentiable=True must come with output="torch", got output={output!r}. Arrays carry no gradient.'
        )
    if render_mode not in (None, *RENDER_MODES):
        raise GenesisValueError(
            f"render_mode must be None or one of {RENDER_MODES}, got {render_mode!r}. Choose one of these."
        )


def check_scales(given: Mapping[str, Any]) -> None:
    """Raises unless the noises are finite and not negative and the randomisation lies in [0, 1)."""
    for name in ("action_noise", "observation_noise"):
        value = given[name]
        _check_real(name, value)
        if not (np.isfinite(value) and value >= 0):
            raise GenesisValueError(f"{name} must be a finite standard deviation >= 0, got {value!r}. Pass 0 for none.")
    width = given["parameter_randomisation"]
    _check_real("parameter_randomisation", width)
    if not 0 <= width < 1:
        raise GenesisValueError(
            f"parameter_randomisation must lie in [0, 1), got {width!r}. "
            "It is a relative half-width: 0.2 gives 80 % to 120 %."
        )


def checked_size(size: Any) -> tuple[int, int]:
    """Width and height, pixels, as a tuple; a list, which JSON makes of it, is as good."""
    if not isinstance(size, (tuple, list)) or len(size) != 2:
        raise GenesisValueError(f"render_size must be (width, height), got {size!r}. Pass two integers.")
    for edge in size:
        _check_whole("every entry of render_size", edge, 1)
        if edge > LARGEST_SIZE:
            raise GenesisValueError(
                f"render_size must be at most {LARGEST_SIZE} pixels each way, got {tuple(size)}. Lower it."
            )
    return int(size[0]), int(size[1])


def check_choice(name: str, value: Any, valid: Iterable[str]) -> None:
    """Raises unless the value is one of the valid names, which the message lists."""
    if not isinstance(value, str) or value not in valid:
        raise GenesisValueError(f"{name} must be one of {sorted(valid)}, got {value!r}. Choose one of these.")


def _check_whole(name: str, value: Any, least: int, remedy: str = "Pass an int.") -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise GenesisValueError(f"{name} must be a whole number >= {least}, got {value!r}. {remedy}")


def _check_real(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise GenesisTypeError(f"{name} must be a number, got {type(value).__name__}. Pass a float.")


def autoreset_member(mode: AutoresetMode | str) -> AutoresetMode:
    """The member that a member or its value names."""
    try:
        return AutoresetMode(mode)
    except ValueError:
        valid = [member.value for member in AutoresetMode]
        raise GenesisValueError(
            f"autoreset_mode must be one of {valid}, got {mode!r}. "
            "Pass one of these or a member of gymnasium.vector.AutoresetMode."
        ) from None


def checked_seed(seed: Any) -> int | None:
    """The seed, None or a whole number in [0, 2^63), as the int that Gymnasium demands."""
    if seed is None:
        return None
    _check_whole("seed", seed, 0, "Pass an int, or None to go on with the random streams.")
    if seed >= 2**63:
        raise GenesisValueError(f"seed must be below 2^63, got {seed}. Take it modulo 2^63.")
    return int(seed)


def check_reset_options(options: Any, valid: tuple[str, ...]) -> None:
    """Raises unless the options of a reset are None or a mapping with no other names than the valid ones."""
    if options is None:
        return
    if not isinstance(options, Mapping):
        raise GenesisTypeError(f"options must be a dict or None, got {type(options).__name__}. Pass a dict.")
    unknown = [name for name in options if name not in valid]
    if unknown:
        raise GenesisValueError(
            f"options must hold known names only, got {unknown}. "
            + (f"Valid ones: {', '.join(valid)}." if valid else "There are none here: leave them out.")
        )


def checked_reset_mask(options: Mapping[str, Any] | None, num_envs: int, output: str) -> torch.Tensor:
    """The rows to reset (num_envs,) bool; all of them without a mask."""
    check_reset_options(options, valid=("reset_mask",))
    mask = (options or {}).get("reset_mask")
    if mask is None:
        return torch.ones(num_envs, dtype=torch.bool)
    kinds = (np.ndarray, torch.Tensor) if output == "torch" else (np.ndarray,)
    if not isinstance(mask, kinds):
        raise GenesisTypeError(
            f'options["reset_mask"] must be a bool array, got {type(mask).__name__}. '
            "Pass numpy.array([...], dtype=bool)."
        )
    right = str(mask.dtype).removeprefix("torch.") == "bool" and tuple(mask.shape) == (num_envs,)
    if not right or not bool(mask.any()):
        held = f" with {int(mask.sum())} True" if right else ""
        raise GenesisValueError(
            f'options["reset_mask"] must be bool of shape {(num_envs,)} with at least one True, '
            f"got {mask.dtype} of shape {tuple(mask.shape)}{held}. Leave the mask out to reset all environments."
        )
    return torch.as_tensor(mask if isinstance(mask, torch.Tensor) else mask.copy()).as_subclass(torch.Tensor)


def as_floats(actions: Any) -> np.ndarray:
    """A copy in plain memory of an array, list or tuple of numbers.

    Raises:
        GenesisTypeError: Anything else, bools for instance.
    """
    try:
        array = np.asarray(actions)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).rstrip(".")
        raise GenesisTypeError(
            f"actions must be numbers in rows of one length, got {type(actions).__name__}: {reason}. "
            "Pass an array; several tensors together by torch.stack."
        ) from None
    if array.dtype.kind not in "fiu":
        got = array.dtype if isinstance(actions, (np.ndarray, list, tuple)) else type(actions).__name__
        raise GenesisTypeError(f"actions must be an array, tensor or list of real numbers, got {got}. Convert them.")
    # torch refuses negative strides and foreign byte orders.
    single = array.dtype.kind == "f" and array.dtype.itemsize <= 4
    return np.array(array, dtype=np.float32 if single else np.float64, order="C")


def checked_action(actions: Any, like: torch.Tensor, ignored: torch.Tensor | None) -> torch.Tensor:
    """A tensor of the shape, dtype and device of `like`, with the gradient kept; `ignored` rows become those of `like`.

    Rows are (num_envs,) bool; None: none is ignored.

    Raises:
        GenesisTypeError: Not an array, tensor or list of real numbers.
        GenesisValueError: The wrong shape, or a NaN in a row that is not ignored.
    """
    if isinstance(actions, gs.Tensor) and actions.scene is None:
        actions = actions.as_subclass(torch.Tensor)
    action = actions if isinstance(actions, torch.Tensor) else torch.as_tensor(as_floats(actions))
    if action.dtype is torch.bool or action.is_complex():
        raise GenesisTypeError(
            f"actions must be an array, tensor or list of real numbers, got {action.dtype}. Convert them."
        )
    if action.shape != like.shape:
        raise GenesisValueError(
            f"actions must have shape {tuple(like.shape)}, got {tuple(action.shape)}. "
            "Pass one row per environment and one column per entry of the action space."
        )
    action = action.to(like)
    values = action.detach().as_subclass(torch.Tensor)
    # A sum is NaN where a number is, or where infinities cancel.
    bad = torch.isnan(values).any(dim=1) if math.isnan(values.sum().item()) else None
    if bad is not None and bool((bad := bad if ignored is None else bad & ~ignored).any()):
        raise GenesisValueError(
            f"actions must not be NaN, got NaN for environments {bad.nonzero().squeeze(1).tolist()}. "
            "Look at the policy's inputs and weights."
        )
    return action if ignored is None else torch.where(ignored[:, None], like, action)


def convert(value: torch.Tensor, output: str) -> Any:
    """A tensor for the torch interface, a detached copy for the numpy interface (rewards in float64, observations in
    float32)."""
    if output == "torch":
        plain, dtype = type(value) is torch.Tensor, value.dtype
        if plain and (dtype is torch.bool or dtype is gs.tc_float):  # nothing to infer or to check
            return value.as_subclass(gs.Tensor)
        return gs.from_torch(value, detach=False)
    array = value.detach().cpu().as_subclass(torch.Tensor).numpy()
    if array.dtype.kind != "f":
        return array.copy()
    return array.astype(np.float64 if array.ndim == 1 else np.float32, copy=True)


def infos(values: Mapping[str, torch.Tensor], mask: torch.Tensor, output: str) -> dict[str, Any]:
    """Gymnasium's layout: each name with a value per row, and `_name` with the rows where it is valid."""
    info: dict[str, Any] = {}
    torch_mask = convert(mask.clone(), output) if output == "torch" else None
    for name, value in values.items():
        info[name] = convert(value.clone() if output == "torch" else value, output)
        info[f"_{name}"] = convert(mask, output) if torch_mask is None else torch_mask
    return info


def final_infos(observation: torch.Tensor, shown: Mapping[str, Any], done: torch.Tensor, output: str) -> dict[str, Any]:
    """What finished episodes last saw, for SAME_STEP; the numpy interface follows Gymnasium's object array.

    Args:
        observation: (num_envs, O) before any reset.
        shown: `infos` before any reset; where no episode has ended, its values are those of the step's info, too.
        done: (num_envs,) bool.
        output: "torch" or "numpy".
    """
    mask = convert(done.clone(), output)
    final_info = {name: mask if name.startswith("_") else value for name, value in shown.items()}
    final_obs = convert(observation, output)
    if output == "numpy":
        rows = np.full(len(final_obs), None, dtype=object)
        for row in np.flatnonzero(done.cpu().numpy()):
            rows[row] = final_obs[row]
        final_obs = rows
    masks = {key: convert(done, output) for key in ("_final_obs", "_final_info")}
    return {"final_obs": final_obs, "final_info": final_info, **masks}
