"""Helpers by the public engine's names."""

from typing import Any

import numpy as np
import torch

from genesis.runtime import set_random_seed

__all__ = ["set_random_seed", "tensor_to_array"]


def tensor_to_array(x: Any, dtype: Any = None) -> np.ndarray:
    """The numbers of a tensor, without its graph, or of anything else of which numpy makes an array."""
    return np.asarray(x.detach().as_subclass(torch.Tensor).cpu() if isinstance(x, torch.Tensor) else x, dtype)
