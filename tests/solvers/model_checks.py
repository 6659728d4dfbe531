"""What the adjoint of every constitutive model is held against: central differences of its stress, in float64."""

import torch

from genesis.arrays import Array
from genesis.compiler import element, layout, per_runtime, ti, traced, value
from genesis.launch import bind, kernel
from genesis.math.lanes import Mat, Vec

STEPS = (1e-4, 1e-5, 1e-6, 1e-7)
TENSORS = ("F", "m", "h", "Fn", "tau", "hn", "gF", "gm", "gh", "gFn", "gtau", "ghn")


@per_runtime
def evaluation(model):
    """Kernels that evaluate a model's stress and its adjoint at rows of arrays, several side by side."""
    functions = model.functions()
    size = {"F": 9, "m": 2 + len(model.own_numbers), "h": model.width, "tau": 9}
    length = {name: size[name.removeprefix("g").removesuffix("n")] for name in TENSORS}
    table = tuple(Array(name, "AL", ("blocks", length[name]), "frames") for name in TENSORS)

    def matrix(name):
        return name.removeprefix("g").removesuffix("n") in ("F", "tau")

    @traced
    def load(name, a, i):
        numbers = [element(getattr(a, name), i * length[name] + k) for k in range(length[name])]
        return Mat(*(Vec(*numbers[3 * r : 3 * r + 3]) for r in range(3))) if matrix(name) else Vec(*numbers)

    @traced
    def store(name, a, i, found):
        numbers = [x for row in found.rows for x in row.parts] if isinstance(found, Mat) else found.parts
        assert len(numbers) == length[name], (model.name, name)
        for k, x in enumerate(numbers):
            element(getattr(a, name), i * length[name] + k)._assign(value(x))

    @kernel(table, "frames")
    def stress(a: ti.template()):
        for i in range(a.F.shape[0] // 9):
            Fn, tau, hn, _kept = functions.stress(load("F", a, i), load("m", a, i), load("h", a, i))
            store("Fn", a, i, Fn)
            store("tau", a, i, tau)
            store("hn", a, i, hn)

    @kernel(table, "frames")
    def stress_adjoint(a: ti.template()):
        for i in range(a.F.shape[0] // 9):
            F, m, h = load("F", a, i), load("m", a, i), load("h", a, i)
            _Fn, _tau, _hn, kept = functions.stress(F, m, h)
            gF, gm, gh = functions.stress_adjoint(
                F, m, h, kept, load("gFn", a, i), load("gtau", a, i), load("ghn", a, i)
            )
            store("gF", a, i, gF)
            store("gm", a, i, gm)
            store("gh", a, i, gh)

    return stress, stress_adjoint, length


class Evaluation:
    """A model's stress and its adjoint at rows (a multiple of the lanes) of torch tensors by the names in TENSORS."""

    def __init__(self, model, rows):
        stress, stress_adjoint, self.length = evaluation(model)
        lay = layout()
        self.rows, self.width = rows, lay.width
        blocks = rows // self.width
        lanes = (self.width,) if self.width > 1 else ()
        self.arrays = {
            name: torch.zeros((max(1, blocks * n), *lanes), dtype=lay.dtype) for name, n in self.length.items()
        }
        self.launches = tuple(bind(kernel, self.arrays, lanes=True) for kernel in (stress, stress_adjoint))

    def put(self, values):
        for name, given in values.items():
            n = self.length[name]
            if n:
                lanes = given.reshape(-1, self.width, n).transpose(1, 2)
                self.arrays[name].copy_(lanes.reshape(self.arrays[name].shape))

    def get(self, name):
        n = self.length[name]
        lanes = self.arrays[name][: self.rows // self.width * n]
        return lanes.reshape(self.rows // self.width, n, self.width).transpose(1, 2).reshape(self.rows, n).double()

    def forward(self, values):
        """Fn, tau, hn by name."""
        self.put(values)
        self.launches[0]()
        return {name: self.get(name) for name in ("Fn", "tau", "hn")}

    def adjoint(self, values):
        """gF, gm, gh by name of the value."""
        self.put(values)
        self.launches[1]()
        return {name: self.get(f"g{name}") for name in ("F", "m", "h")}


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


OWN = {
    "von_mises_yield_stress": 0.05, "hardening_modulus": 0.3, "friction_angle": 30.0, "yield_lower": 0.025,
    "yield_higher": 0.0075, "hardening": 10.0, "hardening_limit": 3.0,
}  # fmt: skip
"""Sizes of numbers that only some models have, for mu and lambda of about one; 1 of others."""
PRESSED = {"sand": 0.97}
"""Models that have a kink at rest: their trial gradients are pressed by so much."""


def check_adjoint(model):
    """Raise unless the cotangents of F, of every number and of all memory are the derivatives.

    Own numbers are drawn between 0.5 and 1.5 times those in OWN, memory around what it is at build time.
    """
    generator = torch.Generator().manual_seed(0)
    F = PRESSED.get(model.name, 1.0) * trial_gradients(generator)
    rows = len(F)
    at = Evaluation(model, rows)
    m = 0.5 + torch.rand(rows, at.length["m"], generator=generator, dtype=torch.float64)
    m[:, 2:] *= torch.tensor([OWN.get(name, 1.0) for name in model.own_numbers], dtype=torch.float64)
    memory = torch.tensor(model.initial_memory, dtype=torch.float64)
    h = memory + 0.02 * torch.rand(rows, model.width, generator=generator, dtype=torch.float64)
    values = {"F": F.reshape(rows, 9), "m": m, "h": h}
    cotangents = {
        name: torch.randn(rows, at.length[name], generator=generator, dtype=torch.float64)
        for name in ("gFn", "gtau", "ghn")
    }

    def loss(changed):
        """(rows,)"""
        return sum((found * cotangents[f"g{name}"]).sum(1) for name, found in at.forward(changed).items())

    computed = at.adjoint({**values, **cotangents})
    for name, here in values.items():
        for j in range(here.shape[1]):
            direction = torch.zeros_like(here)
            direction[:, j] = here[:, j].abs().clamp(min=0.1)
            errors = torch.stack([
                ((loss({**values, name: here + step * direction}) - loss({**values, name: here - step * direction}))
                 / (2 * step) - computed[name][:, j] * direction[:, j]).abs()
                for step in STEPS
            ]).amin(0)  # fmt: skip
            size = computed[name].norm(dim=1).clamp(min=1.0)
            assert (errors / size).max() < 1e-7, (model.name, name, j, int((errors / size).argmax()), errors.max())
