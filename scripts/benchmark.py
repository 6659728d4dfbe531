"""Benchmarks: `python -m scripts.benchmark mpm|rigid|border|startup|memory|closed-loop|render|training|steps|mujoco
|files|hold [--json PATH]`.

They print a table and what machine it came from; `--json` writes the same as JSON. Ratios inside one run are worth more
than figures of different runs, so another engine is run here too when its Python is named (`--peer-python`).
"""

import sys
from typing import Annotated

import tyro

from scripts import common
from scripts.benchmarks.border import Border
from scripts.benchmarks.closed_loop import ClosedLoop
from scripts.benchmarks.files import Files
from scripts.benchmarks.hold import Hold
from scripts.benchmarks.memory import Memory
from scripts.benchmarks.mpm import Mpm
from scripts.benchmarks.mujoco_model import Mujoco
from scripts.benchmarks.render import Render
from scripts.benchmarks.rigid import Rigid
from scripts.benchmarks.startup import Startup
from scripts.benchmarks.steps import Steps
from scripts.benchmarks.training import Training

Benchmark = (
    Annotated[Mpm, tyro.conf.subcommand("mpm")]
    | Annotated[Rigid, tyro.conf.subcommand("rigid")]
    | Annotated[Border, tyro.conf.subcommand("border")]
    | Annotated[Startup, tyro.conf.subcommand("startup")]
    | Annotated[Memory, tyro.conf.subcommand("memory")]
    | Annotated[ClosedLoop, tyro.conf.subcommand("closed-loop")]
    | Annotated[Render, tyro.conf.subcommand("render")]
    | Annotated[Training, tyro.conf.subcommand("training")]
    | Annotated[Steps, tyro.conf.subcommand("steps")]
    | Annotated[Mujoco, tyro.conf.subcommand("mujoco")]
    | Annotated[Files, tyro.conf.subcommand("files")]
    | Annotated[Hold, tyro.conf.subcommand("hold")]
)


def main(args: list[str] | None = None) -> int:
    """Run the benchmark that the command line names."""

    def command() -> int:
        tyro.cli(Benchmark, args=args, prog=common.program(), description=__doc__).run()  # type: ignore[call-overload]
        return 0

    return common.run(command)


if __name__ == "__main__":
    sys.exit(main())
