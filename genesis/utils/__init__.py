"""Modules by the paths that scripts of the public engine import."""

from genesis.utils.misc import set_random_seed, tensor_to_array

__all__ = ["set_random_seed", "tensor_to_array"]
