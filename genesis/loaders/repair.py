"""What MuJoCo's compiler refuses and other programs take: bodies without mass, inertias that no body has, Collada."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from genesis.errors import GenesisValueError
from genesis.loaders import collada
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
MINIMUM = 1e-15
"""Masses and moments below it MuJoCo takes for none."""
KNOWN = (".stl", ".obj", ".msh")
"""Meshes that MuJoCo reads."""

OPEN = ("volume is too small", "misoriented", "mesh inertia")
"""Words of MuJoCo's errors about meshes that enclose no volume."""
OF_INERTIA = (
    "Correct it, or load with repair=True, which takes the nearest inertia that a body can have, or, for the mean of its "
    'moments, write <compiler balanceinertia="true"/> into its element <mujoco>'
)
OF_MESH = "Mend the mesh, or load with repair=True, which takes the inertia of its surface"
REMEDIES = {
    "violate A + B": OF_MESH,
    "A + B >= C": OF_INERTIA,
    "mass and inertia": "Give it an <inertial>, or load with repair=True, which gives it 1 g",
    "in fullinertia": OF_INERTIA,
    "no decoder found": "Convert it to STL or OBJ, or, of a Collada file, load with repair=True",
    **dict.fromkeys(OPEN, OF_MESH),
}
"""What to do about an error of MuJoCo's compiler that has these words."""


def remedy(text: str) -> str:
    return next((f"{each}." for words, each in REMEDIES.items() if words in text), "Correct it.")


def physical(moments: np.ndarray) -> np.ndarray:
    """The nearest moments (3,) of inertia that a body can have, in their order: positive, and none larger than the
    others together. Those that a body can have stay as they are."""
    greatest = moments.max()
    mended = np.maximum(moments, LEAST_PART * greatest)
    excess = 2 * mended.max() - mended.sum()
    if excess > 0:
        largest = np.arange(3) == mended.argmax()
        mended = mended + np.where(largest, -excess / 3, excess / 3 + SLACK * greatest)
    return mended


def is_physical(moments: np.ndarray) -> bool:
    return bool(moments.min() > 0 and 2 * moments.max() <= moments.sum() * (1 - ROUNDING))


def repair_tensor(tensor: np.ndarray) -> np.ndarray | None:
    """The nearest inertia (3, 3) that a body can have; None if it is one, or none at all."""
    moments, axes = np.linalg.eigh(tensor)
    if moments.max() < MINIMUM or is_physical(moments):
        return None
    return axes @ np.diag(physical(moments)) @ axes.T


def repair_urdf(root: ElementTree.Element, fixed: bool) -> list[str]:
    """Mends inertias, and gives those links a mass that move and have none; the base moves unless `fixed`."""
    repairs = []
    links = {str(link.get("name")): link for link in root.iterfind("link")}
    for name, link in links.items():
        inertia = link.find("inertial/inertia")
        if inertia is None:
            continue
        tensor = _tensor(inertia)
        better = None if tensor is None else repair_tensor(tensor)
        if better is not None:
            _write_tensor(inertia, better)
            repairs.append(f"inertia: that of link {name!r} is now the nearest that a body can have")
    welded: dict[str, list[str]] = {name: [] for name in links}
    moved: list[str] = []
    for joint in root.iterfind("joint"):
        parent, child = joint.find("parent"), joint.find("child")
        if parent is None or child is None:
            continue
        if joint.get("type") == "fixed":
            welded.setdefault(str(parent.get("link")), []).append(str(child.get("link")))
        else:
            moved.append(str(child.get("link")))

    def has_mass(name: str) -> bool:
        link = links.get(name)
        whole = link is not None and _has_mass(link)
        return whole or any(has_mass(other) for other in welded.get(name, ()))

    children = {str(child.get("link")) for child in root.iterfind("joint/child")}
    roots = [name for name in links if name not in children and name != "world" and not fixed]
    for name in (*roots, *moved):
        if name in links and not has_mass(name):
            repairs.append(f"mass: link {name!r} has {_give_mass(links[name])}")
    return repairs


def _tensor(element: ElementTree.Element) -> np.ndarray | None:
    try:
        xx, yy, zz, xy, xz, yz = (float(element.get(f"i{pair}", "0")) for pair in ("xx", "yy", "zz", "xy", "xz", "yz"))
    except ValueError:
        return None
    tensor = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
    return tensor if np.isfinite(tensor).all() else None


def _write_tensor(element: ElementTree.Element, tensor: np.ndarray) -> None:
    for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)):
        element.set(f"i{'xyz'[i]}{'xyz'[j]}", repr(float(tensor[i, j])))


def _mass(link: ElementTree.Element) -> float:
    mass = link.find("inertial/mass")
    try:
        return 0.0 if mass is None else float(mass.get("value", "0"))
    except ValueError:
        return 0.0


def _has_mass(link: ElementTree.Element) -> bool:
    """Whether MuJoCo takes it for a body with mass and inertia; without <inertial> it has those of its shapes."""
    if link.find("inertial") is None:
        return link.find("collision") is not None
    inertia = link.find("inertial/inertia")
    tensor = None if inertia is None else _tensor(inertia)
    return _mass(link) > MINIMUM and tensor is not None and bool(np.linalg.eigvalsh(tensor).max() > MINIMUM)


def _give_mass(link: ElementTree.Element) -> str:
    """A mass, if it has none, and a round inertia. Returns what it has now."""
    inertial = link.find("inertial")
    if inertial is None:
        inertial = ElementTree.SubElement(link, "inertial")
    weight = max(_mass(link), LEAST_MASS)
    for tag in ("mass", "inertia"):
        old = inertial.find(tag)
        if old is not None:
            inertial.remove(old)
    ElementTree.SubElement(inertial, "mass").set("value", repr(weight))
    moment = weight * LEAST_RADIUS**2
    _write_tensor(ElementTree.SubElement(inertial, "inertia"), moment * np.eye(3))
    return f"{weight:g} kg and {moment:.1e} kg m^2 now"


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


def repair_mesh(mesh: Any, path: Path) -> list[str]:
    """Gives a mesh of MuJoCo's specification the points of a Collada file, whose convex hull touches.

    Raises:
        GenesisValueError: It is no such file.
    """
    if path.suffix.lower() in KNOWN:
        return []
    if path.suffix.lower() != ".dae":
        raise GenesisValueError(f"mesh {str(path)!r} must be STL, OBJ or Collada, got {path.suffix}. Convert it.")
    mesh.file = ""
    mesh.uservert = collada.points(path).ravel().astype(np.float32)
    return [f"mesh: of the Collada file {path.name!r} the convex hull of its points is taken"]


def compiled(spec: Any, repairs: list[str] | None) -> Any:
    """MuJoCo's compiled model. With `repairs` meshes that enclose no volume get the inertia of their surface.

    Raises:
        ValueError: As MuJoCo's compiler.
    """
    while True:
        try:
            return spec.compile()
        except ValueError as error:
            shell = mujoco().mjtMeshInertia.mjMESH_INERTIA_SHELL
            bad = [mesh for mesh in spec.meshes if mesh.name and mesh.name in str(error) and mesh.inertia != shell]
            if repairs is None or not bad or not any(words in str(error) for words in OPEN):
                raise
            worst = max(bad, key=lambda mesh: len(mesh.name))
            worst.inertia = shell
            repairs.append(
                f"mesh: {worst.name!r} encloses no volume, and has the inertia of its surface where it gives one"
            )
