"""Arithmetic on lanes: what a kernel computes in one vector instruction for several environments side by side.

A lane value (`lane()`) holds one real number for each of `layout().width` environments; on a GPU, where an environment
has a thread of its own, it is a plain real. `Vec` and `Mat` are vectors and matrices whose components are lane values
or uniform reals; both mix. They exist only while a kernel is compiled: their operators write down the arithmetic of the
components. So the physics reads the same whether its numbers belong to one environment or to many.

Conditions on lanes are masks: `where` chooses lane by lane, `any_lane` decides whether a branch is worth entering.
Inside such a branch the lanes that did not ask for it compute too, and their contributions must come out as zero.

The compiler has no unary minus, no `-=` and no `ti.abs` for lane values: write `0.0 - x`, `x = x - y`, `absolute(x)`.
"""

from typing import Any

from genesis.compiler import Composite, element, layout, ti, traced, value


class Vec(Composite):
    """Components of a vector. Assignment and `+=`, `-=`, `*=` change them in place; a name given to an existing vector
    is another name for it."""

    def __init__(self, *parts: Any) -> None:
        self.parts = [value(part) for part in parts]

    @staticmethod
    def _alias(parts: list[Any]) -> "Vec":
        out = Vec()
        out.parts = parts
        return out

    def _zip(self, other: Any) -> zip:
        others = other.parts if isinstance(other, Vec) else [other] * len(self.parts)
        return zip(self.parts, others, strict=True)

    def __add__(self, other: Any) -> "Vec":
        return Vec(*(a + b for a, b in self._zip(other)))

    def __sub__(self, other: Any) -> "Vec":
        return Vec(*(a - b for a, b in self._zip(other)))

    def __mul__(self, other: Any) -> "Vec":
        return Vec(*(a * b for a, b in self._zip(other)))

    def __rmul__(self, other: Any) -> "Vec":
        return Vec(*(b * a for a, b in self._zip(other)))

    def __truediv__(self, other: Any) -> "Vec":
        return Vec(*(a / b for a, b in self._zip(other)))

    def __neg__(self) -> "Vec":
        return Vec(*(0.0 - a for a in self.parts))

    def __getitem__(self, index: Any) -> Any:
        return Vec._alias(self.parts[index]) if isinstance(index, slice) else self.parts[index]

    def _assign(self, other: "Vec") -> None:
        for a, b in self._zip(other):
            a._assign(b)

    def _augassign(self, other: Any, op: str) -> None:
        for a, b in self._zip(other):
            a._assign({"Add": a + b, "Sub": a - b, "Mult": a * b}[op])

    @traced
    def dot(self, other: "Vec") -> Any:
        total = None
        for a, b in self._zip(other):
            total = a * b if total is None else total + a * b
        return value(total)

    @traced
    def sum(self) -> Any:
        total = self.parts[0]
        for a in self.parts[1:]:
            total = total + a
        return value(total)

    @traced
    def max(self) -> Any:
        largest = self.parts[0]
        for a in self.parts[1:]:
            largest = ti.max(largest, a)
        return value(largest)

    @traced
    def norm(self) -> Any:
        return value(ti.sqrt(self.dot(self)))

    @traced
    def cross(self, other: "Vec") -> "Vec":
        (a, b, c), (x, y, z) = self.parts, other.parts
        return Vec(b * z - c * y, c * x - a * z, a * y - b * x)


