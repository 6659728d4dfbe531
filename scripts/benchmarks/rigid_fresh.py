"""What only a fresh process tells of rigid scenes: the first gradient, what is compiled anew, a window's memory.

Each part runs in a process of its own (this module, run with the part's name), which prints JSON. Linux only: memory
comes from /proc.
"""

import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

from scripts.benchmarks.memory import resident_mb

OTHERS = (
    ("n_envs 64 -> 8", {"n_envs": 8}),
    ("substeps 16 -> 8", {"substeps": 8}),
    ("dt 1/60 -> 1/120 s", {"dt": 1.0 / 120.0}),
    ("robot ant -> hopper", {"robot": "hopper"}),
    ("robot ant -> humanoid", {"robot": "humanoid"}),
)
"""Second scenes: what differs from the first, which has 64 ants."""


def first_gradient() -> dict[str, Any]:
    """Times since 1970 of: imports done, a scene of 64 ants built, the gradient of one step there."""
    times = {"imported": _start()}
    rig = _ants()
    times["built"] = time.time()
    rig.window(1)
    times["first_gradient"] = time.time()
    return times


def other_scenes() -> dict[str, Any]:
    """Seconds to build another scene after a first one and of its first step with gradient; and of its second step."""
    _start()
    _ants().window(1)
    rows = []
    for what, change in OTHERS:
        begin = time.perf_counter()
        rig = _ants(**change)
        rig.window(1)
        rows.append({"what": what, "first_seconds": time.perf_counter() - begin, "second_seconds": rig.window(1)})
    return {"rows": rows}


def memory(steps: int) -> dict[str, float]:
    """MB of this process: after a first gradient of one step (twice, so that nothing is new), then at most.

    Memory that was freed is given back to the system before the window, so that the window cannot hide in it.
    """
    _start()
    rig = _ants()
    built = resident_mb()
    rig.window(1)
    rig.window(1)
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # VmHWM counts from here
    before = resident_mb()
    rig.window(steps)
    peak = resident_mb("VmHWM")
    return {"built_mb": built, "before_mb": before, "peak_mb": peak, "added_mb": peak - before, "steps": steps}


def _start() -> float:
    import genesis as gs
    from scripts.benchmarks import rigid_cases  # noqa: F401

    now = time.time()
    gs.init(backend=gs.cpu, precision="32", seed=0, logging_level="error")
    return now


def _ants(**change: Any) -> Any:
    from scripts.benchmarks.rigid_cases import Rig

    return Rig(**{"robot": "ant", "n_envs": 64, "substeps": 16, "requires_grad": True, **change})


if __name__ == "__main__":
    part = {"first-gradient": first_gradient, "other-scenes": other_scenes, "memory": memory}[sys.argv[1]]
    print(json.dumps(part(*map(int, sys.argv[2:]))))
