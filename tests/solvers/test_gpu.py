"""The same rollout and its gradients on a GPU and on the CPU."""

import json
import sys

import pytest
import torch

from tests import processes

PARTICLES = """
import json, sys
import torch
import genesis as gs

gs.init(backend=getattr(gs, sys.argv[1]), precision="64", seed=0, logging_level="warning")
scene = gs.Scene(
    sim_options=gs.options.SimOptions(dt=4e-3, substeps=4, requires_grad=True),
    mpm_options=gs.options.MPMOptions(grid_density=32, lower_bound=(0, 0, 0), upper_bound=(1, 1, 1)),
)
E = gs.tensor([1e4, 2e4, 3e4], requires_grad=True)
block = scene.add_entity(gs.morphs.Box(pos=(0.5, 0.5, 0.2), size=(0.1, 0.1, 0.1)),
                         gs.materials.MPM.Elastic(E=E, rho=500.0, model="neohooken"))
stick = scene.add_entity(gs.morphs.Capsule(pos=(0.42, 0.5, 0.2), radius=0.03, height=0.1),
                         gs.materials.Tool(friction=0.5))
scene.build(n_envs=3, outputs=("wrench",))
torch.manual_seed(0)
weight = torch.full((3, 3), 0.5, dtype=torch.float64, device=gs.device, requires_grad=True)
loss = 0.0
for _ in range(4):
    state = scene.get_state()
    stick.set_velocity(vel=gs.from_torch(state.pos.mean(1) @ weight, detach=False))
    scene.step()
    loss = loss + scene.get_state().pos.square().mean() + 1e-3 * stick.get_wrench().square().mean()
loss.backward()
print(json.dumps([float(loss), weight.grad.flatten().tolist(), E.grad.tolist()]))
"""

ROBOTS = """
import json, sys
import torch
import genesis as gs

gs.init(backend=getattr(gs, sys.argv[1]), precision="64", seed=0, logging_level="warning")
scene = gs.Scene(sim_options=gs.options.SimOptions(dt=1 / 60, substeps=16, requires_grad=True))
scene.add_entity(gs.morphs.Plane())
ant = scene.add_entity(gs.morphs.Robot(name="ant", pos=(0.0, 0.0, -0.2), ground=False))
scene.build(n_envs=3, outputs=("contacts",))
torch.manual_seed(0)
weight = torch.full((14, 8), 0.5, dtype=torch.float64, device=gs.device, requires_grad=True)
loss = 0.0
for _ in range(8):
    force = 50 * torch.tanh(ant.get_dofs_velocity() @ weight + 0.1)
    ant.control_dofs_force(force, dofs_idx_local=list(range(6, 14)))
    scene.step()
    loss = loss + ant.get_links_pos().square().mean() + 1e-6 * ant.get_contacts().force.square().mean()
loss.backward()
print(json.dumps([float(loss), weight.grad.flatten().tolist()]))
"""


def rollout(program: str, backend: str) -> list:
    done = processes.run([sys.executable, "-c", program, backend], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.gpu
@pytest.mark.precision("64")
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("program", [PARTICLES, ROBOTS], ids=["particles", "robots"])
def test_the_gpu_agrees_with_the_cpu(program):
    for ours, theirs in zip(rollout(program, "cuda"), rollout(program, "cpu"), strict=True):
        assert torch.allclose(torch.tensor(ours), torch.tensor(theirs), rtol=1e-8)
