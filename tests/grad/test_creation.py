"""The creation ops: torch's, on the device and in the precision of `gs.init`."""

import math

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import plain_of


class Scene:
    """Stands for a scene."""


LIKE = torch.tensor([1.0, 2.0])
CALLS = {
    "tensor": ([1.0, 2.0],),
    "asarray": ([1.0, 2.0],),
    "as_tensor": ([1.0, 2.0],),
    "as_strided": (torch.arange(4.0), (2,), (2,)),
    "from_numpy": (np.ones(2),),
    "zeros": (2,),
    "zeros_like": (LIKE,),
    "ones": (2,),
    "ones_like": (LIKE,),
    "arange": (0.0, 1.0, 0.5),
    "range": (0.0, 1.0, 0.5),
    "linspace": (0.0, 1.0, 3),
    "logspace": (0.0, 1.0, 3),
    "eye": (2,),
    "empty": (2,),
    "empty_like": (LIKE,),
    "empty_strided": ((2,), (1,)),
    "full": ((2,), 0.5),
    "full_like": (LIKE, 0.5),
    "rand": (2,),
    "rand_like": (LIKE,),
    "randn": (2,),
    "randn_like": (LIKE,),
    "randint": (0, 9, (2,)),
    "randint_like": (LIKE, 0, 9),
    "randperm": (3,),
}
INTEGER = {"randint", "randperm"}
RANDOM = {"rand", "randn", "randint", "randperm", "rand_like", "randn_like", "randint_like"}


