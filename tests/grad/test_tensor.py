"""`genesis.Tensor` remembers its scene through everything that torch can do, and otherwise is a torch tensor."""

import copy
import gc
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import genesis as gs
from genesis.errors import GenesisValueError
from genesis.grad.tensor import check_scene, plain_of, remember


class Scene:
    """Stands for a scene."""


def leaves(result):
    """All tensors in a nested result."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, (list, tuple)):
        return [leaf for item in result for leaf in leaves(item)]
    return []


P = torch.ones(2, 3)
OPERATIONS = {
    "add": lambda x: x + 1.0,
    "radd": lambda x: 1.0 + x,
    "plain + tensor": lambda x: torch.ones(2, 3) + x,
    "plain @ tensor": lambda x: torch.ones(4, 2, dtype=x.dtype) @ x,
    "compare": lambda x: x > 2.0,
    "index": lambda x: x[0],
    "index tuple": lambda x: x[..., 1:2],
    "mask": lambda x: x[x > 2.0],
    "index of plain by tensor": lambda x: torch.ones(2, 3)[x > 2.0],
    "stack": lambda x: torch.stack([x, x]),
    "stack last": lambda x: torch.stack((torch.ones_like(plain_of(x)), x)),
    "cat": lambda x: torch.cat([torch.ones(1, 3, dtype=x.dtype), x]),
    "cat keywords": lambda x: torch.cat(tensors=[x, x], dim=0),
    "sum keyword": lambda x: torch.sum(input=x),
    "add keywords": lambda x: torch.add(input=torch.ones(3), other=x),
    "where": lambda x: torch.where(torch.ones(2, 3) > 0, x, 0.0),
    "where keywords": lambda x: torch.where(condition=plain_of(x) > 0, input=torch.zeros(3, dtype=x.dtype), other=x),
    "einsum": lambda x: torch.einsum("ij,kj->ik", x, torch.ones(4, 3, dtype=x.dtype)),
    "einsum list": lambda x: torch.einsum("ij,ij->i", [plain_of(x), x]),
    "norm": lambda x: torch.linalg.norm(x),
    "max dim": lambda x: x.max(dim=0),
    "sort": lambda x: torch.sort(x, dim=1, descending=True),
    "topk": lambda x: x.topk(2, dim=1),
    "split": lambda x: x.split(1),
    "chunk": lambda x: torch.chunk(x, 2),
    "unbind": lambda x: x.unbind(),
    "iterate": lambda x: list(x),
    "tensor_split": lambda x: torch.tensor_split(x, 3, dim=1),
    "meshgrid": lambda x: torch.meshgrid(x[0], torch.ones(2, dtype=x.dtype), indexing="ij"),
    "broadcast_tensors": lambda x: torch.broadcast_tensors(x, x[0])[0],
    "block_diag": lambda x: torch.block_diag(torch.ones(1, 1, dtype=x.dtype), x),
    "hstack": lambda x: torch.hstack([x, x]),
    "linear": lambda x: F.linear(x, torch.ones(5, 3, dtype=x.dtype), torch.zeros(5, dtype=x.dtype)),
    "mse_loss": lambda x: F.mse_loss(torch.zeros(2, 3, dtype=x.dtype), x),
    "softmax": lambda x: F.softmax(x, dim=-1),
    "nn.Linear": lambda x: nn.Linear(3, 2, dtype=x.dtype)(x),
    "nn.Sequential": lambda x: nn.Sequential(nn.Linear(3, 4), nn.LayerNorm(4), nn.Tanh()).to(x.dtype)(x),
    "nn.GRU": lambda x: nn.GRU(3, 2, dtype=x.dtype)(x),
    "unique": lambda x: torch.unique(x, return_counts=True),
    "svd": lambda x: torch.linalg.svd(x, full_matrices=False),
    "zeros_like": lambda x: torch.zeros_like(x),
    "new_zeros": lambda x: x.new_zeros(3),
    "gs.ones_like": lambda x: gs.ones_like(x),
    "gs.as_tensor": lambda x: gs.as_tensor(x),
    "gs.as_strided": lambda x: gs.as_strided(x, (3, 2), (1, 3)),
    "gs.from_torch connected": lambda x: gs.from_torch(x, detach=False),
    "transpose": lambda x: x.T,
    "to": lambda x: x.to(torch.float16),
    "data": lambda x: x.data,
    "torch.detach": lambda x: torch.detach(x),
    "contiguous": lambda x: x.contiguous(),
    "clone": lambda x: x.clone(),
    "detach keeping": lambda x: x.detach(sceneless=False),
    "multi_dot": lambda x: torch.linalg.multi_dot([x, x.T, x]),
    "sum of list": lambda x: sum([x, x, x]),
    "in place on clone": lambda x: x.clone().mul_(2.0).add_(1.0),
    "out": lambda x: torch.add(x.detach(sceneless=False), 1.0, out=gs.empty(2, 3)),
    "out pair": lambda x: torch.max(
        x.detach(sceneless=False), 0, out=(gs.empty(3), remember(torch.empty(3, dtype=torch.long), None))
    ),
    "deepcopy": lambda x: copy.deepcopy(x),
    "copy": lambda x: copy.copy(x),
    "checkpoint": lambda x: torch.utils.checkpoint.checkpoint(torch.sin, x, use_reentrant=False),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_children_inherit_the_scene(x, scene, name):
    found = leaves(OPERATIONS[name](x))
    assert found
    for leaf in found:
        assert type(leaf) is gs.Tensor
        assert leaf.scene is scene


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_children_inherit_without_autograd(scene, name, mode):
    with mode():
        x = gs.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], scene=scene)
        assert all(leaf.scene is scene for leaf in leaves(OPERATIONS[name](x)))


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_and_gradients_are_those_of_plain_torch(x, name):
    if name.startswith(("gs.", "out", "detach keeping", "unique", "nn.")) or "plain_of" in name:
        pytest.skip("not an operation on plain tensors, or a random one")
    plain = plain_of(x.detach()).requires_grad_()
    for ours, theirs in zip(leaves(OPERATIONS[name](x)), leaves(OPERATIONS[name](plain)), strict=True):
        assert torch.equal(plain_of(ours), theirs)
        assert ours.requires_grad == theirs.requires_grad
        if ours.requires_grad and not ours.is_leaf:
            (mine,) = torch.autograd.grad(ours.sum(), x, retain_graph=True, allow_unused=True)
            (expected,) = torch.autograd.grad(theirs.sum(), plain, retain_graph=True, allow_unused=True)
            assert torch.equal(mine, expected)


tensors = st.sampled_from(["scene", "plain", "none"])
nested = st.recursive(
    tensors | st.integers() | st.none() | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.tuples(inner, inner) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=8,
)


def contains(container, word):
    if isinstance(container, dict):
        container = list(container.values())
    if isinstance(container, (list, tuple)):
        return any(contains(item, word) for item in container)
    return container == word


def substitute(container, table):
    if isinstance(container, dict):
        return {key: substitute(item, table) for key, item in container.items()}
    if isinstance(container, (list, tuple)):
        return type(container)(substitute(item, table) for item in container)
    return table.get(container, container)


@given(nested, st.booleans())
@settings(max_examples=200, deadline=None)
def test_the_scene_is_found_in_any_nesting_of_arguments(container, by_name):
    scene = Scene()
    table = {"scene": gs.ones(1, scene=scene), "plain": torch.ones(1), "none": gs.ones(1)}

    def operation(*args, **kwargs):
        return torch.zeros(2)

    value = substitute(container, table)
    arguments, named = ((), {"a": value}) if by_name else ((value,), {})
    result = gs.Tensor.__torch_function__(operation, (), arguments, named)
    assert result.scene is (scene if contains(container, "scene") else None)


@given(nested)
@settings(max_examples=200, deadline=None)
def test_any_nesting_of_results_is_stamped_and_inputs_stay_as_they_are(container):
    scene = Scene()
    given_tensor, plain, fresh = gs.ones(1, scene=scene), torch.ones(1), []

    def operation(*args):
        def build(item):
            if isinstance(item, (list, tuple)):
                return type(item)(build(part) for part in item)
            if isinstance(item, dict):
                return {key: build(part) for key, part in item.items()}
            if item == "scene":
                fresh.append(torch.zeros(1))
                return fresh[-1]
            return plain if item == "plain" else item

        return build(container)

    gs.Tensor.__torch_function__(operation, (), (given_tensor, [plain]))
    assert all(type(item) is gs.Tensor and item.scene is scene for item in fresh)
    assert type(plain) is torch.Tensor


@pytest.mark.parametrize(
    "mix",
    [
        lambda a, b: a + b,
        lambda a, b: torch.stack([a, b]),
        lambda a, b: torch.cat((a, torch.ones(3), b)),
        lambda a, b: torch.add(input=a, other=b),
        lambda a, b: torch.add(a, other=b),
        lambda a, b: torch.where(torch.ones(3) > 0, a, b),
        lambda a, b: torch.einsum("i,i->", [a, b]),
        lambda a, b: a.add_(b),
        lambda a, b: a.__setitem__(0, b[0]),
        lambda a, b: torch.ones(3).add_(a).add_(b) + torch.stack([a, b]),
        lambda a, b: gs.from_torch(a, detach=False, scene=b.scene),
        lambda a, b: gs.as_tensor(a, scene=b.scene),
        lambda a, b: gs.ones_like(a, scene=b.scene),
    ],
)
def test_two_scenes_in_one_operation_raise(scene, other, mix):
    a, b = gs.ones(3, scene=scene), gs.ones(3, scene=other)
    with pytest.raises(GenesisValueError, match="<scene one>.*<scene two>|<scene two>.*<scene one>") as caught:
        mix(a, b)
    assert ".sceneless()" in str(caught.value)
    assert torch.equal(plain_of(a), torch.ones(3, dtype=gs.tc_float)), "the check comes before the operation"
    assert (a + b.sceneless()).scene is scene


def test_a_scene_is_remembered_weakly_and_the_check_outlives_it(other):
    lost = Scene()
    a = gs.ones(3, scene=lost, requires_grad=True)
    loss = (a * a).sum()
    gone = weakref.ref(lost)
    del lost
    gc.collect()
    assert gone() is None and loss.scene is None
    with pytest.raises(GenesisValueError, match="no longer exists"):
        loss + gs.ones(1, scene=other)
    with pytest.raises(GenesisValueError, match="no longer exists"):
        check_scene(a, other)
    loss.backward()
    assert torch.equal(a.grad, torch.full((3,), 2.0, dtype=gs.tc_float))


def test_check_scene(scene, other):
    check_scene(gs.ones(1), scene)
    check_scene(torch.ones(1), scene)
    check_scene(gs.ones(1, scene=scene), scene)
    with pytest.raises(GenesisValueError, match="vel must be sceneless or of this scene, <scene one>, got .*two"):
        check_scene(gs.ones(1, scene=other), scene, "vel")


def test_scene_must_be_an_object(x):
    with pytest.raises(gs.GenesisException, match="scene must be"):
        gs.ones(3, scene=3)
    with pytest.raises(AttributeError):
        x.scene = None


# In-place operations


def test_in_place_on_a_plain_tensor_leaves_it_plain(x):
    buffer = torch.zeros(2, 3, dtype=gs.tc_float)
    assert buffer.add_(x.detach(sceneless=False)) is buffer
    buffer += x.detach(sceneless=False)
    buffer[0] = x[0].detach()
    buffer.copy_(x.detach(sceneless=False))
    torch.add(x.detach(sceneless=False), 1.0, out=buffer)
    torch.clamp_(input=buffer, max=x.detach(sceneless=False))
    values, indices = torch.empty(3, dtype=gs.tc_float), torch.empty(3, dtype=torch.long)
    result = torch.max(x.detach(sceneless=False), 0, out=(values, indices))
    assert result.values is values
    for tensor in (buffer, values, indices):
        assert type(tensor) is torch.Tensor


def test_a_normaliser_stays_plain(x):
    norm = nn.BatchNorm1d(3, dtype=gs.tc_float)
    assert type(norm(x)) is gs.Tensor
    assert type(norm.running_mean) is torch.Tensor
    mean = torch.zeros(3, dtype=gs.tc_float)
    mean.lerp_(x.detach(sceneless=False).mean(0), 0.1)
    assert type(mean) is torch.Tensor


def test_plain_operands_are_not_touched(x):
    plain = torch.ones(2, 3, dtype=gs.tc_float)
    results = torch.atleast_2d(plain, x)
    assert results[0] is plain and results[1].scene is x.scene
    plain.to(x), torch.where(x > 0, plain, x), plain.expand_as(x), torch.broadcast_tensors(plain, x)
    assert type(plain) is torch.Tensor


def test_in_place_on_a_sceneless_tensor_inherits(x, scene):
    source = x.detach(sceneless=False)
    for write in (
        lambda t: t.add_(source),
        lambda t: t.__setitem__(0, source[0]),
        lambda t: t.__iadd__(source),
        lambda t: t.copy_(source),
        lambda t: torch.mul(source, 2.0, out=t),
    ):
        target = gs.zeros(2, 3)
        write(target)
        assert target.scene is scene
    unwritten = gs.zeros(2, 3)
    assert unwritten.to(source) is unwritten and unwritten.type_as(source) is unwritten
    assert unwritten.scene is None


def test_in_place_keeps_type_scene_and_gradient(x, scene):
    y = x * 1.0
    y *= 3.0
    y[0] = 0.0
    assert y.scene is scene and type(y) is gs.Tensor
    y.sum().backward()
    assert x.grad.tolist() == [[0, 0, 0], [3, 3, 3]]


def test_results_are_not_views_of_a_hidden_tensor(x):
    assert not (x + 1.0)._is_view()
    assert type((x + 1.0).grad_fn).__name__ == "AddBackward0"
    assert x.is_leaf and not x._is_view()
