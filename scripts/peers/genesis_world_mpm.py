"""The MPM benchmark's cases in genesis-world, run by the Python of an environment that has it.

    PEER/bin/python scripts/peers/genesis_world_mpm.py --envs 16 --steps 4 --repetitions 3

One case per process, because genesis-world compiles for one scene's shapes. The last line of the output is JSON.
Both packages are imported as `genesis`: never install genesis-world into this project's environment.
"""

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version

import torch

import genesis as gs

STRAIN = ((-0.6, 0.7, 0.0), (0.0, 0.1, 0.5), (0.2, 0.0, -0.5))
MATERIALS = {
    "neohooken": lambda **common: gs.materials.MPM.Elastic(model="neohooken", **common),
    "corotation": lambda **common: gs.materials.MPM.Elastic(model="corotation", **common),
    "von_mises": lambda **common: gs.materials.MPM.ElastoPlastic(von_mises_yield_stress=50.0, **common),
    "clamped": lambda **common: gs.materials.MPM.ElastoPlastic(use_von_mises=False, **common),
    "sand": lambda **common: gs.materials.MPM.Sand(**common),
    "snow": lambda **common: gs.materials.MPM.Snow(**common),
    "liquid": lambda **common: gs.materials.MPM.Liquid(**common),
    "viscous_liquid": lambda **common: gs.materials.MPM.Liquid(viscous=True, **common),
    "muscle": lambda **common: gs.materials.MPM.Muscle(**common),
}


def build(args: argparse.Namespace, requires_grad: bool):
    """The scene of one case: a block, free to fall, in the middle of the unit cube."""
    dx = 1.0 / args.grid
    spacing = dx / 2.0
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(
            dt=args.substep_dt * args.substeps, substeps=args.substeps, requires_grad=requires_grad
        ),
        mpm_options=gs.options.MPMOptions(
            grid_density=args.grid, particle_size=spacing, lower_bound=(0.0, 0.0, 0.0), upper_bound=(1.0, 1.0, 1.0)
        ),
        show_viewer=False,
    )
    block = scene.add_entity(
        morph=gs.morphs.Box(pos=(0.5, 0.5, 0.5), size=tuple(n * spacing for n in args.block)),
        material=MATERIALS[args.model](E=args.youngs, nu=args.poisson, rho=args.density, sampler="regular"),
    )
    scene.build(n_envs=args.envs)
    return scene, block


def strained(block, args: argparse.Namespace) -> torch.Tensor:
    """Velocities of the particles that strain the block."""
    places = block.get_state().pos.detach() - 0.5
    return args.strain_rate * (places @ torch.tensor(STRAIN, dtype=places.dtype, device=places.device).T)


def forward(scene, block, args: argparse.Namespace) -> float:
    """Seconds that `args.steps` steps take."""
    scene.reset()
    block.set_velocity(strained(block, args) if args.strain_rate else torch.zeros(args.envs, 3))
    start = time.perf_counter()
    for _ in range(args.steps):
        scene.step()
    block.get_state().pos.sum().item()
    return time.perf_counter() - start


def forward_backward(scene, block, args: argparse.Namespace) -> float:
    """Seconds that `args.steps` steps and the gradient of a loss on the final positions take."""
    scene.reset()
    velocity = torch.zeros(args.envs, 3, requires_grad=True)
    block.set_velocity(strained(block, args) + velocity[:, None, :] if args.strain_rate else velocity)
    start = time.perf_counter()
    for _ in range(args.steps):
        scene.step()
    loss = block.get_state().pos.square().sum()
    loss.backward()
    seconds = time.perf_counter() - start
    if velocity.grad is None or not bool(velocity.grad.abs().sum() > 0):
        raise RuntimeError("the gradient must reach the initial velocity, got none.")
    return seconds


def measure(args: argparse.Namespace, requires_grad: bool) -> dict:
    """One row: the best of several repetitions, and what compiling cost before them."""
    scene, block = build(args, requires_grad)
    run = forward_backward if requires_grad else forward
    first = run(scene, block, args)
    best = min(run(scene, block, args) for _ in range(args.repetitions))
    particles = int(block.n_particles)
    work = args.envs * particles * args.substeps * args.steps
    return {
        "row": "forward+backward" if requires_grad else "forward",
        "particles": particles,
        "seconds": best,
        "first_seconds": first,
        "particle_substeps_per_second": work / best,
    }


def main() -> None:
    """Run one case and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="16x2000", help="name of the case, repeated in the output")
    parser.add_argument("--envs", type=int, default=16)
    parser.add_argument("--grid", type=int, default=32, help="cells along an edge of the unit cube")
    parser.add_argument("--block", type=int, nargs=3, default=[10, 10, 20], help="particles along x, y, z")
    parser.add_argument("--substeps", type=int, default=20)
    parser.add_argument("--substep-dt", type=float, default=1e-4, help="s")
    parser.add_argument("--youngs", type=float, default=5e3, help="Pa")
    parser.add_argument("--poisson", type=float, default=0.2)
    parser.add_argument("--density", type=float, default=1e3, help="kg/m^3")
    parser.add_argument("--model", default="neohooken", choices=list(MATERIALS))
    parser.add_argument("--strain-rate", type=float, default=0.0, help="of the block at the start, 1/s")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--rows", nargs="+", default=["forward", "forward+backward"])
    args = parser.parse_args()

    gs.init(backend=gs.cpu, precision="32", logging_level="error", seed=0)
    rows = [measure(args, row == "forward+backward") for row in args.rows]
    print(
        json.dumps(
            {
                "engine": f"genesis-world {version('genesis-world')}",
                "python": platform.python_version(),
                "torch": torch.__version__,
                "settings": vars(args),
                "rows": rows,
            }
        )
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
