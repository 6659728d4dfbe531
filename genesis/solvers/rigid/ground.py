"""Contact of a link's point with the ground: planes and smooth height fields. The law, and its adjoint below it.

A contact point is a sphere (a point has radius 0) or an ellipsoid, fixed to its link, or a place on a rim at an angle
from its lowest point. With x the penetration along the ground's normal n, V the old and U the new velocity of the
touching material point, u its part along n:

    P = k psi(x)            psi(x): max(x, 0) rounded over -w … w, w^2 = smoothing^2 + (`WIDEN` dt u_old)^2
    G = k (dt psi'(x) + d psi(x))
    N(u) = P g(1 - G u / P)         g(z): max(z, 0) rounded over -1/2 … 1/2, so that the ground never pulls
    normal force    N(u_old) + N'(u_old) (u - u_old)                 linear in the new velocity: one linear solve
                    zero if that came out negative: the point is then released, and the substep solved again
    friction       -T U_t / sqrt(|V_t|^2 + slip^2 + (grip T)^2)      T = mu N(u_old), the most it can be

The derivative of the force by -U is symmetric and positive semi-definite: dt times it is apparent inertia of the link.
The rounding is at least as wide as what is travelled in some substeps: a narrower one would be sampled at random, and
derivatives through an impact with it. At rest it is the smoothing.
Kinks: the ends of both roundings. Height fields are biquadratic B-splines of their samples: normals are continuous.
"""

from genesis.compiler import Composite, Functions, layout, per_runtime, ti, traced, value
from genesis.math.lanes import Vec, lane, lanes3, of_lane, where
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid.layout import (
    DT,
    FRICTION_VELOCITY,
    GROUND_HEAD,
    GROUND_INFO,
    POINT_CENTRE,
    POINT_DIAGONAL,
    POINT_EXTRA,
    POINT_OFF,
    Features,
)
from genesis.solvers.rigid.spatial import ramp, ramp_by_width, times

WIDEN = 4.0
"""Half the width of the rounded corner of a force, in times what is travelled in a substep."""
UPRIGHT = 1e-3
"""Sine of the angle between a cylinder's axis and the ground's normal, below which the points on its rims are fixed to
the body. They stand at equal angles, so that it makes next to no difference which one is lowest."""


class ContactLaw(Composite):
    """The numbers of a contact's law, in the letters above. `wide` is `WIDEN` dt."""

    def __init__(self, k, d, smoothing, mu, slip, grip, dt, wide):
        self.k, self.d, self.smoothing, self.mu = value(k), value(d), value(smoothing), value(mu)
        self.slip, self.grip, self.dt, self.wide = value(slip), value(grip), value(dt), value(wide)


@traced
def larger(a, b):
    """Of the frictions of two bodies."""
    return value(ti.max(a, b))


@traced
def share(a, b):
    """Slope of `larger` in a; one half at the kink, as a central difference would say."""
    none = value(0.0 * a)
    return where(a > b, none + 1.0, where(a < b, none, none + 0.5))