class Mat(Composite):
    """Three rows of three."""

    def __init__(self, *rows: Vec) -> None:
        self.rows = list(rows)

    def __add__(self, other: "Mat") -> "Mat":
        return Mat(*(a + b for a, b in zip(self.rows, other.rows, strict=True)))

    def __sub__(self, other: "Mat") -> "Mat":
        return Mat(*(a - b for a, b in zip(self.rows, other.rows, strict=True)))

    def __mul__(self, number: Any) -> "Mat":
        return Mat(*(row * number for row in self.rows))

    def __rmul__(self, number: Any) -> "Mat":
        return self * number

    def __getitem__(self, index: int) -> Vec:
        return self.rows[index]

    def __matmul__(self, other: Any) -> Any:
        if isinstance(other, Vec):
            return Vec(*(row.dot(other) for row in self.rows))
        columns = other.transpose().rows
        return Mat(*(Vec(*(row.dot(column) for column in columns)) for row in self.rows))

    def _assign(self, other: "Mat") -> None:
        for a, b in zip(self.rows, other.rows, strict=True):
            a._assign(b)

    @traced
    def transpose(self) -> "Mat":
        return Mat(*(self.column(c) for c in range(3)))

    @traced
    def column(self, c: int) -> Vec:
        return Vec._alias([row.parts[c] for row in self.rows])

    @traced
    def trace(self) -> Any:
        return value(self[0][0] + self[1][1] + self[2][2])

    @traced
    def dot(self, other: "Mat") -> Any:
        """Sum of the products of all entries."""
        a, b, c = (mine.dot(theirs) for mine, theirs in zip(self.rows, other.rows, strict=True))
        return value(a + b + c)


@traced
def lane(x: Any = 0.0) -> Any:
    """A lane value, a variable, with x in every lane."""
    lay = layout()
    return value(ti.cast(x, lay.real) if lay.width == 1 else lay.lane(0.0) + x)


@traced
def by_parts(a: Vec, b: Vec) -> Vec:
    """The product of each component with that of the other vector."""
    return Vec(*(x * y for x, y in zip(a.parts, b.parts, strict=True)))


@traced
def whole(x: Any = 0) -> Any:
    """A lane value of integers, a variable, with x in every lane."""
    lay = layout()
    return value(ti.cast(x, ti.i32) if lay.width == 1 else lay.whole(0) + x)


@traced
def numbered() -> tuple[Any, Any]:
    """Lane values, variables, with the number of the lane in every lane, 0, 1, 2, …: of reals, and of integers."""
    lay = layout()
    if lay.width == 1:
        return value(ti.cast(0.0, lay.real)), value(ti.cast(0, ti.i32))
    return value(lay.lane(*range(lay.width))), value(lay.whole(*range(lay.width)))


@traced
def lanes3() -> Vec:
    """A zero vector of lane values, to add to."""
    return Vec(lane(), lane(), lane())


@traced
def lanes33() -> Mat:
    """A zero matrix of lane values, to assign to."""
    return Mat(lanes3(), lanes3(), lanes3())


@traced
def copy(vector: Vec) -> Vec:
    """A vector of its own."""
    return Vec(*vector.parts)


@traced
def where(mask: Any, a: Any, b: Any) -> Any:
    """a where the mask is set, else b; values, vectors or matrices."""
    if isinstance(a, Mat):
        return Mat(*(where(mask, x, y) for x, y in zip(a.rows, b.rows, strict=True)))
    if isinstance(a, Vec) or isinstance(b, Vec):
        n = len(a.parts if isinstance(a, Vec) else b.parts)
        rows = [x.parts if isinstance(x, Vec) else [x] * n for x in (a, b)]
        return Vec(*(ti.select(mask, x, y) for x, y in zip(*rows, strict=True)))
    return value(ti.select(mask, a, b))


@traced
def absolute(x: Any) -> Any:
    """|x| of a value, or of each component of a vector."""
    if isinstance(x, Vec):
        return Vec(*(ti.max(a, 0.0 - a) for a in x.parts))
    x = value(x)
    return value(ti.max(x, 0.0 - x))


@traced
def of_lane(x: Any, j: Any) -> Any:
    """Lane j of a lane value, as a real that can be assigned to."""
    return x if layout().width == 1 else element(x, j)


@traced
def set_lane(x: Any, j: Any, number: Any) -> None:
    """Overwrite lane j of a lane value."""
    of_lane(x, j)._assign(value(number))


