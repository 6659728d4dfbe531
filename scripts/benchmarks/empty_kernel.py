"""A kernel that does next to nothing, to find out what a launch costs."""

from genesis.arrays import Array
from genesis.compiler import STRIDE, per_runtime, ti
from genesis.launch import kernel

TABLE = (Array("out", "A1", (2,), "scratch"),)


@per_runtime
def empty_kernel():
    """A parallel loop over two elements that writes one number: less would be optimised away, launch and all."""

    @kernel(TABLE, "scratch")
    def nothing(a: ti.template()):
        for i in range(2 * STRIDE):
            if i == 0:
                a.out[i] = 1.0

    return nothing
