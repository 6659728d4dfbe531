"""Robots as .npz files of plain arrays: no pickles, stamped with a version, written atomically."""

import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.folders import whole_file
from genesis.loaders import mujoco_archive, validation, visual_archive
from genesis.loaders.parts import Actuator, Geom, GroundGeom, Joint

if TYPE_CHECKING:
    from genesis.loaders.model import RigidModel

VERSION = 2
"""Of the format; a change of meaning or of names raises it."""

PARTS: dict[str, tuple[type, tuple[str, ...]]] = {
    "joints": (Joint, ("name", "kind", "link", "axis", "anchor", "q", "dof")),
    "geoms": (Geom, ("name", "kind", "link", "pos", "quat", "size", "friction", "group", "mask")),
    "actuators": (Actuator, ("name", "dof", "gear", "kind", "kp", "kv", "low", "high")),
    "grounds": (GroundGeom, ("name", "kind", "pos", "normal", "friction", "group", "mask", "spacing")),
}
"""Per kind of part: its class, and its fields of one size, each of which is an array over the parts."""
RAGGED = {"geoms": {"vertices": np.float64, "faces": np.int64}, "grounds": {"heights": np.float64}}
"""Fields that are arrays of two dimensions and any size, and their type; stored flat, with the sizes beside them."""
OPTIONAL = ("faces",)
"""Of these, those that are left out where they are empty."""
SENTENCES = ("losses", "repairs")
"""Fields of sentences; left out where there are none."""


def write(model: "RigidModel", path: str | os.PathLike[str]) -> None:
    """Writes `model` to `path`, by way of a temporary file in the same folder."""
    target = Path(path)
    arrays: dict[str, Any] = {"version": np.array(VERSION), "name": np.array(model.name)} | _arrays(model)
    with whole_file(target) as stream:
        np.savez_compressed(stream, **arrays)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The fields of a RigidModel. Raises GenesisValueError if there is no such file, or another kind of file."""
    source = Path(path)
    if not source.is_file():
        raise GenesisValueError(f"path must name a file, got {str(source)!r}. Write one with RigidModel.save.")
    try:
        with np.load(source, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        version = int(arrays["version"])
        if version == VERSION:
            return _fields(arrays)
    except (KeyError, ValueError, TypeError, OSError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise GenesisValueError(
            f"{str(source)!r} must be a robot written by RigidModel.save, got a file that cannot be read "
            f"({type(error).__name__}: {error}). Write it again."
        ) from None
    raise GenesisValueError(f"{str(source)!r} must have format version {VERSION}, got {version}. Write it again.")


def _arrays(model: "RigidModel") -> dict[str, np.ndarray]:
    arrays: dict[str, np.ndarray] = {name: getattr(model, name) for name in ("parent", *validation.REAL_ARRAYS)}
    arrays["link_names"] = _strings(model.link_names)
    for group, (_, names) in PARTS.items():
        parts = getattr(model, group)
        for name in names:
            values = [getattr(part, name) for part in parts]
            arrays[f"{group}.{name}"] = _strings(values) if name in ("name", "kind") else np.array(values)
        for ragged, kind in RAGGED.get(group, {}).items():
            blocks = [np.asarray(getattr(part, ragged), dtype=kind) for part in parts]
            if ragged in OPTIONAL and not any(map(len, blocks)):
                continue
            arrays[f"{group}.{ragged}"] = np.concatenate([np.zeros(0, kind), *(block.ravel() for block in blocks)])
            arrays[f"{group}.{ragged}.shape"] = np.array([block.shape for block in blocks]).reshape(len(parts), 2)
    for group in mujoco_archive.WITH_CONTACT:
        arrays |= mujoco_archive.contact_arrays(group, [part.contact for part in getattr(model, group)])
    arrays |= mujoco_archive.arrays(model.mujoco)
    arrays |= visual_archive.arrays(model.visuals)
    arrays |= {name: _strings(getattr(model, name)) for name in SENTENCES if getattr(model, name)}
    arrays["excluded"] = np.array(sorted(model.excluded), dtype=np.int64).reshape(-1, 2)
    arrays["aliases.name"] = _strings(list(model.aliases))
    arrays["aliases.link"] = np.array([link for link, _, _ in model.aliases.values()], dtype=np.int64)
    poses = [[*pos, *quat] for _, pos, quat in model.aliases.values()]
    arrays["aliases.pose"] = np.array(poses, dtype=np.float64).reshape(-1, 7)
    return arrays


def _fields(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    fields: dict[str, Any] = {name: arrays[name] for name in ("parent", *validation.REAL_ARRAYS)}
    fields["name"] = str(arrays["name"])
    fields["link_names"] = tuple(arrays["link_names"].tolist())
    for group, (kind, names) in PARTS.items():
        columns = {name: [_plain(value) for value in arrays[f"{group}.{name}"].tolist()] for name in names}
        for ragged in RAGGED.get(group, {}):
            if f"{group}.{ragged}" not in arrays:
                continue
            shapes = arrays[f"{group}.{ragged}.shape"].astype(int).reshape(-1, 2)
            ends = np.cumsum(shapes.prod(axis=1), dtype=int)
            blocks = np.split(arrays[f"{group}.{ragged}"], ends[:-1]) if len(shapes) else []
            columns[ragged] = [block.reshape(shape) for block, shape in zip(blocks, shapes, strict=True)]
        if group in mujoco_archive.WITH_CONTACT:
            columns["contact"] = mujoco_archive.contacts(group, arrays)
        rows = zip(*columns.values(), strict=True)
        fields[group] = tuple(kind(**dict(zip(columns, row, strict=True))) for row in rows)
    fields["mujoco"] = mujoco_archive.record(arrays)
    fields["visuals"] = visual_archive.visuals(arrays)
    fields |= {name: tuple(arrays[name].tolist()) for name in SENTENCES if name in arrays}
    fields["excluded"] = frozenset((int(a), int(b)) for a, b in arrays["excluded"])
    fields["aliases"] = {
        name: (link, tuple(pose[:3]), tuple(pose[3:]))
        for name, link, pose in zip(
            arrays["aliases.name"].tolist(),
            arrays["aliases.link"].tolist(),
            arrays["aliases.pose"].tolist(),
            strict=True,
        )
    }
    return fields


def _strings(values: Sequence[str]) -> np.ndarray:
    for value in values:
        if not isinstance(value, str):
            raise GenesisTypeError(f"names must be strings, got {type(value).__name__}. Pass str.")
    return np.array(list(values), dtype=np.str_)


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
