"""What a user says about the scene in which a recorded motion is simulated, and whether recordings go with it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from typing import Any

from genesis.checks import number, record
from genesis.engine.scene import Scene
from genesis.errors import GenesisKeyError, GenesisTypeError, GenesisValueError
from genesis.identification.recording import JITTER, Recording


@record
class Channel:
    """One quantity of a scene, by a function that sets or reads it in all environments."""

    call: Callable[..., Any]
    """Of parameters, controls and initial values: takes a tensor (B,) or (B, ...) and sets it. Of signals: takes
    nothing and returns a tensor (B, ...)."""
    unit: str = ""
    """Its unit, "kg" or "N m s/rad". Where a recording names one it has to be the same."""


@record
class Experiment:
    """A scene that is built, and its quantities by the names that recordings and bounds use.

    In each rollout the scene is reset, `initial` and then `parameters` are set, and in each step `controls` are set,
    the scene steps and `signals` are read.
    """

    scene: Scene
    """Built, with `SimOptions(requires_grad=True)` and the recordings' control step."""
    parameters: Mapping[str, Channel]
    """What may be fitted: setters of (B,), by differentiable setters of entities."""
    signals: Mapping[str, Channel]
    """What may have been observed."""
    controls: Mapping[str, Channel] = field(default_factory=dict)
    """What is set in each step."""
    initial: Mapping[str, Channel] = field(default_factory=dict)
    """What is set at the start."""

    def __post_init__(self) -> None:
        if not isinstance(self.scene, Scene) or not self.scene.is_built or not self.scene.requires_grad:
            got = (
                "a scene without gradients or not built" if isinstance(self.scene, Scene) else type(self.scene).__name__
            )
            raise GenesisValueError(
                f"Experiment.scene must be a built scene with gradients, got {got}. Pass "
                "SimOptions(requires_grad=True) and call scene.build(n_envs)."
            )
        for group in ("parameters", "signals", "controls", "initial"):
            for name, channel in getattr(self, group).items():
                if not isinstance(channel, Channel):
                    raise GenesisTypeError(
                        f"Experiment.{group}[{name!r}] must be a Channel, got {type(channel).__name__}. "
                        "Write Channel(call=..., unit=...)."
                    )


def check_bounds(bounds: Mapping[str, tuple[float, float]]) -> None:
    """Raise unless there are bounds, and each is a finite low < high."""
    if not bounds:
        raise GenesisValueError("bounds must name at least one parameter, got none. Give name: (low, high).")
    for name, pair in bounds.items():
        try:
            low, high = (float(end) for end in pair)
        except (TypeError, ValueError) as error:
            raise GenesisTypeError(f"bounds[{name!r}] must be two numbers, got {pair!r}. Give (low, high).") from error
        if not (low < high and abs(low) < float("inf") and abs(high) < float("inf")):
            raise GenesisValueError(
                f"bounds[{name!r}] must be finite with low < high, got ({low:g}, {high:g}). Swap or change them."
            )


def check_together(
    experiment: Experiment, recordings: Sequence[Recording], names: Sequence[str], fixed: Mapping[str, float]
) -> None:
    """Raise unless the experiment has all that recordings and bounds name, in their units and at their rate.

    Args:
        experiment: What is to be simulated.
        recordings: Measured motions; they must be alike, but for their values.
        names: Of the parameters that are fitted.
        fixed: Values of other parameters.

    Raises:
        GenesisKeyError: The experiment lacks a name.
        GenesisValueError: Another step, unit, shape, number of steps, or too few samples.
    """
    for name in names:
        _known("bounds", name, experiment.parameters, "parameter")
    for name, value in fixed.items():
        _known("fixed", name, experiment.parameters, "parameter")
        number(f"fixed[{name!r}]", value)
        if name in names:
            raise GenesisValueError(f"fixed must name parameters without bounds, got {name!r}. Leave it out of one.")
    first = recordings[0]
    for index, each in enumerate(recordings):
        if layout(each) != layout(first):
            raise GenesisValueError(
                f"recordings must be alike but for their values, got another layout in number {index}: "
                f"{layout(each)} for {layout(first)}. Cut them alike, or fit them one by one."
            )
    for group, recorded in (("controls", first.controls), ("signals", first.signals), ("initial", first.initial)):
        channels = getattr(experiment, group)
        for name in recorded:
            _known(f"recording.{group}", name, channels, group.rstrip("s"))
            unit = first.units.get(name, "")
            if unit and channels[name].unit and unit != channels[name].unit:
                raise GenesisValueError(
                    f"recording.units[{name!r}] must be {channels[name].unit!r}, as in the experiment, got {unit!r}. "
                    "Convert the values."
                )
        missing = [] if group == "signals" else [name for name in channels if name not in recorded]
        if missing:
            raise GenesisKeyError(
                f"recording.{group} must hold {', '.join(channels)}, which the experiment sets, got none for "
                f"{', '.join(missing)}. Record it, or leave it out of the experiment."
            )
    dt = experiment.scene.dt
    if abs(first.dt - dt) > JITTER * dt:
        raise GenesisValueError(
            f"the control step of the recording must be the scene's, {dt:g} s, got {first.dt:g} s. Pass "
            "SimOptions(dt=...), or interpolate the recording."
        )
    samples = len(recordings) * sum(value.size for value in first.signals.values())
    if samples < 10 * len(names):
        raise GenesisValueError(
            f"recordings must hold at least ten numbers for each of {len(names)} parameter(s), got {samples}. "
            "Record for longer, or fit fewer parameters."
        )


def layout(recording: Recording) -> dict[str, Any]:
    """All that recordings of one fit have in common."""
    shapes = {
        f"{g}/{name}": x.shape for g in ("controls", "signals", "initial") for name, x in getattr(recording, g).items()
    }
    every = {f"every/{name}": recording.every(name) for name in recording.signals}
    return {
        **shapes,
        **every,
        "dt": float(f"{recording.dt:.3g}"),
        **{f"unit/{n}": u for n, u in recording.units.items()},
    }


def _known(where: str, name: str, channels: Mapping[str, Channel], noun: str) -> None:
    if name not in channels:
        valid = ", ".join(channels) or "none"
        raise GenesisKeyError(f"{where} must name a {noun} of the experiment, got {name!r}. Valid ones: {valid}.")
