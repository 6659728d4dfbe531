"""Shares the generator of random robots with the loaders' tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "loaders"))
