"""Other engines on the rigid benchmark's robots, each in the same peer environment, each skipped if it will not run."""

from pathlib import Path
from typing import Any

from genesis.loaders.library import load_robot
from scripts.benchmarks import report
from scripts.benchmarks.rigid_cases import SETTLE, RigidCase, standing, strengths

FOLDER = report.ROOT / "scripts" / "peers"
PEERS = {
    "mujoco": ("ant", "hopper", "half_cheetah", "humanoid"),
    "mjx": ("ant",),
    "newton": ("ant",),
}
"""Peer -> robots that it runs."""
BARS = {("mujoco", "forward"): 1.0, ("mjx", "forward+backward"): 60.0, ("newton", "forward+backward"): 100.0}
"""(Peer, row) -> how many times faster this engine has to be, substep for substep, on the ant."""


def run(peer: str, python: Path, case: RigidCase, n_envs: int) -> dict[str, Any]:
    """The peer's report, or why there is none (`skipped`)."""
    model = load_robot(case.robot)
    arguments = [str(FOLDER / f"{peer}_rigid.py"), "--xml", case.xml, "--n-envs", str(n_envs)]
    arguments += ["--settle", str(SETTLE), "--qpos", *map(str, standing(model))]
    if peer == "newton":
        arguments += ["--strength", str(max(strengths(model)[1])), "--mu", str(max(g.friction for g in model.geoms))]
    try:
        return {"peer": peer, "robot": case.robot, **report.run_json(python, arguments)}
    except RuntimeError as error:
        return {"peer": peer, "robot": case.robot, "skipped": str(error).splitlines()[-1]}


def ratios(own: dict[str, Any], other: dict[str, Any]) -> list[list[Any]]:
    """Lines of a table: robot, engine, row, substeps, thousand env-steps/s, this engine's speed over it, bar.

    Both ratios: of control steps, and of substeps (engines take different numbers of them).
    """
    lines = []
    for row in other["rows"]:
        if "one core" in row["row"]:
            continue
        ours = own["rows"]["forward+backward" if "backward" in row["row"] else "forward"]["env_steps_per_second"]
        theirs = row["env_steps_per_second"]
        substeps = other["settings"]["substeps"]
        ratio = ours / theirs
        bar = BARS.get((other["peer"], row["row"])) if other["robot"] == "ant" else None
        what = [other["robot"], other["engine"], row["row"], substeps]
        lines.append([*what, theirs / 1e3, ratio, ratio * own["substeps"] / substeps, bar])
    return lines
