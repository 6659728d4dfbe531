"""What other programs open: a scene at one moment as a .glb, .gltf, .vtm or .vtp file, or as VTK's picture (.png)."""
# pyright: reportMissingImports=false

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np

from genesis.errors import GenesisRuntimeError, GenesisValueError
from genesis.render import colors, gltf
from genesis.render.files import check_target, disk, whole
from genesis.render.model import Node, placed
from genesis.render.picture import Pose
from genesis.render.recon import library

GLTF, VTK = (".glb", ".gltf"), (".vtm", ".vtp")
ENDINGS = (*GLTF, *VTK, ".png")
RENDER_PROCESS = Path(__file__).with_name("render_process.py")
INDEX = """<?xml version="1.0"?>
<VTKFile type="vtkMultiBlockDataSet" version="1.0">
<vtkMultiBlockDataSet>
{}
</vtkMultiBlockDataSet>
</VTKFile>
"""
PURPOSES = {".vtm": "to write VTK files", ".vtp": "to write VTK files", ".png": "to draw pictures with VTK"}


def check(path: str | os.PathLike[str], smooth: bool = False) -> Path:
    """The path, if a scene, with smooth bodies of particles or without, can be exported to it.

    Raises:
        GenesisValueError: Another ending, or a folder that does not exist.
        GenesisImportError: The format or a smooth body needs the extra `pyvista`, which is not installed.
    """
    target = check_target("an export", path, ENDINGS)
    ending = target.suffix.lower()
    if ending in PURPOSES:
        library(PURPOSES[ending])
    if smooth:
        library("to make a smooth surface of particles")
    if ending == ".vtm":
        _check_folder(target)
    return target


def write(target: Path, root: Node, view: Pose, fov: float, res: tuple[int, int]) -> None:
    """Write what is seen, whole or not at all.

    Args:
        target: From `check`.
        root: What there is.
        view: Of the camera.
        fov: Its vertical opening angle, degrees.
        res: Width and height of its picture, pixels.

    Raises:
        GenesisRuntimeError: There is nothing to see, the disk is full, or VTK cannot draw on this machine.
    """
    if next(root.leaves(), None) is None:
        raise GenesisRuntimeError("an export must have something to show, got nothing with a place. Reset the scene.")
    ending = target.suffix.lower()
    if ending in GLTF:
        data = gltf.document(root, view, fov, res[0] / res[1], binary=ending == ".glb")
        with whole(target) as partial:
            partial.write_bytes(data)
    elif ending == ".vtp":
        blocks = polygons(root)
        merged = library(PURPOSES[ending]).merge([block for _, block in blocks], merge_points=False)
        merged.field_data["parts"] = [name for name, _ in blocks]
        data = _bytes(merged)
        with whole(target) as partial:
            partial.write_bytes(data)
    elif ending == ".vtm":
        _write_blocks(target, polygons(root))
    else:
        _draw(target, root, view, fov, res)


def polygons(root: Node) -> list[tuple[str, Any]]:
    """Of every node with triangles its name, those above it joined by "/", and a `pyvista.PolyData`.

    World frame, m, z up. Points have normals ("Normals") and colours ("RGB", as displays take them), triangles the
    number of the node ("part").
    """
    pyvista, found = library("to write VTK files"), []
    for above, leaf in root.leaves():
        assert leaf.mesh is not None
        vertices, normals, faces = leaf.mesh.with_normals()
        block = pyvista.PolyData.from_regular_faces(placed(above, leaf, vertices), faces)
        block.point_data["Normals"] = placed(above, leaf, normals, turn_only=True).astype(np.float32)
        block.GetPointData().SetActiveNormals("Normals")
        block.point_data["RGB"] = np.tile(np.array(colors.as_bytes(leaf.tint), np.uint8), (len(vertices), 1))
        block.cell_data["part"] = np.full(len(faces), len(found), np.int32)
        found.append(("/".join([*(node.name for node in above[1:]), leaf.name]), block))
    return found


def _bytes(block: Any) -> bytes:
    """A .vtp file, made in memory: where a disk is full, VTK's writers end the whole process."""
    from vtkmodules.vtkIOXML import vtkXMLPolyDataWriter

    writer = vtkXMLPolyDataWriter()
    writer.SetInputData(block)
    writer.SetDataModeToBinary()
    writer.WriteToOutputStringOn()
    writer.Write()
    return writer.GetOutputString().encode()


def _write_blocks(target: Path, blocks: list[tuple[str, Any]]) -> None:
    """An index, and a folder of the same name with a file for each part: the folder first."""
    folder, lines = target.with_suffix(""), []
    with disk(target), tempfile.TemporaryDirectory(prefix=f".{target.stem}.", dir=target.resolve().parent) as place:
        new, old = Path(place) / "new", Path(place) / "old"
        new.mkdir()
        for i, (name, block) in enumerate(blocks):
            file = f"{target.stem}_{i}.vtp"
            (new / file).write_bytes(_bytes(block))
            lines.append(f"<DataSet index='{i}' name={quoteattr(name)} file={quoteattr(f'{folder.name}/{file}')}/>")
        index = Path(place) / target.name
        index.write_text(INDEX.format("\n".join(lines)), encoding="utf-8")
        if folder.exists():
            folder.replace(old)
        try:
            new.replace(folder)
            index.replace(target)
        except OSError:
            if old.exists():
                shutil.rmtree(folder, ignore_errors=True)
                old.replace(folder)
            raise


def _check_folder(target: Path) -> None:
    """Raises unless the folder that goes with an index is free, or was made with an index of that name."""
    folder = target.with_suffix("")
    mine = folder.is_dir() and all(entry.match(f"{target.stem}_*.vtp") for entry in folder.iterdir())
    if folder.exists() and not mine:
        raise GenesisValueError(
            f"{target} must have the name {folder.name!r} beside it free for a folder of its parts, got something else "
            "there. Choose another name."
        )


def _draw(target: Path, root: Node, view: Pose, fov: float, res: tuple[int, int]) -> None:
    """In a process of its own: where there is no OpenGL, VTK ends the whole process that asks for a picture."""
    with disk(target), tempfile.TemporaryDirectory() as place:
        scene = Path(place) / "scene.vtm"
        _write_blocks(scene, polygons(root))
        with whole(target) as partial:
            n_grounds = sum(len(list(child.leaves())) for child in root.children if child.ground)
            pose = (*view.pos, *view.right, *view.up, *view.forward, view.distance)
            numbers: Sequence[Any] = (*pose, fov, *res, n_grounds)
            program = f"import runpy; runpy.run_path({str(RENDER_PROCESS)!r}, run_name='__main__')"
            command = [sys.executable, "-c", program, str(scene), str(partial), *map(repr, map(float, numbers))]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode == 0 and partial.is_file():
                return
            if "OSError" in done.stderr:
                raise OSError(done.stderr.strip().splitlines()[-1])
            said = f" ({done.stderr.strip().splitlines()[-1]})" if done.returncode > 0 and done.stderr.strip() else ""
            raise GenesisRuntimeError(
                f"VTK must be able to draw on this machine to write {target.name}, got exit status {done.returncode} "
                f"of the process that draws{said}. Install OpenGL that needs no screen: apt-get install libegl1 "
                "libgl1-mesa-dri; or export to .glb and draw it elsewhere. camera.render() needs neither."
            )