@traced
def add(x: Any, low: Any, more: Any) -> tuple[Any, Any]:
    """x + low + more of float32, rounded, and what was rounded away; lane by lane in float64."""
    width = layout().width
    if width == 1:
        return add_reals(x, low, more)
    x, low, more, high, rest = value(x), value(low), value(more), lane(), lane()
    for j in range(width):
        a, b = add_reals(element(x, j), element(low, j), element(more, j))
        element(high, j)._assign(a)
        element(rest, j)._assign(b)
    return high, rest


@traced
def add_reals(x: Any, low: Any, more: Any) -> tuple[Any, Any]:
    """The same of single numbers. No sum of float32 alone would do: the compiler may take its remainder for zero."""
    total = value(ti.cast(x, ti.f64) + ti.cast(low, ti.f64) + ti.cast(more, ti.f64))
    rounded = value(ti.cast(total, ti.f32))
    return rounded, value(ti.cast(total - ti.cast(rounded, ti.f64), ti.f32))


@traced
def greatest(x: Any) -> Any:
    """The greatest of all lanes, a real."""
    lay = layout()
    most = value(of_lane(x, 0))
    for j in range(1, lay.width):
        most = ti.max(most, element(x, j))
    return value(most)


@traced
def any_lane(mask: Any) -> Any:
    """Whether the mask is set in some lane."""
    lay = layout()
    if lay.width == 1:
        return value(mask)
    flags = value(ti.select(mask, lay.lane(1.0), lay.lane(0.0)))
    total = element(flags, 0)
    for j in range(1, lay.width):
        total = total + element(flags, j)
    return value(total > 0.0)


@traced
def sine_cosine(x: Any) -> tuple[Any, Any]:
    """Sine and cosine of lane values or reals. Source of the polynomials: Moshier, Cephes (1989)."""
    lay = layout()
    if lay.width == 1:
        x = value(x)
        return value(ti.sin(x)), value(ti.cos(x))
    sines = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1]
    cosines = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2]
    if lay.real == ti.f64:
        sines = [1.58962301576546568060e-10, -2.50507477628578072866e-8, 2.75573136213857245213e-6,
                 -1.98412698295895385996e-4, 8.33333333332211858878e-3, -1.66666666666666307295e-1]  # fmt: skip
        cosines = [-1.13585365213876817300e-11, 2.08757008419747316778e-9, -2.75573141792967388112e-7,
                   2.48015872888517045348e-5, -1.38888888888730564116e-3, 4.16666666666665929218e-2]  # fmt: skip
    x = value(x)
    turns = value(ti.floor(x * 0.6366197723675814 + 0.5))  # quarter turns
    r = value(x - turns * 1.5707963267948966)
    r2 = value(r * r)
    s, c = sines[0], cosines[0]
    for a, b in zip(sines[1:], cosines[1:], strict=True):
        s, c = s * r2 + a, c * r2 + b
    s, c = value(r + r * r2 * s), value(1.0 - 0.5 * r2 + r2 * r2 * c)
    half, half_on = value(ti.floor(0.5 * turns)), value(ti.floor(0.5 * turns + 0.5))
    odd = value(turns - 2.0 * half > 0.5)
    sine_sign = 1.0 - 2.0 * (half - 2.0 * ti.floor(0.5 * half))
    cosine_sign = 1.0 - 2.0 * (half_on - 2.0 * ti.floor(0.5 * half_on))
    return value(sine_sign * ti.select(odd, c, s)), value(cosine_sign * ti.select(odd, s, c))


@traced
def arctangent(y: Any, x: Any) -> Any:
    """atan2 of lane values, lane by lane."""
    lay = layout()
    if lay.width == 1:
        return value(ti.atan2(y, x))
    y, x = value(y), value(x)
    out = lane()
    for j in range(lay.width):
        element(out, j)._assign(ti.atan2(element(y, j), element(x, j)))
    return out
