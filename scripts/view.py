"""A rollout in the browser: `python -m scripts.view --checkpoint runs/... --port 8080`; the extra `view`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
import tyro

import envs
import genesis as gs
from agents.core import checkpoint
from genesis.errors import GenesisValueError
from scripts import common
from scripts.progress import Progress
from scripts.viewer import export
from scripts.viewer import server as web
from scripts.viewer.page import Page
from scripts.viewer.recording import Recording


@dataclass(frozen=True)
class ViewConfig:
    """Shows in the browser what a trained policy does, or actions without one; gradients of the return are arrows."""

    checkpoint: Path | None = None
    """A checkpoint file, or the folder of a run (its newest checkpoint). None: --env and --actions instead."""
    env: Annotated[
        str | None, tyro.conf.arg(help=f"Environment id; None: the checkpoint's. One of {common.ENV_NAMES}.")
    ] = None
    actions: Literal["zero", "random"] = "zero"
    """What acts without a checkpoint: the middle of the action space, or uniform noise."""
    contact: str | None = None
    """Contact model, where a task has several: "mujoco" or "smoothed"; None: the checkpoint's, or the task's own."""
    live: bool = False
    """Compute while it is shown; else everything is computed first."""
    seconds: float = 10.0
    """Length of the rollout, s of simulated time."""
    num_envs: int = 4
    """Environments to choose from."""
    window: int = 16
    """Control steps that a gradient looks ahead, at least; at most twice as many."""
    seed: int = 1
    """Seed of the episodes (and of random actions)."""
    host: str = "127.0.0.1"
    """Address to listen on; the default is reached from this machine alone."""
    port: int = 8080
    """Port to listen on; 0: any free one."""
    record: Path | None = None
    """Write the first environment's rollout to this file, serve nothing: .html plays in browsers, .viser in viser."""
    arrows: bool = False
    """Draw gradient arrows in --record; in the browser they have a switch."""
    backend: str = "cpu"
    """Where the simulator runs: "cpu", "cuda" or "gpu" (CUDA where there is one)."""


def run(config: ViewConfig) -> None:
    """Records and shows, until interrupted; or writes a file.

    Raises:
        gs.GenesisException: An option violates its constraint, the port is in use, the checkpoint does not fit, the
            extra `view` is missing, or the file cannot be written.
    """
    _check(config)
    saved = None if config.checkpoint is None else checkpoint.load(config.checkpoint, config.env)
    task = str(saved["env"] if saved else config.env)
    common.check_env(task)
    common.contact_of(task, saved, config.contact)  # refused before a page is served
    server = None if config.record is not None else web.start(config.host, config.port, "genesis")
    try:
        if not gs.is_initialized():
            gs.init(backend=getattr(gs, config.backend), precision=saved["precision"] if saved else "32")
        if server is None:
            _write(config, saved, task)
        else:
            print(f"http://{_written(config.host)}:{server.get_port()}  (Ctrl-C ends it)", flush=True)
            _serve(config, saved, task, server)
    finally:
        if server is not None:
            web.stop(server)


def _write(config: ViewConfig, saved: dict[str, Any] | None, task: str) -> None:
    recording = _start(config, saved, task)
    _complete(recording)
    assert config.record is not None
    size = export.write(config.record, recording, 0, config.arrows)
    recording.env.close()
    print(f"written: {config.record} ({task}, {recording.total} steps, {size / 1e6:.1f} MB)")


def _serve(config: ViewConfig, saved: dict[str, Any] | None, task: str, server: Any) -> None:
    title = f"{config.actions} actions"
    if saved:
        title = f"{saved['agent']}, {saved['agent_state']['steps']} steps of training"
    while True:
        server.scene.reset()
        server.gui.reset()
        waiting = server.gui.add_progress_bar(0.0)
        recording = _start(config, saved, task)
        if not config.live:
            _complete(recording, waiting)
        waiting.remove()
        page = Page(server, recording, title, task, () if saved else envs.ENV_IDS)
        page.run()
        task = page.task
        recording.env.close()


def _start(config: ViewConfig, saved: dict[str, Any] | None, task: str) -> Recording:
    wanted = config.contact if common.own_contact(task) else None  # the page changes tasks, and not all have presets
    env = common.render_env(task, config.num_envs, common.contact_of(task, saved, wanted), differentiable=True)
    total = max(2, round(config.seconds * env.metadata["render_fps"]))
    act = common.restored_agent(saved, env).act if saved else common.untrained(env, config.actions, config.seed)
    return Recording(env, act, config.seed, total, config.window)


def _complete(recording: Recording, waiting: Any = None) -> None:
    """Computes what is missing; `waiting` is the page's own progress bar."""
    bar = Progress(recording.total)
    while not recording.complete:
        recording.advance()
        bar.show(len(recording.frames), {})
        if waiting is not None:
            waiting.value = 100.0 * len(recording.frames) / recording.total
    bar.close()


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _check(config: ViewConfig) -> None:
    if config.checkpoint is None and config.env is None:
        raise GenesisValueError("checkpoint or env must be given, got neither. Pass --checkpoint or --env.")
    if not 0 < config.seconds < float("inf"):
        raise GenesisValueError(f"seconds must be positive and finite, got {config.seconds}.")
    for name in ("num_envs", "window"):
        if getattr(config, name) < 1:
            raise GenesisValueError(f"{name} must be at least 1, got {getattr(config, name)}.")
    if config.backend not in ("cpu", "cuda", "gpu"):
        raise GenesisValueError(f'backend must be "cpu", "cuda" or "gpu", got {config.backend!r}.')
    if config.record is not None:
        export.check(config.record)
    elif config.arrows:
        raise GenesisValueError("arrows must come with record, got no file. Leave it out: the page has a switch.")
    web.library()


def main() -> int:
    """Entry point of `genesis-view`."""
    return common.run(_main)


def _main() -> int:
    config = tyro.cli(ViewConfig, prog=common.program())
    torch.set_num_threads(1)  # the tensors are small, and the simulator has threads of its own
    try:
        run(config)
    except KeyboardInterrupt:
        print("ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
