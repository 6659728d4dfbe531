"""What the two faces of an environment take from their users."""

import numpy as np
import torch

from envs.faces import checked_action


def test_actions_of_any_strides_and_byte_order():
    actions = np.linspace(-1.0, 1.0, 6).reshape(3, 2)
    like, ignored = torch.zeros(3, 2), torch.zeros(3, dtype=torch.bool)
    for odd in (actions[::-1], actions.astype(">f8"), np.asfortranarray(actions)):
        assert torch.equal(checked_action(odd, like, ignored), torch.tensor(odd.astype(np.float32).copy()))