def test_there_are_26_creation_ops():
    assert len(CALLS) == 26 and all(hasattr(gs, name) and name in gs.__all__ for name in CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_common_contract(name):
    scene, op, args = Scene(), getattr(gs, name), CALLS[name]
    made = op(*args, scene=scene)
    assert type(made) is gs.Tensor and made.scene is scene and made.device == gs.device
    assert made.dtype == (gs.tc_int if name in INTEGER else gs.tc_float)
    assert made.is_leaf and not made.requires_grad
    wanted = {} if name not in INTEGER else {"dtype": float}
    if name != "randperm":
        leaf = op(*args, requires_grad=True, **wanted)
        assert leaf.requires_grad and leaf.is_leaf and leaf.dtype == gs.tc_float
        (leaf * 2.0).sum().backward()
        assert torch.equal(leaf.grad, torch.full_like(plain_of(leaf.detach()), 2.0))
    with pytest.raises(GenesisTypeError if name not in ("from_numpy", "as_strided") else TypeError, match="device"):
        op(*args, device="cpu")
    with pytest.raises(GenesisTypeError, match="Unsupported dtype.*torch.float64.*got torch.float16"):
        op(*args, dtype=torch.float16)


@pytest.mark.parametrize("name", sorted(set(CALLS) - RANDOM - {"empty", "empty_like", "empty_strided"}))
@pytest.mark.filterwarnings("ignore:torch.range is deprecated")
def test_values_are_torchs(name):
    expected = getattr(torch, name)(*CALLS[name])
    assert torch.allclose(plain_of(getattr(gs, name)(*CALLS[name])), expected.to(gs.tc_float))


@pytest.mark.parametrize("name", sorted(RANDOM))
def test_random_ops_repeat_with_the_seed(name):
    draws = []
    for _ in range(2):
        torch.manual_seed(7)
        draws.append(getattr(gs, name)(*CALLS[name]))
    assert torch.equal(*draws)
    generator = torch.Generator().manual_seed(3)
    if not name.endswith("_like"):
        assert getattr(gs, name)(*CALLS[name], generator=generator).shape == draws[0].shape


def test_replacing_torch_by_genesis():
    x = gs.rand(size=(4, 3), requires_grad=True)
    assert x.shape == (4, 3) and x.is_leaf
    assert gs.zeros((2, 3)).shape == gs.zeros(2, 3).shape == gs.zeros([2, 3]).shape == gs.zeros(size=(2, 3)).shape
    assert gs.full(size=(2,), fill_value=True).dtype == gs.tc_bool
    assert gs.zeros(()).shape == ()


@pytest.mark.precision("64")
def test_values_at_precision_64_never_pass_through_float32():
    tenth = 0.1
    for made in (
        gs.tensor(tenth),
        gs.tensor([[tenth]]),
        gs.as_tensor([tenth]),
        gs.asarray(tenth),
        gs.full((1,), tenth),
        gs.full_like(LIKE[:1], tenth),
        gs.linspace(tenth, 1, 2)[0],
        gs.arange(tenth, 1.0, 5.0),
        gs.from_numpy(np.array([tenth])),
        gs.tensor(tenth, dtype=torch.float32),
        gs.Tensor([tenth]),
    ):
        assert made.item() == tenth and made.dtype == torch.float64
    assert gs.logspace(-1, 0, 2)[0].item() == pytest.approx(tenth, rel=1e-15)
    assert not torch.equal(gs.rand(100), gs.rand(100).float().double()), "random bits beyond float32"


@pytest.mark.precision("32")
def test_values_at_precision_32_are_rounded_once():
    for made in (
        gs.tensor(0.1),
        gs.full((1,), 0.1),
        gs.from_numpy(np.array([0.1])),
        gs.tensor(0.1, dtype=torch.float64),
    ):
        assert made.item() == np.float32(0.1) and made.dtype == torch.float32


def test_kinds_are_inferred():
    assert gs.tensor([1, 2]).dtype == gs.tc_int == torch.int32
    assert gs.tensor([1, 2.5]).dtype == gs.tc_float
    assert gs.tensor([True]).dtype == gs.tc_bool
    assert gs.tensor([]).dtype == gs.tc_float
    assert gs.arange(5).dtype == gs.arange(0, 5, 2).dtype == gs.arange(start=0, end=4).dtype == gs.tc_int
    assert gs.arange(5.0).dtype == gs.arange(0, 1, step=0.5).dtype == gs.tc_float
    assert gs.full((2,), 3).dtype == gs.tc_int
    assert gs.zeros_like(torch.ones(2, dtype=torch.bool)).dtype == gs.tc_bool
    assert gs.ones_like(input=torch.ones(2, dtype=torch.int64)).dtype == gs.tc_int
    assert gs.full_like(torch.ones(2, dtype=torch.int64), 2).tolist() == [2, 2]
    assert gs.randint(3, (4,)).dtype == gs.randint(high=3, size=(4,)).dtype == gs.tc_int
    for width in (torch.int8, torch.uint8, torch.int16, torch.int64, torch.uint16):
        assert gs.tensor(torch.ones(2, dtype=width)).tolist() == [1, 1]
    assert gs.tensor(np.float32(0.5)).dtype == gs.tensor(np.ones(2, np.float16)).dtype == gs.tc_float
    assert gs.tensor([torch.tensor(1.0), torch.tensor(2.0)]).tolist() == [1.0, 2.0]


def test_dtype_overrides():
    assert gs.tensor([1, 2], dtype=float).dtype == gs.zeros(2, dtype=torch.float64).dtype == gs.tc_float
    assert gs.tensor([1.7, -1.7], dtype=int).tolist() == [1, -1]
    assert gs.zeros(2, dtype=torch.int64).dtype == gs.tc_int
    assert gs.tensor([0.0, 2.0], dtype=bool).tolist() == [False, True]
    assert gs.arange(3, dtype=float).tolist() == [0.0, 1.0, 2.0]
    assert gs.randint(0, 5, (3,), dtype=float).dtype == gs.tc_float
    assert gs.eye(2, dtype=bool).tolist() == [[True, False], [False, True]]
    for dtype in (torch.float16, torch.bfloat16, torch.complex64, torch.uint8, torch.int16, "float", np.float64, []):
        with pytest.raises(GenesisTypeError, match="Unsupported dtype: dtype must be one of float, int, bool"):
            gs.zeros(2, dtype=dtype)
    for data in (torch.ones(2, dtype=torch.complex64), [1j], np.ones(2, complex)):
        with pytest.raises(GenesisTypeError, match="Unsupported dtype: data"):
            gs.tensor(data)


@pytest.mark.parametrize(
    "make",
    [
        lambda: gs.tensor([2**40]),
        lambda: gs.tensor(2**31),
        lambda: gs.tensor(-(2**31) - 1),
        lambda: gs.tensor([2**70]),
        lambda: gs.as_tensor(torch.tensor([2**40])),
        lambda: gs.asarray(torch.tensor([2**40])),
        lambda: gs.from_torch(torch.tensor([2**40]), detach=False),
        lambda: gs.from_torch(torch.tensor([2**40])),
        lambda: gs.from_numpy(np.array([2**40])),
        lambda: gs.from_numpy(np.array([2**63], np.uint64)),
        lambda: gs.full((2,), 2**40),
        lambda: gs.full_like(torch.ones(2, dtype=torch.int32), 2**40),
        lambda: gs.arange(2**40, 2**40 + 2),
        lambda: gs.randint(2**40, 2**40 + 2, (2,)),
        lambda: gs.tensor([1e10], dtype=int),
        lambda: gs.tensor(torch.tensor([math.nan]), dtype=int),
    ],
)
def test_an_integer_that_does_not_fit_raises(make):
    with pytest.raises(GenesisValueError, match="integers must fit into int32"):
        make()


def test_the_largest_integers_fit():
    ends = [-(2**31), 2**31 - 1]
    assert gs.tensor(ends).tolist() == ends
    assert gs.tensor([2**40], dtype=float).item() == 2.0**40


def test_options_are_refused_or_passed_on():
    with pytest.raises(GenesisTypeError, match="device= must not be given, got 'cuda'.*gs.init chose, here 'cpu'"):
        gs.zeros(2, device="cuda")
    with pytest.raises(GenesisTypeError, match="out= must not be given"):
        gs.zeros(2, out=torch.zeros(2))
    with pytest.raises(TypeError):
        gs.zeros(2, nonsense=1)
    with pytest.raises(GenesisValueError, match="requires_grad must be of floats, got torch.int32"):
        gs.tensor([1], requires_grad=True)
    assert gs.empty_like(torch.ones(2, 3).T, memory_format=torch.contiguous_format).is_contiguous()


def test_tensor_copies_and_is_a_leaf():
    source = torch.ones(2, dtype=gs.tc_float, requires_grad=True)
    made = gs.tensor(source * 1.0)
    assert made.is_leaf and not made.requires_grad
    array = np.ones(2, gs.np_float)
    for op in (gs.tensor, gs.from_numpy, gs.as_tensor, gs.asarray):
        copied = op(array)
        array[0] = 5.0
        assert copied.tolist() == [1.0, 1.0]
        array[0] = 1.0
    assert gs.from_numpy(array[::-1]).tolist() == [1.0, 1.0]
    read_only = np.ones(2)
    read_only.flags.writeable = False
    assert gs.from_numpy(read_only).tolist() == [1.0, 1.0]


def test_as_tensor_asarray_and_as_strided_share():
    source = torch.ones(4, dtype=gs.tc_float, requires_grad=True)
    assert gs.as_tensor(source).data_ptr() == source.data_ptr() and gs.as_tensor(source).requires_grad
    assert gs.asarray(source).data_ptr() == source.data_ptr() and not gs.asarray(source).requires_grad
    assert gs.asarray(source, requires_grad=True).requires_grad
    assert gs.asarray(source, copy=True).data_ptr() != source.data_ptr()
    view = gs.as_strided(source, (2, 2), (1, 2))
    assert view.data_ptr() == source.data_ptr()
    view.sum().backward()
    assert source.grad.tolist() == [1, 1, 1, 1]
    assert type(source) is torch.Tensor, "the caller's tensor stays as it is"
    with pytest.raises(GenesisValueError, match="copy must be"):
        gs.asarray([1.0], copy=False)


def test_from_torch_detached_is_a_new_leaf():
    scene = Scene()
    source = torch.ones(2, dtype=gs.tc_float, requires_grad=True) * 2.0
    made = gs.from_torch(source, requires_grad=True, scene=scene)
    assert made.is_leaf and made.requires_grad and made.scene is scene
    assert made.data_ptr() != source.data_ptr() and not gs.from_torch(source).requires_grad
    assert gs.from_torch(made).scene is None
    assert gs.from_torch(source.float()).dtype == gs.tc_float
    assert gs.from_torch(torch.ones(2, 3).T).tolist() == torch.ones(3, 2).tolist()


def test_from_torch_connected_reaches_a_policy_without_a_copy():
    policy = torch.nn.Linear(3, 2, dtype=gs.tc_float)
    action = policy(torch.ones(3, dtype=gs.tc_float))
    made = gs.from_torch(action, detach=False)
    assert type(made) is gs.Tensor and made.data_ptr() == action.data_ptr() and type(action) is torch.Tensor
    made.sum().backward()
    assert policy.bias.grad.tolist() == [1, 1]
    other = torch.ones(2, dtype=torch.float64 if gs.tc_float == torch.float32 else torch.float32, requires_grad=True)
    gs.from_torch(other, detach=False).sum().backward()
    assert other.grad.dtype == other.dtype and other.grad.tolist() == [1, 1]


def test_from_torch_connected_leaf():
    source = torch.ones(2, dtype=gs.tc_float)
    made = gs.from_torch(source, detach=False, requires_grad=True)
    assert made.is_leaf and made.requires_grad and not source.requires_grad
    made.sum().backward()
    assert made.grad.tolist() == [1, 1]


def test_from_torch_keeps_or_checks_the_scene():
    scene, other = Scene(), Scene()
    source = gs.ones(2, scene=scene)
    assert gs.from_torch(source, detach=False).scene is scene
    assert gs.from_torch(source, scene=other).scene is other
    with pytest.raises(GenesisValueError, match="sceneless"):
        gs.from_torch(source, detach=False, scene=other)


def test_wrong_kinds_of_data():
    with pytest.raises(GenesisTypeError, match="must be a torch.Tensor, got list. Use gs.tensor"):
        gs.from_torch([1.0])
    with pytest.raises(GenesisTypeError, match="must be a numpy array, got list"):
        gs.from_numpy([1.0])
    with pytest.raises((TypeError, ValueError, RuntimeError)):
        gs.tensor("text")
    with pytest.raises(ValueError):
        gs.tensor([[1.0], [1.0, 2.0]])
