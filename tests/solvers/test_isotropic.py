"""Isotropic models where formulas for their adjoint break: equal, nearly equal, zero and negative singular values."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.solvers.mpm.models import MODELS
from tests.solvers import isotropic_oracle as oracle
from tests.solvers.model_checks import Evaluation

NUMBERS = {
    "corotated": [], "vonmises": [0.04], "vonmises_hardening": [0.04, 0.5], "clamped": [0.025, 0.0075],
    "sand": [25.0], "snow": [0.025, 0.0075, 10.0, 3.0],
}  # fmt: skip
"""Own numbers; mu is 1 and lambda 1.5."""
GENERIC = {"sand": (0.9, 0.8, 0.8), "clamped": (1.2, 0.9, 0.9), "snow": (1.2, 0.9, 0.9)}
"""Singular values that flow, two of them equal."""


def places(model):
    """(name, singular values); none lies on a kink."""
    base = np.array(GENERIC.get(model, (1.1, 0.97, 0.97)))
    pressed = 0.97 if model == "sand" else 1.0
    found = [("generic", base + (0.03, 0.01, -0.02)), ("two equal", base), ("all equal", np.full(3, 0.8))]
    found += [(f"gap {gap:g}", base - (0, 0, gap)) for gap in (1e-14, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3)]
    found += [("rest", np.full(3, pressed) + 1e-3)]
    found += [(f"strain {x:g}", pressed + x * np.array([1.0, -0.3, -0.4])) for x in (1e-8, 1e-5, 1e-3)]
    found += [
        ("far", np.exp((0.5, -0.1, -0.4)) * (0.7 if model == "sand" else 1.0)),
        ("crushed", (1.1, 0.9, 0.06)), ("flat", (1.1, 0.9, 0.01)), ("zero", (1.1, 0.9, 0.0)),
        ("barely negative", (1.1, 0.9, -1e-6)), ("negative", (1.1, 0.9, -0.3)),
        ("negative, two equal", (1.1, 1.1, -0.3)),
    ]  # fmt: skip
    return [(name, np.asarray(s, dtype=float)) for name, s in found]


def sample(model):
    """Values and cotangents by name, float64, exact in the running precision, and the names of the rows."""
    rng = np.random.default_rng(0)
    names, F = [], []
    for name, s in places(model):
        names.append(name)
        F.append(oracle.rotation(rng) @ np.diag(s) @ oracle.rotation(rng).T)
    names += ["generic"] * (-len(names) % 8)
    F += F[:1] * (len(names) - len(F))
    rows, memory = len(names), MODELS[model].initial_memory
    values = {
        "F": np.array(F).reshape(rows, 9),
        "m": np.tile([1.0, 1.5, *NUMBERS[model]], (rows, 1)),
        "h": np.tile(np.array(memory) + 0.01, (rows, 1)) if memory else np.zeros((rows, 0)),
        "gFn": rng.normal(size=(rows, 9)),
        "gtau": rng.normal(size=(rows, 9)),
        "ghn": rng.normal(size=(rows, len(memory))),
    }
    return names, {name: torch.tensor(x).to(gs.tc_float).double() for name, x in values.items()}


@pytest.mark.parametrize("model", NUMBERS)
def test_maps_and_their_adjoint_where_singular_values_meet_vanish_or_change_sign(model):
    names, values = sample(model)
    at = Evaluation(MODELS[model], len(names))
    found, computed = at.forward({name: values[name] for name in ("F", "m", "h")}), at.adjoint(values)
    bar, rng = (1e-12 if gs.tc_float == torch.float64 else 1e-4), np.random.default_rng(1)
    arrays = {name: x.numpy() for name, x in values.items()}
    for i, name in enumerate(names):
        F, m, h = (arrays[key][i] for key in ("F", "m", "h"))
        for mine, theirs in zip(found.values(), oracle.forward(model, F, m, h), strict=True):
            assert np.linalg.norm(mine[i].numpy() - theirs) < bar * max(1.0, np.linalg.norm(theirs)), name
        cotangents = [arrays[key][i] for key in ("gFn", "gtau", "ghn")]
        for _ in range(2):
            direction = [rng.normal(size=x.shape) for x in (F, m, h)]
            expected = oracle.derivative(model, F, m, h, direction, cotangents)
            terms = [computed[key][i].numpy() * d for key, d in zip(("F", "m", "h"), direction, strict=True)]
            size = max(1.0, np.linalg.norm(np.concatenate(terms)))
            assert abs(sum(term.sum() for term in terms) - expected) < bar * size, (name, expected)


def clamped_adjoint(U, s, V, gFn, h, slopes):
    """Cotangent of F of F' = U diag(h(s)) V^T as other engines compute it: through U and V, with s_j^2 - s_i^2 kept
    from zero by 1e-6."""
    gap = s[None, :] ** 2 - s[:, None] ** 2
    inverse = np.where(np.eye(3) > 0, 0.0, 1.0 / np.where(gap >= 0, np.maximum(gap, 1e-6), np.minimum(gap, -1e-6)))
    gU, gV, gh = gFn @ V @ np.diag(h), gFn.T @ U @ np.diag(h), np.diag(U.T @ gFn @ V)
    of_U = U @ (inverse * (U.T @ gU - gU.T @ U)) @ np.diag(s) @ V.T
    of_V = U @ np.diag(s) @ (inverse * (V.T @ gV - gV.T @ V)) @ V.T
    return U @ np.diag(slopes @ gh) @ V.T + of_U + of_V


@pytest.mark.precision("64")
def test_a_derivative_through_clamped_axes_is_wrong_where_two_singular_values_meet():
    """Bounded stretches (1.2, 0.9, 0.9): the formula that peers use, and ours."""
    low, high = NUMBERS["clamped"]
    rng, errors = np.random.default_rng(2), {}
    at = Evaluation(MODELS["clamped"], 8)
    for gap in (1e-2, 0.0):
        s = np.array([1.2, 1.0 - low / 2 + gap, 1.0 - low / 2])
        h, free = np.clip(s, 1 - low, 1 + high), np.diag((s > 1 - low) & (s < 1 + high)).astype(float)
        wrong, right = [], []
        for _ in range(4):
            U, V, gFn = oracle.rotation(rng), oracle.rotation(rng), rng.normal(size=(3, 3))
            F = U @ np.diag(s) @ V.T
            m, nothing = np.array([1.0, 1.5, low, high]), np.zeros(0)
            values = {"F": F, "m": m, "h": nothing, "gFn": gFn, "gtau": np.zeros(9), "ghn": nothing}
            rows = {key: torch.tensor(np.tile(np.ravel(x), (8, 1))) for key, x in values.items()}
            ours = at.adjoint(rows)["F"][0].numpy().reshape(3, 3)
            theirs = clamped_adjoint(U, s, V, gFn, h, free)
            for _ in range(3):
                dF = rng.normal(size=(3, 3))
                exact = oracle.derivative("clamped", F, m, nothing, (dF, 0 * m, nothing), (gFn, np.zeros(9), nothing))
                wrong.append(abs((theirs * dF).sum() - exact) / np.linalg.norm(ours))
                right.append(abs((ours * dF).sum() - exact) / np.linalg.norm(ours))
        errors[gap] = np.linalg.norm(wrong) / len(wrong) ** 0.5
        assert max(right) < 1e-12
    assert errors[1e-2] < 1e-6 and errors[0.0] > 0.1
