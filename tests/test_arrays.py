"""Arrays by name: tables, kernels made from them, and what `bind` refuses."""

import pytest
import torch

from genesis import launch
from genesis.arrays import Array, allocate, count_bytes, named, view
from genesis.compiler import layout, per_runtime, ti
from genesis.errors import GenesisRuntimeError
from genesis.launch import bind, kernel

TABLE = (
    Array("size", "I1", (1,), "constant"),
    Array("x", "A3", ("frames", "items"), "frames"),
    Array("y", "A3", ("frames", "items"), "frames"),
    Array("total", "A1", ("items",), "scratch"),
    Array("gtotal", "A1", ("items",), "adjoint"),
)
SIZES = {"frames": 2, "items": 700}


@per_runtime
def kernels():
    lay = layout()

    @ti.func
    def length(a: ti.template(), i):
        return lay.get3(a.x, i).norm()

    @kernel(TABLE, "constant", "frames", "scratch")
    def measure(a: ti.template()):
        for i in range(a.size[0]):
            a.total[i] = length(a, i)
        for i in range(a.size[0]):
            lay.put3(a.y, i, a.total[i] * lay.get3(a.x, i))

    return measure


def made():
    arrays = allocate(TABLE, SIZES, "constant", "frames", "scratch")
    arrays["size"][0] = SIZES["items"]
    view(TABLE, arrays, "x", SIZES).copy_(torch.randn(2, 700, 3, generator=torch.Generator().manual_seed(0)))
    return arrays


def test_a_kernel_works_on_its_arrays_by_name():
    arrays = made()
    bind(kernels(), dict(reversed(arrays.items())))()
    x, y = (view(TABLE, arrays, name, SIZES)[0] for name in ("x", "y"))
    torch.testing.assert_close(y, x * x.norm(dim=1, keepdim=True))


def test_kernels_of_one_name_have_arrays_of_their_own():
    """Both are made before the first is bound: two scenes of other features, of which the first is stepped last."""

    def filler(table):
        @kernel(table, "constant", "frames", "scratch")
        def fill(a: ti.template()):
            for i in range(a.size[0]):
                a.total[i] = 3.0

        return fill

    without_y = tuple(array for array in TABLE if array.name != "y")
    fills = {table: filler(table) for table in (TABLE, without_y)}
    for table, fill in fills.items():
        arrays = allocate(table, SIZES, "constant", "frames", "scratch")
        arrays["size"][0] = SIZES["items"]
        bind(fill, arrays)()
        assert (arrays["total"] == 3.0).all()


def test_a_launch_is_refused_once_the_compiler_has_let_go_of_it(monkeypatch):
    monkeypatch.setattr(launch, "_launches", set())
    ended, other = bind(kernels(), made()), bind(kernels(), made())
    launch._launches.discard(other)
    launch._end_launches()
    with pytest.raises(GenesisRuntimeError, match="a kernel must be launched .* got a launch after gs.destroy"):
        ended()
    other()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda arrays: arrays.pop("y"), "missing y"),
        (lambda arrays: arrays.update(z=arrays["x"]), "superfluous z"),
        (lambda arrays: arrays.update(x=arrays["y"], y=arrays["x"]), "argument x .* got 'y'"),
        (lambda arrays: arrays.update(x=torch.zeros(700, 3, dtype=arrays["x"].dtype)), "argument x .* of shape"),
        (lambda arrays: arrays.update(total=torch.zeros(700, dtype=torch.int32)), "argument total .*int32 of"),
        (lambda arrays: arrays.update(total=named("gtotal", arrays["total"].clone())), "argument total .* 'gtotal'"),
    ],
    ids=["missing", "superfluous", "swapped", "shape", "dtype", "another's"],
)
def test_bind_refuses_other_arrays(change, message):
    arrays = made()
    change(arrays)
    with pytest.raises(GenesisRuntimeError, match=message):
        bind(kernels(), arrays)


def test_bytes_are_those_of_the_arrays():
    arrays = allocate(TABLE, SIZES, "constant", "frames")
    assert count_bytes(TABLE, SIZES, "constant", "frames") == sum(
        a.nelement() * a.element_size() for a in arrays.values()
    )


def test_bytes_and_lanes_of_integers_are_arrays_too():
    table = (Array("pixels", "U1", ("n",), "frames"), Array("hits", "IL", ("n",), "frames"))
    arrays = allocate(table, {"n": 24}, "frames")
    assert arrays["pixels"].dtype == torch.uint8 and arrays["hits"].dtype == torch.int32
    assert arrays["hits"].nelement() == 24 * layout().width

    @kernel(table, "frames")
    def fill(a: ti.template()):
        for i in range(24):
            a.pixels[i] = ti.cast(10 * i, ti.u8)
        for i in range(24):
            a.hits[i] = a.hits[i] + i

    bind(fill, arrays, lanes=True)()
    assert arrays["pixels"].tolist() == list(range(0, 240, 10))
    assert (arrays["hits"].view(24, -1) == torch.arange(24)[:, None]).all()
    assert count_bytes(table, {"n": 24}, "frames") == 24 + 4 * 24 * layout().width


def test_only_the_lives_asked_for_are_allocated():
    assert set(allocate(TABLE, SIZES, "adjoint")) == {"gtotal"}


def test_arrays_whose_indices_would_not_fit_are_refused():
    """Of matrices on a CPU from 2^30 numbers on, of which kernels mask indices; of nodes from 2^31."""
    with pytest.raises(GenesisRuntimeError, match=f"fewer than {2**30} elements"):
        layout().new(2**30 // 9 + 1, 9)
    with pytest.raises(GenesisRuntimeError, match=f"fewer than {2**31} elements"):
        layout().new(2**29, 4)
