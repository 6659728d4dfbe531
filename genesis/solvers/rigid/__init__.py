"""Articulated rigid bodies in generalised coordinates, with compliant contact and a hand-written adjoint.

`layout` has the table of all arrays and the names of what is in them, `indices` finds and reads it inside kernels.

Files, in the order of a substep: `kinematics` (base to tip: poses, velocities, bias, ground contact), `pairs` (contact
between bodies), `inertia` (tip to base: composite inertia, factor, solve), `joints` (springs, limits, actuators,
integration), each with its adjoint; `driver` makes kernels of them, `solver` binds these to arrays, `prepare` turns a
`RigidModel` into constants. `docs/rigid.md` derives the adjoint.
"""
