"""The cost of a contact's rows as a function of their residuals: its slope (force) and curvature; with derivatives.

With x the residuals J a - a_ref of normal and tangents, D the stiffness of the normal (of each edge of a pyramid):

    pyramid   sum over edges e = x_0 +- mu_j x_j of 1/2 D min(0, e)^2
    cone      N = mu x_0, T = |mu_j x_j|, mu = mu_1 / sqrt(impratio):   0 where N >= mu T;
              1/2 sum D_j x_j^2 where mu N + T <= 0, D_j = D impratio mu_j^2 / mu_1^2;
              else 1/2 D / (mu^2 (1 + mu^2)) (N - mu T)^2

The Hessian is [[WNN, WN^T], [WN, diag WJ + CROSS WN WN^T]]. Source: MuJoCo's documentation, Computation.
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.math.lanes import absolute, lane, where
from genesis.solvers.rigid.mujoco import indices as my
from genesis.solvers.rigid.mujoco.layout import (
    ALONG,
    C_DIM,
    CROSS,
    MU,
    WJ,
    WN,
    WNN,
    ZONE,
    D,
    F,
    Features,
    X,
)
from genesis.solvers.rigid.mujoco.mixing import STIFFEST

TINY = 1e-30


@per_runtime
def cones(features: Features) -> Functions:
    stiffest = STIFFEST[layout().real == ti.f64]

    @ti.func
    def evaluate(a: ti.template(), b, c, part):
        """Force and Hessian of listed contact c at x + part * along. Returns the slope and curvature of its cost by
        `part`, and 1 in environments where another piece of the cost is entered, or one that is not quadratic."""
        dim = a.contact_index[my.index_at(a, b, c, C_DIM)]
        stiff = my.number(a, b, c, D)
        along = my.number(a, b, c, ALONG)
        x = my.number(a, b, c, X) + part * along
        none = lane()
        force, curved, zone, moved = lane(), lane(), lane(), lane()
        slope, curvature = lane(), lane()
        if dim == 1:
            curved += where(x < 0.0, stiff, none)
            force = force - curved * x
            zone += where(x < 0.0, none + 1.0, none)
        elif ti.static(not features.elliptic):
            for j in range(1, dim):
                mu, aj = my.number(a, b, c, MU + j - 1), my.number(a, b, c, ALONG + j)
                side = mu * (my.number(a, b, c, X + j) + part * aj)
                up, down = x + side, x - side
                wu, wd = where(up < 0.0, stiff, none), where(down < 0.0, stiff, none)
                fu, fd = 0.0 - wu * up, 0.0 - wd * down
                force += fu + fd
                curved += wu + wd
                fj, wn, wj = mu * (fu - fd), mu * (wu - wd), mu * mu * (wu + wd)
                a.contact_list[my.number_at(a, b, c, F + j)] = fj
                a.contact_list[my.number_at(a, b, c, WN + j)] = wn
                a.contact_list[my.number_at(a, b, c, WJ + j)] = wj
                slope = slope - fj * aj
                curvature += (2.0 * wn * along + wj * aj) * aj
                zone = 4.0 * zone + where(up < 0.0, none + 1.0, none) + where(down < 0.0, none + 2.0, none)
            a.contact_list[my.number_at(a, b, c, CROSS)] = none
        else:
            mu1 = my.number(a, b, c, MU)
            inverse = a.solver_numbers[0]
            mu = mu1 * ti.sqrt(inverse)
            T2 = lane()
            for j in range(1, dim):
                u = my.number(a, b, c, MU + j - 1) * (
                    my.number(a, b, c, X + j)
                    + part * my.number(a, b, c, ALONG + j))  # fmt: skip
                T2 += u * u
            T, N = ti.sqrt(T2), mu * x
            E = N - mu * T
            out = (E >= 0.0) | (stiff <= 0.0)
            low = mu * N + T <= 0.0
            at_rest = where(T > TINY, T, none + 1.0)
            Dm = stiff / (mu * mu * (1.0 + mu * mu))
            first, square = Dm * mu * mu, Dm * E * mu / at_rest
            force += where(out, none, where(low, 0.0 - stiff * x, 0.0 - Dm * E * mu))
            curved += where(out, none, where(low, stiff, first))
            cross = where(first > 0.0, (first + square) / where(first > 0.0, first * first, none + 1.0), none)
            cross = where(out | low, none, cross)
            a.contact_list[my.number_at(a, b, c, CROSS)] = cross
            projected = lane()
            for j in range(1, dim):
                muj, aj = my.number(a, b, c, MU + j - 1), my.number(a, b, c, ALONG + j)
                xj = my.number(a, b, c, X + j) + part * aj
                dj = stiff * muj * muj / (inverse * mu1 * mu1)
                toward = muj * muj * xj / at_rest
                fj = where(out, none, where(low, 0.0 - dj * xj, Dm * E * mu * toward))
                wn = where(out | low, none, 0.0 - first * toward)
                wj = where(out, none, where(low, dj, 0.0 - square * muj * muj))
                a.contact_list[my.number_at(a, b, c, F + j)] = fj
                a.contact_list[my.number_at(a, b, c, WN + j)] = wn
                a.contact_list[my.number_at(a, b, c, WJ + j)] = wj
                slope = slope - fj * aj
                curvature += (2.0 * wn * along + wj * aj) * aj
                projected += wn * aj
            curvature += cross * projected * projected
            zone += where(out, none, where(low, none + 1.0, none + 2.0))
            moved += where(zone > 1.5, none + 1.0, none)
        a.contact_list[my.number_at(a, b, c, F)] = force
        a.contact_list[my.number_at(a, b, c, WNN)] = curved
        slope = slope - force * along
        curvature += curved * along * along
        zone = where(stiff > 0.0, zone, none)
        before = my.number(a, b, c, ZONE)
        a.contact_list[my.number_at(a, b, c, ZONE)] = zone
        moved += where(absolute(zone - before) > 0.5, none + 1.0, none)
        return slope, curvature, moved

    @ti.func
    def friction_adjoint(a: ti.template(), b, dim, power, gmu: ti.template()):
        """Adds the slopes of the power of the first listed contact by sliding, spinning and rolling friction."""
        none = lane()
        stiff = my.number(a, b, 0, D)
        x, h = my.number(a, b, 0, X), my.number(a, b, 0, ALONG)
        mu1 = my.number(a, b, 0, MU)
        if dim > 1:
            if ti.static(not features.elliptic):
                stiffening = where(mu1 > stiffest, 2.0 / mu1 + 2.0 * mu1 / (1.0 + mu1 * mu1), none)
                gmu[0] = gmu[0] - power * stiffening
                for j in range(1, dim):
                    mu = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    up, down, hu, hd = x + mu * xj, x - mu * xj, h + mu * hj, h - mu * hj
                    part = (where(up < 0.0, stiff * (xj * hu + up * hj), none)
                            - where(down < 0.0, stiff * (xj * hd + down * hj), none))  # fmt: skip
                    add_to(gmu, j, part)
            else:
                inverse = a.solver_numbers[0]
                mu = mu1 * ti.sqrt(inverse)
                T2, S = lane(), lane()
                for j in range(1, dim):
                    m = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    T2 += m * m * xj * xj
                    S += m * m * xj * hj
                T = ti.sqrt(T2)
                safe = where(T > 0.0, T, none + 1.0)
                S = S / safe
                out = (x >= T) | (stiff <= 0.0)
                low = mu * mu * x + T <= 0.0
                scale = stiff / (1.0 + mu * mu)
                gmu[0] = gmu[0] - where(out | low, none, 2.0 * mu / (1.0 + mu * mu) * ti.sqrt(inverse) * power)
                for j in range(1, dim):
                    m = my.number(a, b, 0, MU + j - 1)
                    xj, hj = my.number(a, b, 0, X + j), my.number(a, b, 0, ALONG + j)
                    dT = m * xj * xj / safe
                    dS = 2.0 * m * xj * hj / safe - S * m * xj * xj / (safe * safe)
                    middle = scale * (0.0 - dT * (h - S) - (x - T) * dS)
                    below = stiff * m * xj * hj / (inverse * mu1 * mu1)  # of D_j x_j h_j / mu_j
                    add_to(gmu, j, where(out, none, where(low, 2.0 * below, middle)))
                    gmu[0] = gmu[0] - where(low & (stiff > 0.0), 2.0 * m * below / mu1, none)

    @ti.func
    def add_to(v: ti.template(), j, part):
        if j < 3:
            v[0] = v[0] + part
        elif j == 3:
            v[1] = v[1] + part
        else:
            v[2] = v[2] + part

    return Functions(evaluate=evaluate, friction_adjoint=friction_adjoint)
