"""The program that draws an export's picture, in a process of its own: it needs numpy and pyvista, nothing of ours.

A picture is the sum of many, each with one light: the sun from all over its disc, the sky from all over, and from below
what the floor throws up. VTK draws the surfaces, physically based; what a light does not reach is looked up in a
picture of depths from there. So shadows are soft, and what lies in corners is dark. Towards its rim the floor turns
into the sky.
"""
# pyright: reportMissingImports=false

import math
import sys
from typing import Any

import numpy as np
import pyvista
from vtkmodules.util.numpy_support import vtk_to_numpy
from vtkmodules.vtkCommonCore import vtkFloatArray
from vtkmodules.vtkIOImage import vtkPNGWriter

SUN = np.array([-0.46, -0.44, 0.77]) / math.sqrt(0.46**2 + 0.44**2 + 0.77**2)
"""Direction to the sun, as in the renderer's own pictures."""
SUN_DISC = 0.05
"""Its radius, rad: larger than in nature, for shadows that are soft at the scale of a robot."""
SUN_LIGHT, SKY_LIGHT, HORIZON_LIGHT, FLOOR_LIGHT = (
    np.array([1.00, 0.95, 0.86]) * 0.95,
    np.array([0.60, 0.74, 1.00]) * 0.50,
    np.array([0.92, 0.96, 1.00]) * 0.50,
    np.array([1.00, 0.97, 0.93]) * 0.28,
)
"""Linear light: what a white surface sends out that faces the sun, or that sees nothing else than one of the others."""
BACKDROP = np.array([0.80, 0.87, 0.93])
"""Linear light of the sky where it is seen."""
SUN_LOOKS, SKY_LOOKS = 20, 60
SHADOW_PIXELS = 512
BIAS = 2.5
"""How much farther than what the light sees something must be to lie in shadow, in pixels of that picture."""
FADE = (1.3, 2.9)
"""From where to where the floor turns into the sky, in distances of the camera from what it looks at, from there."""
GAMMA = 2.2
"""VTK's own."""


def lights() -> list[tuple[np.ndarray, np.ndarray]]:
    """Directions to lights, and the linear light that a white surface sends out which faces each."""
    found = []
    golden = math.pi * (3.0 - math.sqrt(5.0))
    across = np.cross(SUN, (0.0, 0.0, 1.0))
    across /= np.linalg.norm(across)
    along = np.cross(across, SUN)
    for i in range(SUN_LOOKS):
        r, turn = SUN_DISC * math.sqrt((i + 0.5) / SUN_LOOKS), golden * i
        there = SUN + r * math.cos(turn) * across + r * math.sin(turn) * along
        found.append((there / np.linalg.norm(there), SUN_LIGHT / SUN_LOOKS))
    for i in range(SKY_LOOKS):
        z, turn = 1.0 - 2.0 * (i + 0.5) / SKY_LOOKS, golden * i
        flat = math.sqrt(1.0 - z * z)
        light = HORIZON_LIGHT + (SKY_LIGHT - HORIZON_LIGHT) * z if z > 0 else FLOOR_LIGHT
        found.append((np.array([flat * math.cos(turn), flat * math.sin(turn), z]), light * 4.0 / SKY_LOOKS))
    return found


class Shadow:
    """Which places a distant light reaches past the things on the floor."""

    def __init__(self, things: list[pyvista.PolyData]) -> None:
        self._plotter = window(SHADOW_PIXELS, SHADOW_PIXELS)
        for thing in things:
            self._plotter.add_mesh(thing, color="white", lighting=False, render=False)
        low, high = np.array(self._plotter.bounds).reshape(3, 2).T
        self._middle, self._radius = (low + high) / 2, 1.05 * float(np.linalg.norm(high - low)) / 2
        camera = self._plotter.camera
        camera.parallel_projection, camera.parallel_scale = True, self._radius

    def reached(self, places: np.ndarray, there: np.ndarray) -> np.ndarray:
        """How much of the light reaches places (n, 3), 0 … 1, from the direction `there`."""
        radius, camera = self._radius, self._plotter.camera
        right = np.cross((0.0, 0.0, 1.0) if abs(there[2]) < 0.9 else (1.0, 0.0, 0.0), there)
        right /= np.linalg.norm(right)
        up = np.cross(there, right)
        camera.position, camera.focal_point, camera.up = self._middle + 2 * radius * there, self._middle, up
        camera.clipping_range = (radius, 3 * radius)
        self._plotter.render_window.Render()
        depth = depths(self._plotter)
        seen = np.where(depth < 1.0, radius + 2 * radius * depth, np.inf)
        offset = places - self._middle
        texel = 2 * radius / SHADOW_PIXELS
        x, y = offset @ right / texel + SHADOW_PIXELS / 2 - 0.5, offset @ up / texel + SHADOW_PIXELS / 2 - 0.5
        far = 2 * radius - offset @ there - BIAS * texel
        lit = np.zeros(len(places))
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            column, row = np.floor(x).astype(int) + i, np.floor(y).astype(int) + j
            weight = np.abs(1 - i - (x - np.floor(x))) * np.abs(1 - j - (y - np.floor(y)))
            inside = (column >= 0) & (row >= 0) & (column < SHADOW_PIXELS) & (row < SHADOW_PIXELS)
            there_seen = seen[np.where(inside, row, 0), np.where(inside, column, 0)]
            lit += weight * (~inside | (there_seen >= far))
        return lit


