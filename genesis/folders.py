"""Where this package keeps what it can make again."""

import os
import sys
from pathlib import Path


def cache_folder(name: str) -> Path:
    """A folder of this package in the cache folder of the user and platform; it may not exist yet."""
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path.home() / ".cache"
    given = os.environ.get("XDG_CACHE_HOME")
    return (Path(given) if given else base) / "genesis-policy" / name
