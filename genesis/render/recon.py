"""The smooth closed surface of a body of particles, by VTK: the extra `pyvista`."""
# pyright: reportMissingImports=false

import math
from types import ModuleType

import numpy as np

from genesis.errors import optional_import
from genesis.render.meshes import Mesh

SPREAD = 0.7
"""Width of the Gaussian that a particle is spread over, in edges of a cube of its volume: less shows single particles
of a regular lattice, more rounds edges off."""
CELL = 0.4
"""Spacing of the grid on which the surface is sought, in the same edges."""
DROP = 0.5
"""Radius of a particle without neighbours, in the same edges."""
MAX_POINTS = 3e7
"""Of the grid; of a body that fills more, a coarser one is taken."""
CUT = math.sqrt(10.0)
"""Where a Gaussian is cut off, in widths."""


def library(purpose: str) -> ModuleType:
    """pyvista.

    Raises:
        GenesisImportError: The extra `pyvista` is not installed.
    """
    with optional_import("pyvista", "pyvista", purpose):
        import pyvista
    return pyvista


def surface(points: np.ndarray, volume: float) -> Mesh:
    """Where half of the space is filled by particles that are spread smoothly; single ones become small balls.

    The surface of a flat face lies where the face is. Edges are rounded at the scale of particles.

    Args:
        points: (n, 3) m, finite.
        volume: Of each particle, m^3.
    """
    library("to make a smooth surface of particles")
    from vtkmodules.util.numpy_support import numpy_to_vtk, vtk_to_numpy
    from vtkmodules.vtkCommonCore import vtkPoints
    from vtkmodules.vtkCommonDataModel import vtkImageData, vtkPolyData
    from vtkmodules.vtkFiltersCore import vtkFlyingEdges3D, vtkPolyDataConnectivityFilter
    from vtkmodules.vtkImagingHybrid import vtkGaussianSplatter

    edge = volume ** (1 / 3)
    low, high = points.min(0), points.max(0)
    cell = CELL * edge
    while np.prod((high - low + 2 * CUT * cell * SPREAD / CELL) / cell + 2) > MAX_POINTS:
        cell *= 1.25
    width = SPREAD / CELL * cell
    margin = CUT * width + cell
    size = np.ceil((high - low + 2 * margin) / cell).astype(int) + 1
    origin = low - margin
    end = origin + cell * (size - 1)
    places = vtkPoints()
    places.SetData(numpy_to_vtk(np.ascontiguousarray(points), deep=True))
    particles = vtkPolyData()
    particles.SetPoints(places)

    def field(mode: str, scale: float) -> np.ndarray:
        splatter = vtkGaussianSplatter()
        splatter.SetInputData(particles)
        splatter.SetSampleDimensions(*size.tolist())
        splatter.SetModelBounds(*np.stack([origin, end], 1).ravel().tolist())
        splatter.SetRadius(CUT * width / float((end - origin).max()))
        splatter.SetExponentFactor(-0.5 * CUT**2)
        splatter.SetScaleFactor(scale)
        splatter.ScalarWarpingOff()
        splatter.NormalWarpingOff()
        splatter.CappingOff()
        getattr(splatter, f"SetAccumulationModeTo{mode}")()
        splatter.Update()
        return vtk_to_numpy(splatter.GetOutput().GetPointData().GetScalars())

    filled = field("Sum", volume / _mass(width))
    nearest = field("Max", 1.0)
    distance = width * np.sqrt(-2.0 * np.log(np.clip(nearest, 1e-3, 1.0)))
    inside = np.maximum(filled - 0.5, DROP - distance / edge)
    grid = vtkImageData()
    grid.SetDimensions(*size.tolist())
    grid.SetOrigin(*origin.tolist())
    grid.SetSpacing(cell, cell, cell)
    grid.GetPointData().SetScalars(numpy_to_vtk(inside, deep=True))
    contour = vtkFlyingEdges3D()
    contour.SetInputData(grid)
    contour.SetValue(0, 0.0)
    contour.ComputeNormalsOff()
    contour.ComputeScalarsOff()
    parts = vtkPolyDataConnectivityFilter()
    parts.SetInputConnection(contour.GetOutputPort())
    parts.SetExtractionModeToAllRegions()
    parts.ColorRegionsOn()
    parts.Update()
    found = parts.GetOutput()
    vertices = vtk_to_numpy(found.GetPoints().GetData()).astype(np.float64)
    faces = vtk_to_numpy(found.GetPolys().GetConnectivityArray()).reshape(-1, 3).astype(np.int64)
    return _without_hollows(vertices, faces, vtk_to_numpy(found.GetPointData().GetArray("RegionId")))


def _without_hollows(vertices: np.ndarray, faces: np.ndarray, part: np.ndarray) -> Mesh:
    """Without the parts of the surface that nobody sees: walls of hollows, which enclose less than nothing."""
    a, b, c = (vertices[faces[:, k]] for k in range(3))
    enclosed = np.bincount(part[faces[:, 0]], (a * np.cross(b, c)).sum(1))
    kept = faces[enclosed[part[faces[:, 0]]] > 0]
    used, kept = np.unique(kept, return_inverse=True)
    return Mesh(vertices[used], kept.reshape(-1, 3), False)


def _mass(width: float) -> float:
    """Integral of a Gaussian of height 1 out to where it is cut off, m^3."""
    inside = math.erf(CUT / math.sqrt(2)) - math.sqrt(2 / math.pi) * CUT * math.exp(-0.5 * CUT**2)
    return (math.sqrt(2 * math.pi) * width) ** 3 * inside
