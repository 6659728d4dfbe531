"""Isotropic models written plainly, on singular values with 40 digits (mpmath), and their directional derivatives by
central differences at 1e-12 (error 1e-24). Nothing here is shared with the kernels."""

import mpmath as mp
import numpy as np

DIGITS = 40
H = mp.mpf(10) ** -12


def rotation(rng):
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array([
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ])  # fmt: skip


def signed_svd(F):
    """F = U diag(s) V with rotations; the smallest singular value has the sign of det F."""
    U, S, V = mp.svd_r(F)
    s = [S[i] for i in range(3)]
    if mp.det(U) < 0:
        U[:, 2] = -U[:, 2]
        s[2] = -s[2]
    if mp.det(V) < 0:
        V[2, :] = -V[2, :]
        s[2] = -s[2]
    return U, s, V


def logarithmic(s, mu, lam, volume, radius, growth):
    """h, t, flow and theta - theta'. radius(theta) -> (radius over 2 mu, theta')."""
    e = [mp.log(max(x, mp.mpf("0.05"))) for x in s]
    theta = sum(e) + volume
    dev = [x - sum(e) / 3 for x in e]
    n = mp.sqrt(sum(x * x for x in dev))
    y, after = radius(theta)
    flow = max(n - y, 0) / (1 + growth)
    k = 1 - flow / n if flow > 0 else mp.mpf(1)
    new = [k * x + after / 3 for x in dev]
    stretches = list(s) if flow == 0 and after == sum(e) else [mp.exp(x) for x in new]
    return stretches, [2 * mu * x + lam * after for x in new], flow, theta - after


def principal(name, s, m, h):
    """h(s), t(s) and the new memory."""
    mu, lam, *own = m
    J = s[0] * s[1] * s[2]
    if name == "corotated":
        return s, [2 * mu * (x - 1) * x + lam * J * (J - 1) for x in s], h
    if name in ("vonmises", "vonmises_hardening"):
        growth = own[1] / (2 * mu) if len(own) > 1 else mp.mpf(0)
        old = h[0] if h else mp.mpf(0)
        new, t, flow, _ = logarithmic(
            s, mu, lam, mp.mpf(0), lambda theta: (own[0] / (2 * mu) + growth * old, theta), growth
        )
        return new, t, [old + flow] if h else []
    if name == "sand":
        sine = mp.sin(own[0] * mp.pi / 180)
        slope = mp.sqrt(mp.mpf(2) / 3) * 2 * sine / (3 - sine)
        cone = slope * (3 * lam + 2 * mu) / (2 * mu)
        zero = mp.mpf(0)
        new, t, _, volume = logarithmic(
            s, mu, lam, h[0], lambda theta: (cone * max(-theta, zero), min(theta, zero)), zero
        )
        return new, t, [volume]
    low, high = own[:2]
    new = [min(max(x, 1 - low), 1 + high) for x in s]
    Jh = new[0] * new[1] * new[2]
    q = mp.mpf(1)
    if name == "snow":
        h = [h[0] * J / Jh]
        q = min(mp.exp(own[2] * (1 - h[0])), own[3])
    return new, [q * (2 * mu * (x - 1) * x + lam * Jh * (Jh - 1)) for x in new], h


def evaluate(name, F, m, h):
    """F', tau and the new memory of mpmath matrices and numbers."""
    U, s, V = signed_svd(F)
    stretches, t, new = principal(name, s, m, h)
    return U * mp.diag(stretches) * V, U * mp.diag(t) * U.T, new


def exact(values):
    return [mp.mpf(float(x)) for x in np.ravel(values)]


def matrix(values):
    return mp.matrix(3, 3) + mp.matrix([exact(row) for row in np.reshape(values, (3, 3))])


def flat(M):
    return np.array([float(M[i, j]) for i in range(3) for j in range(3)])


def forward(name, F, m, h):
    """F', tau (9,) and the new memory, of float64 arrays."""
    with mp.workdps(DIGITS):
        Fn, tau, new = evaluate(name, matrix(F), exact(m), exact(h))
        return flat(Fn), flat(tau), np.array([float(x) for x in new])


def derivative(name, F, m, h, direction, cotangents):
    """Along a direction (dF, dm, dh) of the sum of all results times their cotangents (gF', gtau, gh')."""
    with mp.workdps(DIGITS):
        dF, dm, dh = matrix(direction[0]), exact(direction[1]), exact(direction[2])
        gFn, gtau, gh = exact(cotangents[0]), exact(cotangents[1]), exact(cotangents[2])
        ends = []
        for step in (H, -H):
            Fn, tau, new = evaluate(
                name,
                matrix(F) + step * dF,
                [x + step * d for x, d in zip(exact(m), dm, strict=True)],
                [x + step * d for x, d in zip(exact(h), dh, strict=True)],
            )
            total = sum(g * x for g, x in zip(gh, new, strict=True))
            for k in range(9):
                total += gFn[k] * Fn[k // 3, k % 3] + gtau[k] * tau[k // 3, k % 3]
            ends.append(total)
        return float((ends[0] - ends[1]) / (2 * H))
