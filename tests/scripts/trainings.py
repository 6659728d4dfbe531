"""Trainings on the torch task, as they would be typed."""

import shlex
import sys
from contextlib import contextmanager

import torch

import envs
import genesis as gs
from agents.core import checkpoint
from scripts import train

ENV = "genesis/TestPointMass-v0"
INTERRUPTED = {
    **{"run": "runs/a", "steps": 40, "total_steps": 80, "max_minutes": None, "processes": 1, "seconds": 1.0},
    **{
        "interrupted": True,
        "env": ENV,
        "untrained": None,
        "trained": None,
        "in_gymnasium": None,
        "checkpoint": "a.pt",
        "best": None,
        "film": None,
    },
}
"""What a training that was stopped underway returns."""


@contextmanager
def registered():
    """Within it `ENV` is an environment as any other."""
    envs.register_task(ENV, "tests.envs.point_mass", "PointMass", max_episode_steps=10)
    try:
        yield
    finally:
        envs.ENV_IDS.remove(ENV)


def run_train(monkeypatch, tmp_path, *options):
    base = ["--env", ENV, "--num-envs", "4", "--run-dir", str(tmp_path / "runs"), "--precision", precision()]
    base += [] if "--agent" in options else ["--agent", "bptt"]
    hyper = ["--hyper.window", "5", "--hyper.hidden", "8", "--eval-episodes", "4"]
    monkeypatch.setattr(sys, "argv", ["train", *base, *hyper, *options])
    code = train.main()
    runs = sorted((tmp_path / "runs").glob("*"), key=lambda path: path.stat().st_mtime)
    return code, runs[-1] if runs else None


def precision():
    return "64" if gs.tc_float == torch.float64 else "32"


def newest(run):
    return checkpoint.of_run(run)[-1]


def policy(path):
    return checkpoint.load(path)["agent_state"]["policy"]


def resume_as_told(monkeypatch, printed):
    """Types the last line that a training printed."""
    told = shlex.split(printed.splitlines()[-1])
    monkeypatch.setattr(sys, "argv", ["train", *told[told.index("--resume") :]])
    assert train.main() == 0
