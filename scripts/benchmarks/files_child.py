"""Loads the model files whose paths come on standard input, and writes a line of JSON for each. See `files.py`."""

import argparse
import json
import re
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

import genesis as gs
from genesis.engine import articulated
from genesis.engine.entities.ground import GroundEntity
from genesis.engine.entities.rigid import RigidEntity
from genesis.loaders.lazy_import import mujoco
from genesis.loaders.mass_matrix import mass_matrix
from genesis.loaders.urdf import read_urdf
from genesis.solvers.rigid.setups import setup
from scripts.benchmarks import files_pinocchio

FEATURES = re.compile(r"(?:supported elements only|what MuJoCo's contact model has here), got (.*?)\. Remove")
LOOSE = 0.5
"""A state farther from MuJoCo's than that is as far as any."""
OFF = 1e-12
"""Of speeds: what MuJoCo's own state is compared with, to tell rounding that grows from a fault."""


def told(path: Path, repair: bool, steps: int) -> dict[str, Any]:
    """What is to be said of a file."""
    root = root_of(path)
    row: dict[str, Any] = {"path": str(path), "kind": "URDF" if root == "robot" else "MJCF"}
    if root not in ("robot", "mujoco"):
        return row | {"skipped": "no model"}
    if root == "robot":
        row |= files_pinocchio.known(path)
    model = None
    if root == "mujoco":
        try:
            model = mujoco().MjModel.from_xml_path(str(path))
        except (ValueError, mujoco().FatalError) as error:
            return row | {"skipped": str(error)}
        if model.nv == 0:
            return row | {"skipped": "nothing moves"}
    try:
        row |= loaded(path, root, repair, model, steps)
    except gs.GenesisException as error:
        return row | {"reasons": reasons(str(error), str(path)), "text": str(error)}
    except Exception as error:  # a fault of the loader itself
        return row | {"reasons": [f"{type(error).__name__}: {error}"]}
    return row | {"reasons": []}


def root_of(path: Path) -> str | None:
    try:
        with path.open("rb") as stream:
            return next(ElementTree.iterparse(stream, ("start",)))[1].tag
    except (ElementTree.ParseError, StopIteration, OSError):
        return None


def reasons(text: str, path: str) -> list[str]:
    """Names of the features for which a file is refused, or the error without what is this file's own."""
    if "must be of other shapes yet" in text:
        return ["shapes"]
    features = FEATURES.search(text)
    if features:
        return sorted({part.split(":")[0] for part in features[1].split("; ") if ":" in part})
    text = text.replace(path, "the file").split("got: ")[-1]
    text = re.sub(r"'[^']*'|\"[^\"]*\"|\([^)]*\)|/[\w./-]+", "…", text)
    return [re.sub(r"-?\d[\w.+-]*", "…", text)[:110]]


def loaded(path: Path, root: str, repair: bool, model: Any, steps: int) -> dict[str, Any]:
    """Raises GenesisException as a scene would."""
    morph = (gs.morphs.MJCF if root == "mujoco" else gs.morphs.URDF)(file=path, repair=repair)
    options = gs.options.RigidOptions()
    timestep = model.opt.timestep if model else 0.002
    gravity = tuple(model.opt.gravity.tolist()) if model else (0.0, 0.0, -9.81)
    entities = articulated.entities_of(0, "file", morph, gs.materials.Rigid(), gs.surfaces.Default(), options)
    body = next(each for each in entities if isinstance(each, RigidEntity))
    grounds = [each.geom for each in entities if isinstance(each, GroundEntity)]
    labels = [f"file/{link}" for link in body.model.link_names]
    setup(body.model, grounds, options, timestep, gravity, (), labels)
    row: dict[str, Any] = {"repairs": sorted({what.split(":")[0] for what in body.repairs})}
    if root == "robot":
        row |= files_pinocchio.weighed(path, body.model, row["repairs"])
    if root == "robot" and steps:
        spec = read_urdf(path.absolute(), False, repair).spec
        spec.compiler.fusestatic = False
        model = spec.compile()
    if steps and model is not None:
        row |= compared(morph, body.model, model, timestep, gravity, steps)
    return row


def compared(morph: Any, ours: Any, theirs: Any, timestep: float, gravity: Any, steps: int) -> dict[str, float]:
    """How far the mass matrix at rest is from MuJoCo's, and the state after some steps: relative to the greatest."""
    row = {"mass": mass_apart(ours, theirs)}
    theirs.opt.solver, theirs.opt.iterations = mujoco().mjtSolver.mjSOL_NEWTON, 200
    theirs.opt.tolerance = 1e-15
    sim = gs.options.SimOptions(dt=timestep, substeps=1, gravity=gravity)
    scene = gs.Scene(sim_options=sim)
    robot: Any = scene.add_entity(morph)
    scene.build(n_envs=1)
    if theirs.nu:
        robot.control_actuators(np.zeros((1, theirs.nu)))
    for _ in range(steps):
        scene.step()
    state = np.concatenate([robot.get_qpos().numpy()[0], robot.get_dofs_velocity().numpy()[0]])
    true = stepped(theirs, steps)
    return row | {"moved": apart(state, true), "chaos": apart(stepped(theirs, steps, OFF), true)}


def mass_apart(ours: Any, theirs: Any) -> float:
    """The mass matrix at rest, relative to its greatest number."""
    data = mujoco().MjData(theirs)
    mujoco().mj_forward(theirs, data)
    full = np.zeros((theirs.nv, theirs.nv))
    mujoco().mj_fullM(theirs, data, full)
    return float(np.abs(mass_matrix(ours) - full).max() / np.abs(full).max())


def stepped(model: Any, steps: int, off: float = 0.0) -> np.ndarray:
    """MuJoCo's state from the file's, with all speeds `off` more."""
    data = mujoco().MjData(model)
    data.qvel[:] = off
    mujoco().mj_step(model, data, steps)
    return np.concatenate([data.qpos, data.qvel])


def apart(state: np.ndarray, true: np.ndarray) -> float:
    """The farthest number, relative to itself or 1."""
    off = float((np.abs(state - true) / (1.0 + np.abs(true))).max())
    return min(off, LOOSE) if np.isfinite(off) else LOOSE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repair", action="store_true")
    parser.add_argument("--steps", type=int, default=0)
    options = parser.parse_args()
    gs.init(backend=gs.cpu, precision="64", seed=0, logging_level="error")
    for line in sys.stdin:
        print(json.dumps(told(Path(line.strip()), options.repair, options.steps)), flush=True)


if __name__ == "__main__":
    main()
