"""Gradients of an agent's objective against central differences."""

import pytest
import torch

STEP = 1e-5


def check_gradient(policy, objective, rel):
    """Of `objective()` by every parameter of a small policy; the relative bar is `rel`."""
    parameters = list(policy.parameters())
    gradients = torch.autograd.grad(objective(), parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        for index in range(parameter.numel()):
            flat = parameter.data.view(-1)
            middle = flat[index].item()
            ends = []
            for shift in (STEP, -STEP):
                flat[index] = middle + shift
                with torch.no_grad():
                    ends.append(objective().item())
            flat[index] = middle
            numeric = (ends[0] - ends[1]) / (2 * STEP)
            assert gradient.reshape(-1)[index].item() == pytest.approx(numeric, rel=rel, abs=1e-9)
