"""What the adjoint of every constitutive model is held against: central differences of its stress, in float64."""

import torch

from genesis.arrays import Array
from genesis.compiler import layout, per_runtime, ti
from genesis.launch import bind, kernel

STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
TENSORS = ("F", "m", "h", "Fn", "tau", "hn", "gF", "gm", "gh", "gFn", "gtau", "ghn")


@per_runtime
def evaluation(model):
    """Kernels that evaluate a model's stress and its adjoint at rows of arrays."""
    lay, functions = layout(), model.functions()
    get33, put33 = lay.get33, lay.put33
    size = {"F": 9, "m": 2 + len(model.own_numbers), "h": max(1, model.width), "tau": 9}
    length = {name: size[name.removeprefix("g").removesuffix("n")] for name in TENSORS}
    n_m, n_h = length["m"], length["h"]
    table = tuple(
        Array(name, "A33" if length[name] == 9 else "A1", ("rows",) if length[name] == 9 else ("rows", length[name]),
              "frames")
        for name in TENSORS
    )  # fmt: skip
    real = lay.real

    @ti.func
    def vector(n: ti.template(), array: ti.template(), i):
        out = ti.Vector.zero(real, n)
        for j in ti.static(range(n)):
            out[j] = array[i * n + j]
        return out

    @kernel(table, "frames")
    def stress(a: ti.template()):
        for i in range(a.F.shape[0]):
            Fn, tau, hn, _aux = functions.stress(get33(a.F, i), vector(n_m, a.m, i), vector(n_h, a.h, i))
            put33(a.Fn, i, Fn)
            put33(a.tau, i, tau)
            for j in ti.static(range(n_h)):
                a.hn[i * n_h + j] = hn[j]

    @kernel(table, "frames")
    def stress_adjoint(a: ti.template()):
        for i in range(a.F.shape[0]):
            F, m, h = get33(a.F, i), vector(n_m, a.m, i), vector(n_h, a.h, i)
            _Fn, _tau, _hn, aux = functions.stress(F, m, h)
            gF, gm, gh = functions.stress_adjoint(
                F, m, h, aux, get33(a.gFn, i), get33(a.gtau, i), vector(n_h, a.ghn, i)
            )
            put33(a.gF, i, gF)
            for j in ti.static(range(n_m)):
                a.gm[i * n_m + j] = gm[j]
            for j in ti.static(range(n_h)):
                a.gh[i * n_h + j] = gh[j]

    return stress, stress_adjoint, length


def trial_gradients(generator):
    """Random, near one, rotated, and one itself (24, 3, 3); all with positive determinant."""
    noise = torch.randn(24, 3, 3, generator=generator, dtype=torch.float64)
    one = torch.eye(3, dtype=torch.float64)
    turns = torch.linalg.matrix_exp(noise - noise.transpose(1, 2))
    F = one + 0.15 * noise
    F[6:12] = one + 1e-4 * noise[6:12]
    F[12:18] = turns[12:18] @ (one + 0.1 * noise[12:18])
    F[18:21] = turns[18:21]
    F[21:] = one
    return F


def check_adjoint(model, own_scale=1.0):
    """Raise unless the cotangents of F, of every number and of all memory are the derivatives.

    Own numbers are drawn between 0.5 and 1.5 times `own_scale`, memory around what it is at build time.
    """
    stress, stress_adjoint, length = evaluation(model)
    generator = torch.Generator().manual_seed(0)
    F = trial_gradients(generator)
    rows = len(F)
    m = 0.5 + torch.rand(rows, length["m"], generator=generator, dtype=torch.float64)
    m[:, 2:] *= own_scale
    memory = torch.tensor(model.initial_memory or [0.0], dtype=torch.float64)
    h = memory + (0.2 * torch.rand(rows, length["h"], generator=generator, dtype=torch.float64) if model.width else 0.0)
    values = {"F": F.reshape(rows, 9), "m": m, "h": h.expand(rows, -1)}
    arrays = {
        name: torch.zeros((rows, 3, 3) if n == 9 else (rows * n,), dtype=torch.float64) for name, n in length.items()
    }
    launches = bind(stress, arrays), bind(stress_adjoint, arrays)
    for name in ("gFn", "gtau", "ghn"):
        arrays[name].copy_(torch.randn(arrays[name].shape, generator=generator, dtype=torch.float64))
    if not model.width:
        arrays["ghn"].zero_()

    def put(changed):
        for name, value in changed.items():
            arrays[name].copy_(value.reshape(arrays[name].shape))

    def loss(changed):
        """(rows,)"""
        put(changed)
        launches[0]()
        pairs = (("Fn", "gFn"), ("tau", "gtau"), ("hn", "ghn"))
        return sum((arrays[a] * arrays[g]).reshape(rows, -1).sum(1) for a, g in pairs)

    put(values)
    launches[1]()
    computed = {name: arrays[f"g{name}"].reshape(rows, -1).clone() for name in values}
    for name, value in values.items():
        for j in range(value.shape[1]):
            direction = torch.zeros_like(value)
            direction[:, j] = 1.0
            errors = torch.stack([
                ((loss({**values, name: value + step * direction}) - loss({**values, name: value - step * direction}))
                 / (2 * step) - computed[name][:, j]).abs()
                for step in STEPS
            ]).amin(0)  # fmt: skip
            size = computed[name].norm(dim=1).clamp(min=1.0)
            assert (errors / size).max() < 1e-7, (model.name, name, j, int((errors / size).argmax()), errors.max())
