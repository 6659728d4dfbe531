"""What links feel of matter: wrenches from impulses, and what all else did to their velocities; and the adjoints.

In each of the scene's substeps that lie in one of the links', of length h, matter gives a shape at x an impulse J, and
a moment M about x. Over that substep its link, whose centre of mass is c, feels beside all else

    force  f = sum J / h,      torque about c  t = sum (M + (x - c) x J) / h

which is the momentum, and the angular momentum about any point, that matter has lost. With cotangents of f and t:

    gJ = (gf + gt x (x - c)) / h,      gM = gt / h,      gx = J x gt / h,      gc = - the sum of these

With V the velocity (of c, angular) of a link that yields before and after its substep, and W its mobility

    D = V_after - V_before - h W (f, t)
"""

from genesis.compiler import Functions, layout, per_runtime, ti
from genesis.contact.colliders import CHUNKS, COLLIDERS, FORCE, MOMENT
from genesis.contact.law import contact
from genesis.launch import kernel
from genesis.math.kernels import rotations
from genesis.solvers.rigid.reaction_layout import ACTIVE, BACKWARD, BLOCKS, EVERY, FORWARD, FRAME, LINKS, TABLE
from genesis.solvers.rigid.readout import LINK_STATE, S_ANG, S_POS, S_QUAT, S_VEL


