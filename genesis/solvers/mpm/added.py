"""Stress that bodies add to that of their model, whatever the model: of muscles, and of viscosity.

    muscle       tau += a k (F m) (F m)^T      a activation, k stiffness (Pa), m fibre (unit length, undeformed)
    viscosity    tau += 2 eta J D              eta (Pa s), D = (C + C^T) / 2, J = det F

F is the trial deformation gradient, C the affine velocity. Both numbers stand behind those of the body's model. Kernels
of scenes where no body has one of them do not contain it. docs/mpm.md, "Muscles" and "Viscosity", has derivations,
sources and what they ask of the substep.
"""

from genesis.compiler import Functions, layout, per_runtime, ti, traced
from genesis.math.lanes import Mat, Vec, lanes33
from genesis.math.matrices import cofactor, determinant, symmetric
from genesis.solvers.mpm.arrays import N_BODIES, N_NUMBERS
from genesis.solvers.mpm.rows import rows

STIFFNESS, VISCOSITY = "stiffness", "viscosity"
ADDED = (STIFFNESS, VISCOSITY)
"""Numbers that a body may have beside those of its model, in their order."""


@per_runtime
def added_stress(numbers: tuple[str, ...]) -> Functions:
    """`stress` and its adjoint, of those of `ADDED` that some body of the scene has.

    Indices as in `genesis.solvers.mpm.stress`.
    """
    lay, row = layout(), rows()
    muscular, viscous = STIFFNESS in numbers, VISCOSITY in numbers

    @traced
    def outer(a, b):
        """3x3, a b^T."""
        return Mat(*(Vec(*(x * y for y in b.parts)) for x in a.parts))

    @ti.func
    def place(which: ti.template(), c, e, a: ti.template()):
        """Index of a body's added number; of its cotangent, where c is an index among partial sums."""
        return c // a.size[N_BODIES] * a.size[N_NUMBERS] + which[e]

    @ti.func
    def activation(i, count, a: ti.template()):
        return row.load_numbers(1, a.actu, i, 1, count)[0]

    @ti.func
    def stress(i, count, c, e, F, C, a: ti.template()):
        """Kirchhoff stress (Mat, Pa) of `count` particles of body e, from their F and C (Mat)."""
        tau = lanes33()
        if ti.static(muscular):
            if a.muscular[e] >= 0:
                f = F @ row.load_numbers(3, a.fibre, i, 3, count)
                tau = outer(f, f) * (a.material[place(a.muscular, c, e, a)] * activation(i, count, a))
        if ti.static(viscous):
            if a.viscous[e] >= 0:
                tau = tau + symmetric(C) * (2.0 * a.material[place(a.viscous, c, e, a)] * determinant(F))
        return tau

    @ti.func
    def add_number(at, x, count, a: ti.template()):
        """Add the sum over the particles to a number's cotangent."""
        if ti.static(lay.atomic):
            ti.atomic_add(a.gmaterial[at], row.total(x, count))
        else:
            a.gmaterial[at] = a.gmaterial[at] + row.total(x, count)

    @ti.func
    def stress_adjoint(i, count, c, gc, e, F, C, gtau, a: ti.template()):
        """Cotangents (Mat) of F and C. Those of numbers, activations and fibres are added to their arrays.

        With S the symmetric part of gtau:
        muscle       gF = 2 a k S f m^T,    gm = 2 a k F^T S f,    g(a k) = f . S f,    f = F m
        viscosity    gC = 2 eta J S,        geta = 2 J S : D,      gJ = 2 eta S : D
        """
        gF, gC = lanes33(), lanes33()
        if ti.static(muscular):
            if a.muscular[e] >= 0:
                m, k = row.load_numbers(3, a.fibre, i, 3, count), a.material[place(a.muscular, c, e, a)]
                active = activation(i, count, a)
                f = F @ m
                Sf = symmetric(gtau) @ f
                power = f.dot(Sf)
                gf = Sf * (2.0 * k * active)
                gF = outer(gf, m)
                row.store_numbers(1, a.gactu, i, 1, count, row.load_numbers(1, a.gactu, i, 1, count) + power * k)
                gm = row.load_numbers(3, a.gfibre, i, 3, count) + F.transpose() @ gf
                row.store_numbers(3, a.gfibre, i, 3, count, gm)
                add_number(place(a.muscular, gc, e, a), power * active, count, a)
        if ti.static(viscous):
            if a.viscous[e] >= 0:
                D, S, eta, J = symmetric(C), symmetric(gtau), a.material[place(a.viscous, c, e, a)], determinant(F)
                power = 2.0 * S.dot(D)
                gF = gF + cofactor(F) * (eta * power)
                gC = S * (2.0 * eta * J)
                add_number(place(a.viscous, gc, e, a), power * J, count, a)
        return gF, gC

    return Functions(stress=stress, stress_adjoint=stress_adjoint)
