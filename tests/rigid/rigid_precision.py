"""One rollout and its gradients, for comparison between precisions."""

import torch

import genesis as gs
from tests.rigid.rigid_bench import noise
from tests.rigid.rigid_models import CRAWLER
from tests.rigid.rigid_worlds import OUTPUTS, build, everything, place, plain

N = 4


def rollout(robot=CRAWLER):
    """Losses, final positions and gradients by velocity, policy, mass and friction: name -> tensor, float64."""
    world = build(robot, n_envs=N, ground=True, outputs=OUTPUTS)
    n, real = world.robot.n_dofs, gs.tc_float
    leaves = {
        "vel": noise(N, n, seed=3).to(real),
        "policy": (0.3 * noise(7, n, seed=2)).to(real),
        "mass": torch.tensor(world.robot.model.mass, dtype=real),
        "friction": torch.tensor(0.6, dtype=real),
        "gravity": torch.tensor([0.0, 0.0, -9.81], dtype=real),
    }
    for value in leaves.values():
        value.requires_grad_()
    tangent = torch.zeros(N, n, dtype=real)
    tangent[:, 2] = -0.05
    place(world, tangent, leaves["vel"])
    world.robot.set_mass(leaves["mass"])
    world.robot.set_friction(leaves["friction"])
    world.scene.set_gravity(leaves["gravity"])
    total = torch.zeros(N, dtype=real)
    for t in range(6):
        action = torch.tanh(plain(world.robot.get_dofs_velocity()) @ leaves["policy"].T)
        world.robot.control_dofs_force(2.0 * action, dofs_idx_local=list(range(6, 13)))
        world.scene.step()
        total = total + everything(world, outputs=OUTPUTS, seed=t)
    grads = torch.autograd.grad(total.sum(), list(leaves.values()))
    found = {"losses": total.detach(), "qpos": plain(world.robot.get_qpos()).detach()}
    found |= {f"gradient by {name}": g for name, g in zip(leaves, grads, strict=True)}
    return {name: value.double() for name, value in found.items()}