@per_runtime
def wrenches() -> Functions:
    lay, law, turn = layout(), contact(), rotations()
    vec3, vec4, get4, put4, W = lay.vec3, lay.vec4, lay.get4, lay.put4, lay.width

    @ti.func
    def three(values: ti.template(), i):
        return vec3(values[i], values[i + 1], values[i + 2])

    @ti.func
    def put(values: ti.template(), i, v):
        for c in ti.static(range(3)):
            values[i + c] = v[c]

    @ti.func
    def padded(v, last):
        return vec4(v[0], v[1], v[2], last)

    @ti.func
    def part(i, which, a: ti.template()):
        """Of the state of the i-th link of all: one of S_POS, S_VEL and S_ANG."""
        return three(a.link_state, LINK_STATE * i + which)

    @ti.func
    def quat_of(i, a: ti.template()):
        at = LINK_STATE * i + S_QUAT
        return vec4(a.link_state[at], a.link_state[at + 1], a.link_state[at + 2], a.link_state[at + 3])

    @ti.func
    def arm(b, l, a: ti.template()):
        """From the link's origin to its centre of mass."""
        return turn.rotate(quat_of(b * a.extent[LINKS] + l, a), three(a.com, 3 * l))

    @ti.func
    def twist(b, l, a: ti.template()):
        """Velocity of its centre of mass, and angular velocity."""
        i = b * a.extent[LINKS] + l
        angular = part(i, S_ANG, a)
        return part(i, S_VEL, a) + angular.cross(arm(b, l, a)), angular

    @ti.func
    def yields(l, a: ti.template()):
        return a.mobility[2 * l] + a.mobility[2 * l + 1] > 0.0

    @ti.func
    def note_twist(b, a: ti.template()):
        for l in range(a.extent[LINKS]):
            linear, angular = twist(b, l, a)
            put(a.twist, 6 * (b * a.extent[LINKS] + l), linear)
            put(a.twist, 6 * (b * a.extent[LINKS] + l) + 3, angular)

    @ti.func
    def note_free(b, a: ti.template()):
        """D, after a substep of links."""
        for l in range(a.extent[LINKS]):
            if yields(l, a):
                i = 6 * (b * a.extent[LINKS] + l)
                linear, angular = twist(b, l, a)
                lost, turned = a.dt[0] * a.mobility[2 * l], a.dt[0] * a.mobility[2 * l + 1]
                put(a.free, i, linear - three(a.twist, i) - lost * three(a.felt, i))
                put(a.free, i + 3, angular - three(a.twist, i + 3) - turned * three(a.felt, i + 3))

    @ti.func
    def twist_adjoint(b, l, glinear, gangular, a: ti.template()):
        """Adds the cotangents of a link's quat, vel and ang."""
        i, reach = b * a.extent[LINKS] + l, arm(b, l, a)
        put(a.gvel, 3 * i, three(a.gvel, 3 * i) + glinear)
        put(a.gang, 3 * i, three(a.gang, 3 * i) + gangular + reach.cross(glinear))
        turn_back(i, reach.cross(glinear.cross(part(i, S_ANG, a))), a)

    @ti.func
    def turn_back(i, gturn, a: ti.template()):
        gquat = turn.tangent_to_quaternion(quat_of(i, a), gturn)
        for c in ti.static(range(4)):
            a.gquat[4 * i + c] += gquat[c]

    @ti.func
    def moved_back(b, l, gcentre, a: ti.template()):
        """Adds the cotangents of a link's pos and quat from that of its centre of mass."""
        i = b * a.extent[LINKS] + l
        put(a.gpos, 3 * i, three(a.gpos, 3 * i) + gcentre)
        turn_back(i, arm(b, l, a).cross(gcentre), a)

    @ti.func
    def clear_back(b, a: ti.template()):
        for l in range(a.extent[LINKS]):
            i = b * a.extent[LINKS] + l
            for c in ti.static(range(3)):
                a.gpos[3 * i + c] = a.gvel[3 * i + c] = a.gang[3 * i + c] = 0.0
            for c in ti.static(range(4)):
                a.gquat[4 * i + c] = 0.0

    @ti.func
    def free_adjoint(b, sign, a: ti.template()):
        """Of the velocities before (-1) or after (1) the substep, from the cotangent of D."""
        for l in range(a.extent[LINKS]):
            if yields(l, a):
                i = 6 * (b * a.extent[LINKS] + l)
                twist_adjoint(b, l, sign * three(a.gfree, i), sign * three(a.gfree, i + 3), a)

    @ti.func
    def impulse_of(s, b, k, which, a: ti.template()):
        """Of collider k, in all chunks."""
        total = vec4(0.0)
        for chunk in range(a.counts[CHUNKS]):
            total += get4(a.impulse, 2 * (law.sum_at(s, b, chunk, a) + k) + which)
        return total[:3]

    @ti.func
    def place_in_total(b, l, c, a: ti.template()):
        """Of number c of link l's wrench in the solver's blocks of environments."""
        number, at = 6 * l + c, 0
        if ti.static(lay.soa):
            at = number * a.extent[BLOCKS] + b
        else:
            at = (b // W * 6 * a.extent[LINKS] + number) * W + b % W
        return at

    @kernel(TABLE, *FORWARD)
    def feel(a: ti.template()):
        """Wrenches of substep `extent[FRAME]`: `felt`, and `total` with those that were asked for."""
        for b in range(a.extent[ACTIVE]):
            first = a.extent[FRAME] * a.extent[EVERY]
            for i in range(6 * b * a.extent[LINKS], 6 * (b + 1) * a.extent[LINKS]):
                a.felt[i] = 0.0
            for k in range(a.counts[COLLIDERS]):
                l = a.link_of[k]
                if l >= 0:
                    i = b * a.extent[LINKS] + l
                    for s in range(first, first + a.extent[EVERY]):
                        J, M = impulse_of(s, b, k, FORCE, a), impulse_of(s, b, k, MOMENT, a)
                        if J.dot(J) + M.dot(M) > 0.0:
                            lever = get4(a.poses, 4 * (law.pose_at(s, b, a) + k))[:3] - part(i, S_POS, a)
                            lever = lever - arm(b, l, a)
                            put(a.felt, 6 * i, three(a.felt, 6 * i) + J / a.dt[0])
                            torque = (M + lever.cross(J)) / a.dt[0]
                            put(a.felt, 6 * i + 3, three(a.felt, 6 * i + 3) + torque)
            for l in range(a.extent[LINKS]):
                for c in range(6):
                    i = 6 * (b * a.extent[LINKS] + l) + c
                    a.total[place_in_total(b, l, c, a)] = a.asked[i] + a.felt[i]

    @kernel(TABLE, *BACKWARD)
    def feel_adjoint(a: ti.template()):
        """From cotangents of wrenches and of the next D: sets those of links and of impulses, adds those of places."""
        for b in range(a.extent[ACTIVE]):
            first = a.extent[FRAME] * a.extent[EVERY]
            clear_back(b, a)
            if a.healthy[b] != 0:
                free_adjoint(b, -1.0, a)
                for k in range(a.counts[COLLIDERS]):
                    l = a.link_of[k]
                    if l >= 0:
                        i = b * a.extent[LINKS] + l
                        gforce, gtorque = three(a.gwrench, 6 * i) / a.dt[0], three(a.gwrench, 6 * i + 3) / a.dt[0]
                        if yields(l, a):
                            gforce = gforce - a.mobility[2 * l] * three(a.gfree, 6 * i)
                            gtorque = gtorque - a.mobility[2 * l + 1] * three(a.gfree, 6 * i + 3)
                        gcentre = vec3(0.0)
                        for s in range(first, first + a.extent[EVERY]):
                            pose, to = law.pose_at(s, b, a) + k, 4 * (law.sum_at(s, b, 0, a) + k)
                            lever = get4(a.poses, 4 * pose)[:3] - part(i, S_POS, a) - arm(b, l, a)
                            put4(a.gimpulse, 2 * pose + FORCE, padded(gforce + gtorque.cross(lever), 0.0))
                            put4(a.gimpulse, 2 * pose + MOMENT, padded(gtorque, 0.0))
                            gplace = impulse_of(s, b, k, FORCE, a).cross(gtorque)
                            put4(a.gposes, to, get4(a.gposes, to) + padded(gplace, 0.0))
                            gcentre = gcentre - gplace
                        moved_back(b, l, gcentre, a)

    @kernel(TABLE, *FORWARD)
    def conclude(a: ti.template()):
        """D at the end of a control step."""
        for b in range(a.extent[ACTIVE]):
            note_free(b, a)

    @kernel(TABLE, *BACKWARD)
    def conclude_adjoint(a: ti.template()):
        """Sets the cotangents of links at the end of a control step from that of D."""
        for b in range(a.extent[ACTIVE]):
            clear_back(b, a)
            if a.healthy[b] != 0:
                free_adjoint(b, 1.0, a)

    return Functions(
        three=three, put=put, padded=padded, yields=yields, part=part, arm=arm, twist=twist, note_twist=note_twist,
        note_free=note_free, free_adjoint=free_adjoint, moved_back=moved_back, impulse_of=impulse_of, feel=feel,
        feel_adjoint=feel_adjoint, conclude=conclude, conclude_adjoint=conclude_adjoint,
    )  # fmt: skip
