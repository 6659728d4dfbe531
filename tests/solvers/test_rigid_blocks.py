"""Kernels find the numbers of the rigid solver where the tables say."""

import math

import pytest

from genesis.arrays import Array, allocate
from genesis.compiler import ti
from genesis.launch import bind, kernel
from genesis.solvers.rigid import indices as at
from genesis.solvers.rigid import layout as slot

LINKS, GEOMS, DOFS, GROUNDS = 3, 5, 4, 2
TABLE = (Array("size", "I1", (slot.N_SIZES,), "constant"), Array("found", "I1", ("numbers",), "constant"))


def found_by_kernels(name, count, width, n_parameters):
    """Indices of the numbers of a block of parameters, of an only block of environments."""

    @kernel(TABLE, "constant")
    def find(arrays: ti.template()):
        for _ in range(1):
            sized = arrays.having(size=at.local(arrays.size, slot.N_SIZES))
            a = sized.having(blocks=at.blocks(sized, slot.PARAMETER_TABLE))
            for i in range(count):
                for c in ti.static(range(width)):
                    a.found[width * i + c] = at.block(a, 0, name, i, c)

    arrays = allocate(TABLE, {"numbers": count * width}, "constant")
    sizes = {slot.N_BLOCKS: 1, slot.LINKS: LINKS, slot.GEOMS: GEOMS, slot.DOFS: DOFS, slot.GROUNDS: GROUNDS}
    for place, size in {**sizes, slot.PARAMETERS: n_parameters}.items():
        arrays["size"][place] = size
    bind(find, arrays)()
    return arrays["found"].tolist()


@pytest.mark.parametrize("new", [None, ("rolling", ("links", 2)), ("backlash", ("dofs",))], ids=str)
def test_a_new_block_of_parameters_shifts_those_behind_it(monkeypatch, new):
    names = list(slot.PARAMETER_TABLE.items())
    if new:
        names.insert(2, new)
        monkeypatch.setattr(slot, "PARAMETER_TABLE", dict(names))
    blocks = slot.parameter_layout(LINKS, GEOMS, DOFS, GROUNDS)
    n_parameters = sum(math.prod(shape) for _, shape in blocks.values())
    assert list(blocks) == [name for name, _ in names]
    end = 0
    for name, (first, shape) in blocks.items():
        count = math.prod(shape)
        assert first == end
        end = first + count
        found = found_by_kernels(name, shape[0], count // shape[0], n_parameters)
        assert found == list(range(first, end)), name


def test_an_unknown_block_of_parameters_is_refused():
    with pytest.raises(ti.TaichiCompilationError, match="frictoin"):
        found_by_kernels("frictoin", LINKS, 1, 1)
