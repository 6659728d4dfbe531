"""A kernel that does nothing, to find out what a launch costs."""

from genesis.compiler import layout, per_runtime, ti


@per_runtime
def empty_kernel():
    """A kernel over one array that does no work."""
    types = layout()

    @ti.kernel
    def nothing(a: types.A1):
        pass

    return nothing