def window(width: int, height: int) -> Any:
    """One sample to a pixel: depths have no means."""
    plotter: Any = pyvista.Plotter(off_screen=True, window_size=[width, height], lighting="none")
    plotter.render_window.SetMultiSamples(0)
    plotter.set_background(color="black")
    return plotter


def depths(plotter: Any) -> np.ndarray:
    """(H, W) of what was drawn last, 0 … 1, the lowest row first; 1 where there is nothing."""
    width, height = plotter.window_size
    values = vtkFloatArray()
    plotter.render_window.GetZbufferData(0, 0, width - 1, height - 1, values)
    return vtk_to_numpy(values).reshape(height, width).astype(np.float64)


def main(scene: str, picture: str, numbers: list[float]) -> None:
    """Draw the blocks of a file.

    Args:
        scene: A .vtm file; blocks have point data "RGB".
        picture: The .png file.
        numbers: Of the camera: place, right, up, forward (3 each), distance of what it looks at, vertical opening
            angle in degrees, width and height in pixels. And how many blocks, the last ones, are grounds, which throw
            no shadow.
    """
    eye, right, up, forward = np.array(numbers[:12]).reshape(4, 3)
    distance, half = numbers[12], math.tan(math.radians(numbers[13]) / 2)
    width, height, n_grounds = (int(number) for number in numbers[14:17])
    middle = eye + distance * forward
    blocks: list[Any] = list(pyvista.read(scene))
    n_things = len(blocks) - n_grounds
    plotter = window(width, height)
    for i, block in enumerate(blocks):
        linear = tuple((block.point_data["RGB"][0] / 255.0) ** GAMMA)
        roughness = 0.5 if i < n_things else 1.0
        plotter.add_mesh(block, color=linear, pbr=True, roughness=roughness, render=False)
    camera = plotter.camera
    camera.position, camera.focal_point, camera.up, camera.view_angle = eye, middle, up, numbers[13]
    near, far = 0.02 * distance, 50.0 * distance
    camera.clipping_range = near, far
    light = pyvista.Light(light_type="scene light")
    plotter.add_light(light)
    shadow = Shadow(blocks[:n_things]) if n_things else None
    u, v = ((np.arange(n) + 0.5) * 2 / n - 1 for n in (width, height))
    shifts, everything = np.random.default_rng(0), lights()
    total = np.zeros((height, width, 3))
    for there, bright in everything:
        shift = (shifts.random(2) - 0.5) * 2 / (width, height)  # less than a pixel, so that outlines become smooth
        camera.SetWindowCenter(*shift)
        light.position, light.focal_point = middle + distance * there, middle
        plotter.render_window.Render()
        lit = (plotter.screenshot(None, return_img=True)[::-1, :, :3] / 255.0) ** GAMMA * math.pi * bright
        depth = near * far / (far - depths(plotter) * (far - near))
        across, along = half * width / height * (u + shift[0]), half * (v + shift[1])
        rays = forward + across[None, :, None] * right + along[:, None, None] * up
        place = eye + depth[..., None] * rays
        if shadow is not None:
            lit *= shadow.reached(place.reshape(-1, 3), there).reshape(height, width, 1)
        rim = np.linalg.norm((place - middle)[..., :2], axis=-1) / distance
        rim = np.clip((rim - FADE[0]) / (FADE[1] - FADE[0]), 0.0, 1.0)
        seen = (1.0 - rim * rim * (3.0 - 2.0 * rim))[..., None]
        # Each look has the share of the sky that it has of white light.
        total += seen * lit + (1.0 - seen) * BACKDROP / len(everything)
    pixels = np.round(255.0 * np.clip(total, 0.0, 1.0) ** (1 / GAMMA)).astype(np.uint8)
    image = pyvista.ImageData(dimensions=(width, height, 1))
    image.point_data["rgb"] = pixels.reshape(-1, 3)
    writer = vtkPNGWriter()
    writer.SetInputData(image)
    writer.WriteToMemoryOn()  # a full disk is Python's to tell
    writer.Write()
    with open(picture, "wb") as file:
        file.write(vtk_to_numpy(writer.GetResult()).tobytes())


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], [float(number) for number in sys.argv[3:]])
