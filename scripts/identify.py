"""Fits parameters to recorded motion: `python -m scripts.identify --example rigid`; docs/identification.md."""

import importlib
import importlib.util
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import tyro

import genesis as gs
from genesis.errors import GenesisValueError, optional_import
from genesis.identification import Experiment, Identification, Recording, identify, synthetic_recording
from scripts import common
from scripts.identification import rigid, soft
from scripts.identification.coverage import coverage

EXAMPLES: dict[str, Any] = {"rigid": rigid, "soft": soft}


@dataclass(frozen=True)
class IdentifyConfig:
    """Fits parameters of a scene to recordings, and writes values, 95 % intervals, doubts and a picture.

    Either an example, or an experiment, recordings and bounds of one's own.
    """

    example: Literal["rigid", "soft"] | None = None
    """A worked example, which records a simulation with noise and fits it; None: one of your own, by what follows."""
    experiment: str | None = None
    """The function that builds the experiment with n_envs environments: FILE.py:NAME or package.module:NAME."""
    recordings: tuple[Path, ...] = ()
    """Files of recorded motions, .npz, which are fitted together."""
    bounds: tuple[str, ...] = ()
    """Parameters to fit with their bounds, NAME=LOW:HIGH each; of an example: instead of all of its own."""
    fixed: tuple[str, ...] = ()
    """Values of other parameters, NAME=VALUE each; of an example they are the true ones."""
    output: Path = Path("identification")
    """Folder for the report: identification.json, identification.md, fit.png, and an example's recording.npz."""
    restarts: int = 8
    """Starts that go on to the end, of the best of those that are drawn over the bounds."""
    search_steps: int = 0
    """Steps by gradients of all starts before the best are taken; for rough problems and for many parameters."""
    iterations: int = 30
    """Of Levenberg's and Marquardt's method, at most."""
    seed: int = 0
    """Of the starts, and of an example's noise."""
    noise: float = 0.01
    """Of an example's signals, as a part of the standard deviation of each."""
    cases: int = 0
    """With an example: fit so many synthetic cases, and count the intervals that hold the truth; 0: fit one."""
    picture: bool = True
    """Draw fit.png, which needs Matplotlib (extra `plot`)."""
    precision: Literal["32", "64"] = "64"
    """Of the simulation, in bits."""
    backend: Literal["cpu", "gpu"] = "cpu"
    """Where the simulation runs."""


def run(config: IdentifyConfig) -> list[str]:
    """What the command does; returns what it prints.

    Raises:
        gs.GenesisException: Options that do not go together, or what `identify` refuses.
    """
    own = [name for name in ("experiment", "recordings", "bounds", "fixed") if getattr(config, name)]
    if config.example is None and not {"experiment", "recordings", "bounds"} <= set(own):
        raise GenesisValueError(
            f"experiment, recordings and bounds must be given without an example, got {', '.join(own) or 'none'}. "
            "Give all three, or --example rigid."
        )
    if config.example is not None and set(own) - {"bounds"}:
        raise GenesisValueError(
            f"an example must come without experiment, recordings and fixed, got {', '.join(own)}. Leave them out."
        )
    if config.example is None and config.cases:
        raise GenesisValueError(f"cases must be left out without an example, got {config.cases}. Leave them out.")
    if config.picture and not config.cases:  # now, and not after the fit
        with optional_import("matplotlib", "plot", "to draw a fit", "leave the picture out: --no-picture"):
            importlib.import_module("matplotlib")
    bounds = dict(map(parsed_bounds, config.bounds))
    fixed = dict(map(parsed_value, config.fixed))
    recordings = [Recording.load(path) for path in config.recordings]
    if not gs.is_initialized():
        gs.init(backend=getattr(gs, config.backend), precision=config.precision, logging_level="error")
    if config.example is None:
        return _fit(config, found_function(str(config.experiment)), recordings, bounds, fixed)
    world = EXAMPLES[config.example]
    bounds = bounds or world.BOUNDS
    if config.cases:
        study = coverage(world, bounds, config.cases, config.noise, config.seed, world.AT_ONCE)
        return study.lines()
    controls, initial = world.motion()
    recording = synthetic_recording(
        world.build(1), world.TRUTH, world.N_STEPS, controls, initial, noise=config.noise, seed=config.seed
    )
    config.output.mkdir(parents=True, exist_ok=True)
    recording.save(config.output / "recording.npz")
    fixed = {name: value for name, value in world.TRUTH.items() if name not in bounds}
    return _fit(config, world.build, [recording], bounds, fixed, world.TRUTH)


def _fit(
    config: IdentifyConfig,
    build: Callable[[int], Experiment],
    recordings: list[Recording],
    bounds: dict[str, tuple[float, float]],
    fixed: dict[str, float],
    truth: dict[str, float] | None = None,
) -> list[str]:
    found: Identification = identify(
        build, recordings, bounds, fixed, config.restarts, config.search_steps, config.iterations, config.seed
    )
    written = found.save(config.output, truth, with_picture=config.picture)
    return [found.markdown(truth), *(f"wrote {path}" for path in written)]


def parsed_bounds(text: str) -> tuple[str, tuple[float, float]]:
    """Name, low and high of NAME=LOW:HIGH.

    Raises:
        GenesisValueError: Another form.
    """
    name, _, pair = text.partition("=")
    low, _, high = pair.partition(":")
    try:
        ends = float(low), float(high)
    except ValueError:
        ends = math.nan, math.nan
    if not name or not all(map(math.isfinite, ends)):
        raise GenesisValueError(f"bounds must be NAME=LOW:HIGH, got {text!r}. Write them as in mass=0.5:2.")
    return name, ends


def parsed_value(text: str) -> tuple[str, float]:
    """Name and value of NAME=VALUE.

    Raises:
        GenesisValueError: Another form.
    """
    name, _, value = text.partition("=")
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not name or not math.isfinite(found):
        raise GenesisValueError(f"fixed must be NAME=VALUE, got {text!r}. Write them as in mass=0.5.")
    return name, found


def found_function(place: str) -> Callable[[int], Experiment]:
    """The function at FILE.py:NAME or package.module:NAME.

    Raises:
        GenesisValueError: There is none.
    """
    module, _, name = place.rpartition(":")
    try:
        if module.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(module).stem, module)
            assert spec is not None and spec.loader is not None
            loaded = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(loaded)
        else:
            loaded = importlib.import_module(module)
        return getattr(loaded, name)
    except (ImportError, OSError, AttributeError, ValueError) as error:
        raise GenesisValueError(
            f"experiment must be FILE.py:NAME or package.module:NAME, got {place!r} ({error}). Check both parts."
        ) from error


def main() -> int:
    """Entry point of `genesis-identify`."""
    return common.run(_main)


def _main() -> int:
    print("\n".join(run(tyro.cli(IdentifyConfig, prog=common.program()))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