@per_runtime
def grounds(features: Features) -> Functions:
    lay = layout()

    @ti.func
    def weights(f):
        """Quadratic B-spline at f in -1/2 … 1/2 from the middle sample: value, slope, curvature."""
        return (Vec(0.5 * (0.5 - f) ** 2, 0.75 - f * f, 0.5 * (0.5 + f) ** 2), Vec(f - 0.5, -2.0 * f, f + 0.5),
                Vec(1.0, -2.0, 1.0))  # fmt: skip

    @ti.func
    def heights_at(a: ti.template(), x, y, corner: ti.template(), info: ti.template()):
        """Height over the corner, its gradient (x, y) and its Hessian (xx, xy, yy). Constant beyond the edge."""
        spacing = corner[3]
        nx, ny, first = ti.cast(info[1], ti.i32), ti.cast(info[2], ti.i32), ti.cast(info[3], ti.i32)
        s, t = (x - corner[0]) / spacing, (y - corner[1]) / spacing
        s_in, t_in = ti.min(ti.max(s, 0.5), nx - 1.5), ti.min(ti.max(t, 0.5), ny - 1.5)
        # from below too: NaN becomes any integer
        i = ti.max(ti.min(ti.cast(ti.floor(s_in + 0.5), ti.i32), nx - 2), 1)
        j = ti.max(ti.min(ti.cast(ti.floor(t_in + 0.5), ti.i32), ny - 2), 1)
        wx, dx, ddx = weights(s_in - i)
        wy, dy, ddy = weights(t_in - j)
        ix, iy = 1.0 / spacing, 1.0 / spacing
        if s != s_in:
            ix = 0.0
        if t != t_in:
            iy = 0.0
        # along y first: values, slopes and curvatures of three lines, then along x
        v, vy, vyy = Vec(0.0, 0.0, 0.0), Vec(0.0, 0.0, 0.0), Vec(0.0, 0.0, 0.0)
        for c in ti.static(range(3)):
            line = first + (i + c - 1) * ny + j
            three = Vec(a.heights[line - 1], a.heights[line], a.heights[line + 1])
            v[c], vy[c], vyy[c] = three.dot(wy), three.dot(dy), three.dot(ddy)
        return (v.dot(wx), v.dot(dx) * ix, vy.dot(wx) * iy, v.dot(ddx) * ix * ix, vy.dot(dx) * ix * iy,
                vyy.dot(wx) * iy * iy)  # fmt: skip

    @ti.func
    def terrain(a: ti.template(), x: ti.template(), corner: ti.template(), info: ti.template()):
        """`heights_at` for every lane: height, gradient (x, y, -), Hessian (xx, xy, yy)."""
        h, grad, hess = lane(), lanes3(), lanes3()
        for j in range(lay.width):
            height, gx, gy, xx, xy, yy = heights_at(a, of_lane(x[0], j), of_lane(x[1], j), corner, info)
            for out, number in ti.static(((h, height), (grad[0], gx), (grad[1], gy), (hess[0], xx), (hess[1], xy),
                                          (hess[2], yy))):  # fmt: skip
                set_lane(out, j, number)
        return h, grad, hess

    @ti.func
    def set_lane(out: ti.template(), j, number):
        if ti.static(lay.width == 1):
            out = number
        else:
            out[j] = number

    @ti.func
    def surface(a: ti.template(), g, x: ti.template()):
        """Distance of x from ground g, along its normal there, and that normal."""
        head, info = at.ground(a, g, GROUND_HEAD), at.ground(a, g, GROUND_INFO)
        n = lanes3()
        n += head[:3]
        distance = lane(n.dot(x) - head[3])
        if ti.static(features.terrain):
            if info[0] > 0.5:
                h, grad, _hess = terrain(a, x, head, info)
                c = 1.0 / ti.sqrt(1.0 + grad.dot(grad))
                n = Vec(0.0 - c * grad[0], 0.0 - c * grad[1], c)
                distance = c * (x[2] - head[2] - h)
        return distance, n

    @ti.func
    def near(a: ti.template(), g, x: ti.template(), v: ti.template(), w: ti.template(), reach):
        """Where ground g may touch a link at x that moves at v and turns at w, and whose points are within `reach`."""
        far = reach + WIDEN * a.num[DT] * (ti.sqrt(v.dot(v)) + reach * ti.sqrt(w.dot(w)))
        return height(a, g, x) < far

    @ti.func
    def height(a: ti.template(), g, x: ti.template()):
        """Distance of x from a plane; 0 from a height field, whose reach is unlimited."""
        head = at.ground(a, g, GROUND_HEAD)
        distance = lane(x.dot(head[:3]) - head[3])
        if ti.static(features.terrain):
            if at.ground(a, g, GROUND_INFO)[0] > 0.5:
                distance = lane()
        return distance

    @ti.func
    def surface_adjoint(a: ti.template(), g, x: ti.template(), gdistance, gn: ti.template()):
        """Cotangent of x."""
        head, info = at.ground(a, g, GROUND_HEAD), at.ground(a, g, GROUND_INFO)
        gx = gdistance * head[:3]
        if ti.static(features.terrain):
            if info[0] > 0.5:
                h, grad, hess = terrain(a, x, head, info)
                c = 1.0 / ti.sqrt(1.0 + grad.dot(grad))
                gc = gdistance * (x[2] - head[2] - h) - grad[0] * gn[0] - grad[1] * gn[1] + gn[2]
                gh = 0.0 - gdistance * c
                ga = 0.0 - c * gn[0] - gc * c * c * c * grad[0]
                gb = 0.0 - c * gn[1] - gc * c * c * c * grad[1]
                gx = Vec(gh * grad[0] + ga * hess[0] + gb * hess[1], gh * grad[1] + ga * hess[1] + gb * hess[2],
                         gdistance * c)  # fmt: skip
        return gx

    @ti.func
    def support(a: ti.template(), i, R: ti.template(), n: ti.template()):
        """Of point i: s = centre - lowest point, in world axes; the penetration is s.n minus the centre's distance."""
        s = at.point(a, i, POINT_CENTRE)[3] * n
        d = at.point(a, i, POINT_DIAGONAL)
        if d[3] > 0.5 and d[3] < 1.5:  # s = E n / sqrt(n.E n), with E the squared semi-axes
            local = R.transpose() @ n
            m = times(d[:3], at.point(a, i, POINT_OFF)[:3], local)
            s = (R @ m) / ti.sqrt(local.dot(m))
        if d[3] > 1.5:  # on a rim: along the normal's part in its plane, turned by a fixed angle
            along, axis, _length, flat = rim(R, n, d)
            s = at.point(a, i, POINT_EXTRA)[0] * along + at.point(a, i, POINT_EXTRA)[1] * axis.cross(along)
            s = where(flat, R @ at.point(a, i, POINT_OFF)[:3], s)
        return s

    @ti.func
    def rim(R: ti.template(), n: ti.template(), d: ti.template()):
        """Unit vector along the normal's part in a rim's plane, the axis, that part's length, whether it is none."""
        axis = R @ d[:3]
        part = n - n.dot(axis) * axis
        length = ti.sqrt(part.dot(part))
        flat = length < UPRIGHT
        length = where(flat, 0.0 * length + 1.0, length)
        return part / length, axis, length, flat

    @ti.func
    def support_adjoint(a: ti.template(), i, R: ti.template(), n: ti.template(), s: ti.template(), gs: ti.template()):
        """Cotangents of the link's rotation vector and of n from that of s."""
        gturn, gn = lanes3(), at.point(a, i, POINT_CENTRE)[3] * gs
        d = at.point(a, i, POINT_DIAGONAL)
        if d[3] > 1.5:
            c = at.point(a, i, POINT_EXTRA)
            along, axis, length, flat = rim(R, n, d)
            galong = c[0] * gs + c[1] * gs.cross(axis)
            gpart = (galong - along.dot(galong) * along) / length
            within = axis.dot(gpart)
            gaxis = c[1] * along.cross(gs) - within * n - n.dot(axis) * gpart
            gn = where(flat, lanes3(), gpart - within * axis)
            gturn = where(flat, s.cross(gs), axis.cross(gaxis))
        elif d[3] > 0.5:
            length = s.dot(n)
            Eg = R @ times(d[:3], at.point(a, i, POINT_OFF)[:3], R.transpose() @ gs)
            gn = (Eg - s.dot(gs) * s) / length
            gturn = s.cross(gs) - n.cross(Eg) / length - (s.dot(gs) / length) * s.cross(n)
        return gturn, gn

    @ti.func
    def geom_of(a: ti.template(), i):
        """The geom of point i."""
        return ti.cast(at.point(a, i, POINT_EXTRA)[2], ti.i32)

    @ti.func
    def law_of(a: ti.template(), b, l, g, i, contact: ti.template()):
        """Of the contact of point i, on link l, with ground g."""
        mu = larger(a.model[at.block(a, b, "friction", geom_of(a, i))], a.model[at.block(a, b, "ground_friction", g)])
        return ContactLaw(a.model[at.block(a, b, "contact_stiffness", l)], contact[0], contact[1], mu,
                          a.num[FRICTION_VELOCITY], a.num[DT] * contact[3], a.num[DT], WIDEN * a.num[DT])  # fmt: skip

    @ti.func
    def touches(x, u, smoothing, wide):
        """Whether a point at depth x that moves at u along the normal is pushed."""
        return x > 0.0 - ti.sqrt(smoothing * smoothing + (wide * u) * (wide * u))

    @ti.func
    def normal_law(x, u, law: ti.template()):
        """P, G, their slopes in x, and in u by way of the rounding; g(1 - G u / P) with slope and curvature; G / P.
        Out of reach all but g are 0."""
        width = ti.sqrt(law.smoothing * law.smoothing + (law.wide * u) * (law.wide * u))
        psi, slope, curvature = ramp(x, width)
        widened, steepened = ramp_by_width(x, width)
        P, G = law.k * psi, law.k * (law.dt * slope + law.d * psi)
        dP, dG = law.k * slope, law.k * (law.dt * curvature + law.d * slope)
        faster = law.k * law.wide * law.wide * u / width
        Pu, Gu = faster * widened, faster * (law.dt * steepened + law.d * widened)
        ratio = G / where(P > 0.0, P, 0.0 * P + 1.0)
        g0, g1, g2 = ramp(1.0 - ratio * u, 0.5)
        return P, G, dP, dG, Pu, Gu, g0, g1, g2, ratio

    @ti.func
    def coefficients(x, V: ti.template(), n: ti.template(), law: ti.template(), hold):
        """Normal force at the old velocity, its slope by -u, and friction per tangential velocity.

        `hold` is 0 for a point that has been released, else 1.
        """
        u = V.dot(n)
        P, G, _dP, _dG, _Pu, _Gu, g0, g1, _g2, _ratio = normal_law(x, u, law)
        most, along = law.mu * P * g0, V - u * n  # not V.V - u u, which rounding may turn negative in a fall
        friction = most / ti.sqrt(along.dot(along) + law.slip * law.slip + (law.grip * most) * (law.grip * most))
        return hold * P * g0, hold * G * g1, friction

    @ti.func
    def force(normal, damping, friction, n: ti.template(), V: ti.template(), U: ti.template()):
        """On the link, at the new velocity U."""
        return (normal - damping * n.dot(U - V)) * n - friction * (U - n.dot(U) * n)

    @ti.func
    def power_adjoint(x, N: ti.template(), V: ti.template(), U: ti.template(), n: ti.template(), law: ti.template(),
                      hold):  # fmt: skip
        """The force, and derivatives of -N.force by x, V, U, n, mu and log k. The one by N is -force."""
        mu = law.mu
        u0, u, reach = V.dot(n), U.dot(n), N.dot(n)
        P, G, dP, dG, Pu, Gu, g0, g1, g2, ratio = normal_law(x, u0, law)
        most, along = mu * P * g0, V - u0 * n
        fixed = along.dot(along) + law.slip * law.slip
        s2 = fixed + (law.grip * most) * (law.grip * most)
        friction = most / ti.sqrt(s2)
        per = fixed / (s2 * ti.sqrt(s2))  # slope of the friction in what it can be at most
        slid = N.dot(U - u * n)
        faded = slid * friction / s2
        ahead = u - u0
        normal = hold * (P * g0 - G * g1 * ahead)
        # what x and u0 change by way of P and G: the slopes of 1 - G u0 / P, of P g, and of the normal force
        shed, pushed = slid * mu * per, reach * hold
        none = 0.0 * P
        per_P = u0 / where(P > 0.0, P, none + 1.0)
        dratio, uratio = (ratio * dP - dG) * per_P, (ratio * Pu - Gu) * per_P
        dmost, umost = dP * g0 + P * g1 * dratio, Pu * g0 + P * g1 * uratio
        gx = shed * dmost - pushed * (dmost - (dG * g1 + G * g2 * dratio) * ahead)
        gu0 = (
            shed * umost
            - pushed * (umost - (Gu * g1 + G * g2 * uratio) * ahead)
            - pushed * G * ratio * g2 * ahead
            - shed * G * g1
        )
        gu, greach = reach * (hold * G * g1 - friction), 0.0 - normal - friction * u
        gV = gu0 * n - faded * along
        gU = gu * n + friction * N
        gn = (gu0 + faded * u0) * V + gu * U + greach * N
        F = normal * n - friction * (U - u * n)
        return F, gx, gV, gU, gn, slid * P * g0 * per, slid * most * per - reach * normal

    return Functions(law_of=law_of, near=near, height=height, surface=surface, surface_adjoint=surface_adjoint,
                     support=support, support_adjoint=support_adjoint, geom_of=geom_of, touches=touches,
                     coefficients=coefficients, force=force, power_adjoint=power_adjoint)  # fmt: skip
