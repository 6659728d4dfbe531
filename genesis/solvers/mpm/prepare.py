"""What drivers with a launch per substep launch once before an adjoint: which environments have something to pull."""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.physics import ACTIVE, N_COLLIDERS, N_PARTICLES, physics


@per_runtime
def prepare(models: tuple[str, ...], contact: Functions) -> Functions:
    lay, ph = layout(), physics(models, contact)
    A1, A3, A4, A33, I1, get4 = lay.A1, lay.A3, lay.A4, lay.A33, lay.I1, lay.get4

    @ti.kernel
    def prepare_adjoint(
        size: I1, volume: A1, material: A4, derived: A4, status: I1, pulled: I1,
        gx: A3, gv: A3, gC: A33, gF: A33, gimpulse: A4,
    ):  # fmt: skip
        """pulled[b]: whether environment b is healthy and has a cotangent that differs from zero."""
        for b in range(size[ACTIVE]):
            ph.derive(material, volume, derived, b, size)
            pulled[b] = 0
            for k in range(2 * size[N_COLLIDERS]):
                if ti.abs(get4(gimpulse, 2 * b * size[N_COLLIDERS] + k)).max() > 0.0:
                    pulled[b] = 1
        for i in range(size[ACTIVE] * size[N_PARTICLES]):
            if ph.pulled(gx, gv, gC, gF, i):
                pulled[i // size[N_PARTICLES]] = 1
        for b in range(size[ACTIVE]):
            if status[b] != 0:
                pulled[b] = 0

    return Functions(prepare_adjoint=prepare_adjoint)
