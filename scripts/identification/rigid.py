"""A pole on a cart, pushed to and fro: masses, damping, dry friction and armature."""

import numpy as np
import torch

import genesis as gs
from genesis.identification import Channel, Experiment

CONTROL_DT, SUBSTEPS = 0.02, 4  # s, -
N_STEPS = 100  # 2 s
AT_ONCE = 1000
"""Environments of the coverage study."""
NOISE = 0.01
"""Of the standard deviation of each signal."""

TRUTH = {"cart_mass": 20.0, "pole_mass": 8.0, "rail_damping": 40.0, "rail_friction": 40.0, "hinge_armature": 0.6}
BOUNDS = {
    "cart_mass": (5.0, 80.0),
    "pole_mass": (2.0, 30.0),
    "rail_damping": (5.0, 200.0),
    "rail_friction": (5.0, 200.0),
    "hinge_armature": (0.05, 4.0),
}


def build(n_envs: int) -> Experiment:
    """The robot `cartpole`, in MuJoCo's contact model, which has dry friction of joints."""
    scene = gs.Scene(sim_options=gs.options.SimOptions(dt=CONTROL_DT, substeps=SUBSTEPS, requires_grad=True))
    robot = scene.add_entity(gs.morphs.Robot(name="cartpole"), material=gs.materials.Rigid())
    scene.build(n_envs=n_envs)
    slider, hinge = (robot.get_joint(name).dofs_idx_local for name in ("slider", "hinge"))
    cart, pole = (robot.get_link(name).idx_local for name in ("cart", "pole"))
    shape = torch.as_tensor(robot.model.inertia[pole] / robot.model.mass[pole])

    def set_pole_mass(mass: torch.Tensor) -> None:
        robot.set_mass(mass[:, None], [pole])
        robot.set_inertia(mass[:, None, None] * shape.to(mass), [pole])  # a solid of the same shape

    return Experiment(
        scene=scene,
        parameters={
            "cart_mass": Channel(call=lambda mass: robot.set_mass(mass[:, None], [cart]), unit="kg"),
            "pole_mass": Channel(call=set_pole_mass, unit="kg"),
            "rail_damping": Channel(call=lambda d: robot.set_dofs_damping(d[:, None], slider), unit="N s/m"),
            "rail_friction": Channel(call=lambda f: robot.set_dofs_frictionloss(f[:, None], slider), unit="N"),
            "hinge_armature": Channel(call=lambda a: robot.set_dofs_armature(a[:, None], hinge), unit="kg m^2"),
        },
        controls={"force": Channel(call=lambda force: robot.control_dofs_force(force, slider), unit="N")},
        signals={
            "cart": Channel(call=lambda: robot.get_dofs_position(slider), unit="m"),
            "pole": Channel(call=lambda: robot.get_dofs_position(hinge), unit="rad"),
        },
        initial={"position": Channel(call=robot.set_dofs_position)},
    )


def motion() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Controls, (T, ...) by name, and initial values: the pole is let go, and the cart driven with two frequencies."""
    times = CONTROL_DT * np.arange(N_STEPS)
    force = 250.0 * np.sin(2 * np.pi * 0.9 * times) + 60.0 * np.sin(2 * np.pi * 2.3 * times + 1.0)
    return {"force": force[:, None]}, {"position": np.array([0.0, np.pi - 1.2])}
