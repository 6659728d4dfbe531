"""A kernel that does next to nothing, to find out what a launch costs."""

from genesis.compiler import STRIDE, layout, per_runtime, ti


@per_runtime
def empty_kernel():
    """A parallel loop over two elements that writes one number: less would be optimised away, launch and all."""
    types = layout()

    @ti.kernel
    def nothing(a: types.A1):
        for i in range(2 * STRIDE):
            if i == 0:
                a[i] = 1.0

    return nothing
