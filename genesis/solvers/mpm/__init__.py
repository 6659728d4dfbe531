"""Material point method: moving-least-squares MPM with APIC transfers and quadratic B-splines.

Glossary (the symbols used in kernels):
    x, v, C, F   position, velocity, affine velocity (1/s) and deformation gradient of a particle
    tau          Kirchhoff stress, Pa
    A            affine momentum of a particle, m C - dt V0 (4 / dx^2) tau, times dx
    w, dw        B-spline weights and their derivatives with respect to position, w[axis, offset]
    fx           offset of a particle from the lowest node of its 3x3x3 stencil, in cells (0.5 to 1.5)
    node         (momentum, mass) on the grid before its operation, (velocity, mass) after it
    g*, a*       cotangent (adjoint) of *
Source: Hu et al. 2018, "A Moving Least Squares Material Point Method", eqs. 16-18 and section 4; Jiang et al. 2015,
"The Affine Particle-In-Cell Method".
"""
