"""Reads glTF files, as little as the tests of exports need, by the specification's words and without our writer."""

import base64
import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np


@dataclass
class Thing:
    """A node with triangles, in the world: z up, m."""

    vertices: np.ndarray
    normals: np.ndarray
    faces: np.ndarray
    color: list[float]
    mesh: int


class File:
    """Nodes by their path: names joined by "/", without the root's."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        if data[:4] == b"glTF":
            version, length = struct.unpack("<II", data[4:12])
            assert version == 2 and length == len(data)
            chunks, at = {}, 12
            while at < length:
                size, kind = struct.unpack("<I4s", data[at : at + 8])
                assert size % 4 == 0
                chunks[kind] = data[at + 8 : at + 8 + size]
                at += 8 + size
            self.json, self.buffer = json.loads(chunks[b"JSON"]), chunks.get(b"BIN\0", b"")
        else:
            self.json = json.loads(data)
            self.buffer = base64.b64decode(self.json["buffers"][0]["uri"].split(",")[1])
        assert self.json["buffers"][0]["byteLength"] == len(self.buffer)
        self.poses: dict[str, np.ndarray] = {}
        self.things: dict[str, Thing] = {}
        self.camera = np.eye(4)
        (root,) = self.json["scenes"][0]["nodes"]
        # The format's y points up and its z to the viewer; back to z up.
        self._visit(root, np.array([[1, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]]), [])

    def _visit(self, index, above, names):
        node = self.json["nodes"][index]
        pose = above @ matrix_of(node)
        path = "/".join(names)
        self.poses[path] = pose
        if "camera" in node:
            self.camera = pose
        if "mesh" in node:
            (part,) = self.json["meshes"][node["mesh"]]["primitives"]
            local, normals = (self._values(part["attributes"][name]) for name in ("POSITION", "NORMAL"))
            entry = self.json["accessors"][part["attributes"]["POSITION"]]
            np.testing.assert_array_equal((entry["min"], entry["max"]), (local.min(0), local.max(0)))
            vertices, turned = local @ pose[:3, :3].T + pose[:3, 3], normals @ pose[:3, :3].T
            faces = self._values(part["indices"]).reshape(-1, 3)
            color = self.json["materials"][part["material"]]["pbrMetallicRoughness"]["baseColorFactor"]
            self.things[path] = Thing(vertices, turned, faces, color, node["mesh"])
        for child in node.get("children", []):
            self._visit(child, pose, [*names, self.json["nodes"][child]["name"]])

    def _values(self, index):
        entry = self.json["accessors"][index]
        view = self.json["bufferViews"][entry["bufferView"]]
        raw = self.buffer[view["byteOffset"] : view["byteOffset"] + view["byteLength"]]
        values = np.frombuffer(raw, {5126: "<f4", 5125: "<u4"}[entry["componentType"]])
        values = values.reshape(entry["count"], {"VEC3": 3, "SCALAR": 1}[entry["type"]])
        return values.astype(np.float64) if entry["type"] == "VEC3" else values.ravel().astype(np.int64)


def matrix_of(node):
    if "matrix" in node:
        return np.array(node["matrix"]).reshape(4, 4).T
    whole = np.eye(4)
    x, y, z, w = node.get("rotation", (0, 0, 0, 1))
    whole[:3, :3] = turn_of((w, x, y, z))
    whole[:3, 3] = node.get("translation", (0, 0, 0))
    return whole


def turn_of(quat):
    """Rotation matrix of w, x, y, z."""
    w, x, y, z = quat
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def extent_of(kind, size, turn, corners):
    """Half the edges (3,) of the box along the world's axes that a turned shape fills, in closed form."""
    a, b, _c = size
    axis = turn[:, 2]
    return {
        "sphere": lambda: np.full(3, a),
        "capsule": lambda: np.abs(axis) * b + a,
        "cylinder": lambda: np.abs(axis) * b + a * np.sqrt(np.clip(1 - axis**2, 0, None)),
        "box": lambda: np.abs(turn) @ np.array(size),
        "ellipsoid": lambda: np.sqrt(turn**2 @ np.array(size) ** 2),
        "hull": lambda: np.ptp(corners @ turn.T, axis=0) / 2,
    }[kind]()
