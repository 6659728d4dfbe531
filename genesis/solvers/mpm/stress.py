"""From particles to their model: one switch at run time over all models that are compiled in.

Indices as in `genesis.solvers.mpm.physics`: `count` particles of one body side by side, the first of them at q and q1
in the frames before and after a substep and at i among all environments' particles; e their body, c that body among
all environments' bodies, gc the same among partial sums.
"""

from genesis.compiler import Functions, element, layout, per_runtime, ti, traced
from genesis.math.lanes import Vec, lanes33
from genesis.solvers.mpm.arrays import N_BODIES, N_MEMORY, N_NUMBERS
from genesis.solvers.mpm.models import Model
from genesis.solvers.mpm.models.model import FIRST_NUMBERS, KEPT
from genesis.solvers.mpm.rows import rows

N_FIRST = len(FIRST_NUMBERS)


@per_runtime
def constitutive(models: tuple[Model, ...]) -> Functions:
    """`stress` and `stress_adjoint` of particles; `a.model[e]` is an index into `models`."""
    lay, row = layout(), rows()
    functions = [model.functions() for model in models]
    own = [len(model.own_numbers) for model in models]
    width = [model.width for model in models]
    remembers = any(width)

    @ti.func
    def first_number(c, e, a: ti.template()):
        """Index of a body's first number; of its cotangent, where c is an index among partial sums."""
        return c // a.size[N_BODIES] * a.size[N_NUMBERS] + a.first[e]

    @traced
    def vector(derived, k, a, at):
        return Vec(element(derived, 0), element(derived, 1), *(element(a.material, at + j) for j in range(own[k])))

    @ti.func
    def numbers(k: ti.template(), c, e, a: ti.template()):
        """(mu, lambda, own numbers ...) of a body of model k."""
        return vector(lay.get4(a.derived, c), k, a, first_number(c, e, a) + N_FIRST)

    @ti.func
    def recall(k: ti.template(), memory: ti.template(), p, count, a: ti.template()):
        """What particles of model k have in `memory`."""
        return row.load_numbers(width[k], memory, p, a.size[N_MEMORY], count)

    @ti.func
    def remember(k: ti.template(), q, q1, count, h, a: ti.template()):
        """Write particles' new memory; what other models keep and this one does not stays as it is."""
        row.store_numbers(width[k], a.memory, q1, a.size[N_MEMORY], count, h)
        if ti.static(remembers):
            for p in range(count):
                for j in range(width[k], a.size[N_MEMORY]):
                    a.memory[(q1 + p) * a.size[N_MEMORY] + j] = a.memory[(q + p) * a.size[N_MEMORY] + j]

    @traced
    def take(out, values):
        """Overwrite the first components of a Vec."""
        for place, x in zip(out.parts, values.parts, strict=False):
            place._assign(x)

    @ti.func
    def stress(keep: ti.template(), q, q1, count, c, e, F, a: ti.template()):
        """F', tau and what the adjoint wants again; with `keep` writes the memory to the frame of q1."""
        Fn, tau, kept = lanes33(), lanes33(), row.lane_values(KEPT)
        for k in ti.static(range(len(models))):
            if ti.static(len(models) == 1) or a.model[e] == k:
                Fnk, tauk, h, keptk = ti.static(functions[k].stress)(
                    F, numbers(k, c, e, a), recall(k, a.memory, q, count, a)
                )
                Fn = Fnk
                tau = tauk
                take(kept, keptk)
                if ti.static(keep):
                    remember(k, q, q1, count, h, a)
        return Fn, tau, kept

    @ti.func
    def stress_adjoint(q, i, count, c, gc, e, F, kept, gtau, a: ti.template()):
        """From those of F' (in `a.gF`) and tau the cotangents of F, mu and lambda. Those of own numbers are added to
        `gmaterial`; gmemory is taken back."""
        gF, gFn, glame = lanes33(), row.load33(a.gF, i, count), row.lane_values(2)
        for k in ti.static(range(len(models))):
            if ti.static(len(models) == 1) or a.model[e] == k:
                gFk, gm, gh = ti.static(functions[k].stress_adjoint)(
                    F, numbers(k, c, e, a), recall(k, a.memory, q, count, a), kept, gFn, gtau,
                    recall(k, a.gmemory, i, count, a)
                )  # fmt: skip
                gF = gFk
                take(glame, gm)
                for j in ti.static(range(own[k])):
                    at = first_number(gc, e, a) + N_FIRST + j
                    if ti.static(lay.atomic):
                        ti.atomic_add(a.gmaterial[at], row.total(gm[2 + j], count))
                    else:
                        a.gmaterial[at] = a.gmaterial[at] + row.total(gm[2 + j], count)
                row.store_numbers(width[k], a.gmemory, i, a.size[N_MEMORY], count, gh)
        return gF, row.total(glame[0], count), row.total(glame[1], count)

    return Functions(stress=stress, stress_adjoint=stress_adjoint, first_number=first_number)
