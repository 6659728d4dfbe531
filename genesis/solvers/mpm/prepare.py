"""What is launched once before an adjoint: which environments have something to pull back."""

from genesis.arrays import Table
from genesis.compiler import Functions, per_runtime, ti
from genesis.launch import kernel
from genesis.solvers.mpm.arrays import ACTIVE, BACKWARD, N_PARTICLES, SUBSTEPS
from genesis.solvers.mpm.models import Model
from genesis.solvers.mpm.physics import physics


@per_runtime
def prepare(models: tuple[Model, ...], added: tuple[str, ...], contact: Functions, table: Table) -> Functions:
    ph = physics(models, added, contact)

    @kernel(table, *BACKWARD)
    def prepare_adjoint(a: ti.template()):
        """live[b]: whether environment b is healthy and has a cotangent that differs from zero."""
        for b in range(a.size[ACTIVE]):
            ph.derive(b, a)
            a.live[b] = 0
            for s in range(a.size[SUBSTEPS]):
                if contact.answers(s, b, a):
                    a.live[b] = 1
        for i in range(a.size[ACTIVE] * a.size[N_PARTICLES]):
            if ph.has_cotangent(i, a):
                a.live[i // a.size[N_PARTICLES]] = 1
        for b in range(a.size[ACTIVE]):
            if a.status[b] != 0:
                a.live[b] = 0

    return Functions(prepare_adjoint=prepare_adjoint)
