"""From a particle to its model: one switch at run time over all models that are compiled in.

Indices as in `genesis.solvers.mpm.physics`: q and q1 of the particle in the frames before and after a substep, i among
all environments' particles, e its body, c that body among all environments' bodies, gc the same among partial sums.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.solvers.mpm.arrays import N_BODIES, N_MEMORY, N_NUMBERS
from genesis.solvers.mpm.models import Model
from genesis.solvers.mpm.models.model import FIRST_NUMBERS

N_FIRST = len(FIRST_NUMBERS)


@per_runtime
def constitutive(models: tuple[Model, ...]) -> Functions:
    """`stress` and `stress_adjoint` of a particle; `a.model[e]` is an index into `models`."""
    lay = layout()
    real, get4, get33 = lay.real, lay.get4, lay.get33
    functions = [model.functions() for model in models]
    own = [len(model.own_numbers) for model in models]
    width = [model.width for model in models]
    length = [max(1, w) for w in width]  # of the vector h
    remembers = any(width)

    @ti.func
    def first_number(c, e, a: ti.template()):
        """Index of a body's first number; of its cotangent, where c is an index among partial sums."""
        return c // a.size[N_BODIES] * a.size[N_NUMBERS] + a.first[e]

    @ti.func
    def numbers(k: ti.template(), c, e, a: ti.template()):
        """(mu, lambda, own numbers ...) of a body of model k."""
        derived = get4(a.derived, c)
        m = ti.Vector.zero(real, 2 + own[k])
        m[0], m[1] = derived[0], derived[1]
        if ti.static(own[k] > 0):
            at = first_number(c, e, a) + N_FIRST
            for j in ti.static(range(own[k])):
                m[2 + j] = a.material[at + j]
        return m

    @ti.func
    def recall(k: ti.template(), memory: ti.template(), p, a: ti.template()):
        """What particle p of model k has in `memory`; one 0 if it keeps nothing."""
        h = ti.Vector.zero(real, length[k])
        for j in ti.static(range(width[k])):
            h[j] = memory[p * a.size[N_MEMORY] + j]
        return h

    @ti.func
    def remember(k: ti.template(), q, q1, h, a: ti.template()):
        """Write a particle's new memory; what other models keep and this one does not stays as it is."""
        for j in ti.static(range(width[k])):
            a.memory[q1 * a.size[N_MEMORY] + j] = h[j]
        if ti.static(remembers):
            for j in range(width[k], a.size[N_MEMORY]):
                a.memory[q1 * a.size[N_MEMORY] + j] = a.memory[q * a.size[N_MEMORY] + j]

    @ti.func
    def stress(keep: ti.template(), q, q1, c, e, F, a: ti.template()):
        """F', tau and aux; with `keep` writes the memory to the frame of q1."""
        Fn, tau, aux = F, F, F
        for k in ti.static(range(len(models))):
            if ti.static(len(models) == 1) or a.model[e] == k:
                Fn, tau, h, aux = ti.static(functions[k].stress)(F, numbers(k, c, e, a), recall(k, a.memory, q, a))
                if ti.static(keep):
                    remember(k, q, q1, h, a)
        return Fn, tau, aux

    @ti.func
    def stress_adjoint(q, i, c, gc, e, F, aux, gtau, a: ti.template()):
        """Cotangents of F, mu and lambda. Those of own numbers are added to `gmaterial`; gmemory is taken back."""
        gF, gFn = F, get33(a.gF, i)
        gmu, glam = ti.cast(0.0, real), ti.cast(0.0, real)
        for k in ti.static(range(len(models))):
            if ti.static(len(models) == 1) or a.model[e] == k:
                gF, gm, gh = ti.static(functions[k].stress_adjoint)(
                    F, numbers(k, c, e, a), recall(k, a.memory, q, a), aux, gFn, gtau, recall(k, a.gmemory, i, a)
                )
                gmu, glam = gm[0], gm[1]
                for j in ti.static(range(own[k])):
                    at = first_number(gc, e, a) + N_FIRST + j
                    if ti.static(lay.atomic):
                        ti.atomic_add(a.gmaterial[at], gm[2 + j])
                    else:
                        a.gmaterial[at] = a.gmaterial[at] + gm[2 + j]
                for j in ti.static(range(width[k])):
                    a.gmemory[i * a.size[N_MEMORY] + j] = gh[j]
        return gF, gmu, glam

    return Functions(stress=stress, stress_adjoint=stress_adjoint, first_number=first_number)
