"""Small scenes to look at, and rays computed a second time."""

import math

import numpy as np

import genesis as gs

SIZE = 101  # odd, so that a pixel's middle lies on the axis


def scene_of(*entities, n_envs=1, **options):
    """A built scene of (morph, material, surface or None)."""
    scene = gs.Scene(**options)
    made = [scene.add_entity(morph, material=material, surface=surface) for morph, material, surface in entities]
    scene.build(n_envs=n_envs)
    return scene, *made


def tool(morph, color=None):
    return morph, gs.materials.Tool(), gs.surfaces.Default(color=color)


def plane(color=None, **options):
    return gs.morphs.Plane(**options), gs.materials.Rigid(), gs.surfaces.Default(color=color)


def out_of_sight():
    """A body of which there must be one where there is a ground."""
    return gs.morphs.Sphere(pos=(0, -60, 5), radius=0.1), gs.materials.Rigid(), None


def directions(pos, lookat, fov, size=SIZE):
    """Through the middle of each pixel: (H, W, 3), of length 1 along the optical axis."""
    forward = np.subtract(lookat, pos)
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, (0, 0, 1))
    right /= np.linalg.norm(right)
    up = np.cross(right, forward)
    half = math.tan(math.radians(fov) / 2)
    at = ((np.arange(size) + 0.5) * 2 / size - 1) * half
    return forward + at[None, :, None] * right - at[:, None, None] * up


def distance_outside(kind, size, p):
    """Signed distance of points (..., 3) in the shape's frame; of ellipsoids a function with the same sign."""
    a, b, _c = (*size, 0.0, 0.0)[:3]
    if kind == "sphere":
        return np.linalg.norm(p, axis=-1) - a
    if kind == "box":
        q = np.abs(p) - np.array(size)
        return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
    if kind == "ellipsoid":
        return (np.linalg.norm(p / np.array(size), axis=-1) - 1) * min(size)
    if kind == "capsule":
        q = p.copy()
        q[..., 2] -= np.clip(p[..., 2], -b, b)
        return np.linalg.norm(q, axis=-1) - a
    q = np.stack([np.hypot(p[..., 0], p[..., 1]) - a, np.abs(p[..., 2]) - b], -1)  # a cylinder
    return np.linalg.norm(np.maximum(q, 0), axis=-1) + np.minimum(q.max(-1), 0)
