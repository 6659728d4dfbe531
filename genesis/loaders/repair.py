"""What MuJoCo's compiler refuses and other programs take, in its specification: bodies without mass, inertias that no
body has, meshes that enclose nothing. In the text of a URDF file: `urdf_repair.py`."""

from typing import Any

import numpy as np

from genesis.loaders.lazy_import import mujoco

LEAST_MASS = 1e-3
"""kg, given to what moves and has no mass."""
LEAST_RADIUS = 1e-2
"""m, radius of gyration of what has a mass and no inertia."""
LEAST_PART = 1e-6
"""Of the greatest moment of inertia: the least that another one is given."""
SLACK = 1e-9
"""By what part of the greatest one mended moments meet the triangle inequality, for they are rounded."""
ROUNDING = 1e-13
"""Relative, of a sum of moments."""
LEAST_MOMENT = 1e-13
"""kg m^2: MuJoCo takes less for no positive moment."""
MINIMUM = 1e-15
"""Masses and moments below it MuJoCo takes for none."""
OPEN = ("volume is too small", "misoriented", "mesh inertia")
"""Words of MuJoCo's errors about meshes that enclose no volume."""
OF_INERTIA = (
    "Correct it, or load with repair=True, which takes the nearest inertia that a body can have, or, for the mean of "
    'its moments, write <compiler balanceinertia="true"/> into its element <mujoco>'
)
OF_MESH = "Mend the mesh, or load with repair=True, which takes the inertia of its surface"
REMEDIES = {
    "violate A + B": OF_MESH,
    "A + B >= C": OF_INERTIA,
    "mass and inertia": "Give it an <inertial>, or load with repair=True, which gives it 1 g",
    "in fullinertia": OF_INERTIA,
    "no decoder found": "Convert it to STL or OBJ, or load with repair=True, which takes the points of a Collada or "
    "binary glTF file, and leaves out others",
    "coplanar": "Give it a primitive shape, or load with repair=True, which leaves it out",
    **dict.fromkeys(
        ("missing element", "repeated element", "geometry specification", "too much data", "must be positive in geom"),
        "Correct it, or load with repair=True, which takes the first, or leaves out the shape",
    ),
    **dict.fromkeys(OPEN, OF_MESH),
}
"""What to do about an error of MuJoCo's compiler that has these words."""


def remedy(text: str) -> str:
    return next((f"{each}." for words, each in REMEDIES.items() if words in text), "Correct it.")


def physical(moments: np.ndarray) -> np.ndarray:
    """The nearest moments (3,) of inertia that a body can have, in their order: positive, and none larger than the
    others together. Those that a body can have stay as they are."""
    greatest = moments.max()
    mended = np.maximum(moments, max(LEAST_PART * greatest, LEAST_MOMENT))
    excess = 2 * mended.max() - mended.sum()
    if excess > 0:
        largest = np.arange(3) == mended.argmax()
        mended = mended + np.where(largest, -excess / 3, excess / 3 + SLACK * greatest)
    return mended


def is_physical(moments: np.ndarray) -> bool:
    return bool(moments.min() >= LEAST_MOMENT and 2 * moments.max() <= moments.sum() * (1 - ROUNDING))


def repair_tensor(tensor: np.ndarray) -> np.ndarray | None:
    """The nearest inertia (3, 3) that a body can have; None if it is one, or none at all."""
    moments, axes = np.linalg.eigh(tensor)
    if moments.max() < MINIMUM or is_physical(moments):
        return None
    return axes @ np.diag(physical(moments)) @ axes.T


def repair_spec(spec: Any) -> list[str]:
    """The same of MuJoCo's specification."""
    repairs = []
    for body in spec.bodies:
        if not body.explicitinertial or body.name == "world":
            continue
        if np.isfinite(body.fullinertia[0]):
            xx, yy, zz, xy, xz, yz = body.fullinertia
            better = repair_tensor(np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]]))
            if better is not None:
                body.fullinertia = [better[0, 0], better[1, 1], better[2, 2], better[0, 1], better[0, 2], better[1, 2]]
        else:
            moments = np.array(body.inertia)
            better = None if moments.max() < MINIMUM or is_physical(moments) else physical(moments)
            if better is not None:
                body.inertia = better
        if better is not None:
            repairs.append(f"inertia: that of body {body.name!r} is now the nearest that a body can have")
    for body in spec.bodies:
        if body.joints and not _spec_has_mass(body):
            weight = max(float(body.mass), LEAST_MASS)
            moment = weight * LEAST_RADIUS**2
            body.fullinertia = [np.nan, 0.0, 0.0, 0.0, 0.0, 0.0]
            body.explicitinertial, body.mass, body.inertia = True, weight, [moment] * 3
            if not np.isfinite(body.ipos[0]):
                body.ipos, body.iquat = [0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]
            repairs.append(f"mass: body {body.name!r} has {weight:g} kg and {moment:.1e} kg m^2 now")
    return repairs


def _spec_has_mass(body: Any) -> bool:
    if body.explicitinertial:
        full = np.isfinite(body.fullinertia[0])
        moments = np.array(body.fullinertia[:3] if full else body.inertia)
        whole = body.mass > MINIMUM and moments.max() > MINIMUM
    else:
        whole = any(geom.mass > 0 or not np.isfinite(geom.mass) and geom.density > 0 for geom in body.geoms)
    return bool(whole) or any(_spec_has_mass(child) for child in body.bodies if not child.joints)


def compiled(spec: Any, repairs: list[str] | None) -> Any:
    """MuJoCo's compiled model. With `repairs` meshes that enclose no volume get the inertia of their surface, and flat
    ones are left out.

    Raises:
        ValueError: As MuJoCo's compiler.
    """
    while True:
        try:
            return spec.compile()
        except ValueError as error:
            text, shell = str(error), mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL
            named = [mesh for mesh in spec.meshes if mesh.name and mesh.name in text]
            worst = max(named, key=lambda mesh: len(mesh.name), default=None)
            if repairs is None or worst is None:
                raise
            if "coplanar" in text:
                for geom in [geom for geom in spec.geoms if geom.meshname == worst.name]:
                    spec.delete(geom)
                repairs.append(f"mesh: {worst.name!r} is flat and is left out")
                spec.delete(worst)
            elif worst.inertia != shell and any(words in text for words in OPEN):
                worst.inertia = shell
                repairs.append(
                    f"mesh: {worst.name!r} encloses no volume; where it gives an inertia, it is its surface's"
                )
            else:
                raise
