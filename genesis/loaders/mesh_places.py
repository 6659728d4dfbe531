"""Where the meshes of a URDF file are looked for."""

from pathlib import Path


def existing_mesh(name: str, file: Path, folder: str) -> Path | None:
    """The mesh that a file means by a name."""
    return next((place.absolute() for place in mesh_places(name, file, folder) if place.is_file()), None)


def mesh_places(name: str, file: Path, folder: str) -> list[Path]:
    """Where it is looked for; `folder` is that of meshes, as the file says."""
    relative = name.removeprefix("file://")
    places = [file.parent / folder / relative, file.parent / relative, file.parent / folder / Path(relative).name]
    if name.startswith("package://"):
        inside = Path(name.removeprefix("package://"))
        without_package = Path(*inside.parts[1:])
        places = [above / part for above in file.parents for part in (inside, without_package)] + places[-1:]
    return places
