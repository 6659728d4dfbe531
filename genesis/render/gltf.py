"""glTF 2.0, the format that Blender and browsers open: a tree of named nodes as a .glb or .gltf file.

VTK has a writer too, which writes no .glb, no tree and every shape anew. Source: Khronos Group, glTF 2.0 specification.
"""

import base64
import json
import math
import struct
from typing import Any

import numpy as np

from genesis.render import colors, meshes
from genesis.render.model import Node
from genesis.render.picture import Pose

FLOAT, UNSIGNED = 5126, 5125
VERTICES, INDICES = 34962, 34963
Y_UP = [-math.sqrt(0.5), 0.0, 0.0, math.sqrt(0.5)]
"""Turns z up into y up, x, y, z, w."""
ROUGHNESS = 0.6


def document(root: Node, view: Pose, fov: float, aspect: float, binary: bool) -> bytes:
    """The bytes of a file.

    Args:
        root: What there is.
        view: Of the camera that is in the file.
        fov: Its vertical opening angle, degrees.
        aspect: Width of its picture in heights.
        binary: .glb; else .gltf, with everything in one text.
    """
    body = _Body()
    first = body.node(root)
    body.nodes[first]["rotation"] = Y_UP
    across = np.stack([view.right, view.up, -view.forward, view.pos])
    matrix = np.concatenate([across, [[0.0], [0.0], [0.0], [1.0]]], 1)
    body.nodes.append({"name": "camera", "camera": 0, "matrix": matrix.ravel().tolist()})
    body.nodes[first].setdefault("children", []).append(len(body.nodes) - 1)
    lens = {
        "yfov": math.radians(fov),
        "aspectRatio": aspect,
        "znear": 0.01 * view.distance,
        "zfar": 100.0 * view.distance,
    }
    content: dict[str, Any] = {
        "asset": {"version": "2.0", "generator": "genesis-policy"},
        "scene": 0,
        "scenes": [{"nodes": [first]}],
        "nodes": body.nodes,
        "cameras": [{"type": "perspective", "perspective": lens}],
    }
    if body.meshes:
        content |= {"meshes": body.meshes, "materials": body.materials, "accessors": body.accessors}
        content |= {"bufferViews": body.views, "buffers": [{"byteLength": len(body.data)}]}
    if not binary:
        if body.meshes:
            text = base64.b64encode(body.data).decode()
            content["buffers"][0]["uri"] = f"data:application/octet-stream;base64,{text}"
        return json.dumps(content, allow_nan=False).encode()
    text = json.dumps(content, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if body.meshes:
        chunks += struct.pack("<I4s", len(body.data), b"BIN\0") + bytes(body.data)
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


class _Body:
    """The lists of a file. All numbers have four bytes, so everything is aligned."""

    def __init__(self) -> None:
        self.nodes: list[dict[str, Any]] = []
        self.meshes: list[dict[str, Any]] = []
        self.materials: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.data = bytearray()
        self._triangles: dict[int, dict[str, Any]] = {}
        self._made: dict[tuple[int, colors.Rgb], int] = {}
        self._painted: dict[colors.Rgb, int] = {}

    def node(self, node: Node) -> int:
        """Adds a node and those below it; returns its index."""
        index = len(self.nodes)
        w, x, y, z = (node.quat / np.linalg.norm(node.quat)).tolist()
        entry: dict[str, Any] = {"name": node.name, "translation": node.pos.tolist(), "rotation": [x, y, z, w]}
        self.nodes.append(entry)
        if node.mesh is not None:
            entry["mesh"] = self._mesh(node.mesh, node.tint, node.name)
        if node.children:
            entry["children"] = [self.node(child) for child in node.children]
        return index

    def _mesh(self, mesh: meshes.Mesh, tint: colors.Rgb, name: str) -> int:
        if (id(mesh), tint) not in self._made:
            if id(mesh) not in self._triangles:
                vertices, normals, faces = mesh.with_normals()
                single = vertices.astype("<f4")
                place = self._accessor(single, "VEC3", FLOAT, VERTICES)
                self.accessors[place] |= {"min": single.min(0).tolist(), "max": single.max(0).tolist()}
                self._triangles[id(mesh)] = {
                    "attributes": {
                        "POSITION": place,
                        "NORMAL": self._accessor(normals.astype("<f4"), "VEC3", FLOAT, VERTICES),
                    },
                    "indices": self._accessor(faces.astype("<u4").ravel(), "SCALAR", UNSIGNED, INDICES),
                }
            primitive = {**self._triangles[id(mesh)], "material": self._material(tint)}
            self.meshes.append({"name": name, "primitives": [primitive]})
            self._made[id(mesh), tint] = len(self.meshes) - 1
        return self._made[id(mesh), tint]

    def _material(self, tint: colors.Rgb) -> int:
        if tint not in self._painted:
            red, green, blue = colors.as_bytes(tint)
            surface = {
                "baseColorFactor": [*colors.linear(tint), 1.0],
                "metallicFactor": 0.0,
                "roughnessFactor": ROUGHNESS,
            }
            name = f"#{red:02x}{green:02x}{blue:02x}"
            self.materials.append({"name": name, "pbrMetallicRoughness": surface})
            self._painted[tint] = len(self.materials) - 1
        return self._painted[tint]

    def _accessor(self, values: np.ndarray, kind: str, component: int, target: int) -> int:
        view = {"buffer": 0, "byteOffset": len(self.data), "byteLength": values.nbytes, "target": target}
        self.data += values.tobytes()
        self.views.append(view)
        entry = {"bufferView": len(self.views) - 1, "componentType": component, "count": len(values), "type": kind}
        self.accessors.append(entry)
        return len(self.accessors) - 1
