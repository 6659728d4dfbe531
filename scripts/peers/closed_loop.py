"""How exact is the gradient of a closed loop? One program, run unchanged by this engine and by genesis-world.

    python scripts/peers/closed_loop.py            # this engine
    PEER/bin/python scripts/peers/closed_loop.py   # genesis-world

A linear policy with a 3x3 matrix W sees the mean position of an elastic cube and sets the cube's velocity, four steps
long; the loss is a function of the final positions. The gradient to W is compared with central differences in float64.
The last line of the output is JSON. (Both engines are imported as `genesis`, so each needs an environment of its own.)
"""

import argparse
import json
from importlib.metadata import PackageNotFoundError, version

import torch

import genesis as gs


def engine() -> str:
    """Name and version of the package that provides `genesis` here."""
    for name in ("genesis-policy", "genesis-world"):
        try:
            return f"{name} {version(name)}"
        except PackageNotFoundError:
            continue
    return f"genesis {gs.__version__}"


def build(n_envs: int):
    """125 particles in the middle of the unit cube, on a 32^3 grid."""
    scene = gs.Scene(
        sim_options=gs.options.SimOptions(dt=1e-2, substeps=20, requires_grad=True),
        mpm_options=gs.options.MPMOptions(
            grid_density=32, particle_size=0.02, lower_bound=(0.0, 0.0, 0.0), upper_bound=(1.0, 1.0, 1.0)
        ),
        show_viewer=False,
    )
    cube = scene.add_entity(
        morph=gs.morphs.Box(pos=(0.5, 0.5, 0.5), size=(0.1, 0.1, 0.1)),
        material=gs.materials.MPM.Elastic(E=5e3, nu=0.2, rho=1e3, model="neohooken", sampler="regular"),
    )
    scene.build(n_envs=n_envs)
    return scene, cube


def rollout(scene, cube, weights: torch.Tensor, steps: int) -> torch.Tensor:
    """The loss of one episode under the policy `velocity = mean position @ weights`."""
    scene.reset()
    for _ in range(steps):
        mean = cube.get_state().pos.mean(dim=1)
        cube.set_velocity(mean @ weights)
        scene.step()
    return (cube.get_state().pos - 0.4).square().mean() * 100.0


def central_differences(scene, cube, weights: torch.Tensor, steps: int, width: float) -> torch.Tensor:
    """dL/dW entry by entry."""
    gradient = torch.zeros_like(weights)
    with torch.no_grad():
        for entry in range(weights.numel()):
            offset = torch.zeros_like(weights)
            offset.view(-1)[entry] = width
            plus = float(rollout(scene, cube, weights + offset, steps))
            minus = float(rollout(scene, cube, weights - offset, steps))
            gradient.view(-1)[entry] = (plus - minus) / (2.0 * width)
    return gradient


def main() -> None:
    """Compare and print JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--envs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--width", type=float, default=1e-4, help="half the distance of the central differences")
    args = parser.parse_args()

    gs.init(backend=gs.cpu, precision="64", logging_level="error", seed=0)
    scene, cube = build(args.envs)
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(3, 3, dtype=torch.float64, generator=generator)
    expected = central_differences(scene, cube, weights, args.steps, args.width)
    leaf = weights.clone().requires_grad_()
    rollout(scene, cube, leaf, args.steps).backward()
    gradient = leaf.grad.as_subclass(torch.Tensor)
    print(
        json.dumps(
            {
                "engine": engine(),
                "precision": "64",
                "settings": {**vars(args), "particles": int(cube.n_particles)},
                "relative_error": float((gradient - expected).norm() / expected.norm()),
                "gradient": gradient.tolist(),
                "central_differences": expected.tolist(),
            }
        )
    )


if __name__ == "__main__":
    main()
