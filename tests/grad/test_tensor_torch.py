"""`genesis.Tensor` in autograd, in Python's protocols and in torch's larger machinery."""

import copy
import io
import multiprocessing
import pickle

import numpy as np
import pytest
import torch
from torch import nn

import genesis as gs
from genesis.errors import GenesisTypeError, GenesisValueError
from genesis.grad.tensor import adopt, plain_of, remember


def test_backward_is_torchs_own(x):
    (x * x).sum().backward()
    assert torch.equal(x.grad, 2 * plain_of(x.detach()))
    assert type(x.grad) is torch.Tensor and x.grad is x.grad


def test_backward_reaches_through_stack(x):
    torch.stack([x.sum(), (2 * x).sum()]).sum().backward()
    assert torch.equal(x.grad, torch.full((2, 3), 3.0, dtype=gs.tc_float))


def test_autograd_grad_gives_plain_gradients_of_several_scenes(x, other):
    y = gs.ones(3, scene=other, requires_grad=True)
    loss_x, loss_y = (x * x).sum(), (3 * y).sum()
    gx, gy = torch.autograd.grad([loss_x, loss_y], [x, y])
    assert type(gx) is type(gy) is torch.Tensor
    assert torch.equal(gx, 2 * plain_of(x.detach())) and gy.tolist() == [3, 3, 3]
    torch.autograd.backward([(x * x).sum(), (3 * y).sum()])
    assert y.grad.tolist() == [3, 3, 3]


def test_create_graph(x):
    (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    g.sum().backward()
    assert torch.equal(x.grad, 6 * plain_of(x.detach()))


def test_zero_grad(x):
    x.zero_grad()
    assert x.grad is None
    (x * x).sum().backward()
    grad = x.grad
    x.zero_grad()
    assert x.grad is grad and not grad.any()


def test_gradient_descent_in_place_and_with_an_optimizer(scene):
    target = gs.tensor([1.0, -2.0], scene=scene)
    by_hand, v = gs.zeros(2, requires_grad=True), gs.zeros(2, requires_grad=True)
    optimizer = torch.optim.Adam([v], lr=0.1)
    for _ in range(200):
        ((by_hand - target) ** 2).sum().backward()
        with torch.no_grad():
            by_hand -= 0.1 * by_hand.grad
        by_hand.zero_grad()
        optimizer.zero_grad()
        ((v - target) ** 2).sum().backward()
        optimizer.step()
    assert torch.allclose(by_hand, target, atol=1e-3) and torch.allclose(v, target, atol=1e-2)
    assert v.scene is None and by_hand.scene is None and v.is_leaf


def test_hooks_and_retain_grad(x):
    seen = []
    y = x * 2.0
    y.retain_grad()
    y.register_hook(seen.append)
    y.sum().backward()
    assert y.grad.tolist() == [[1, 1, 1], [1, 1, 1]] and len(seen) == 1


def test_detach_and_leaves(x, scene):
    assert x.is_leaf and not x.clone().is_leaf and x.detach().is_leaf
    assert x.detach().scene is None and x.detach(sceneless=False).scene is scene
    assert not x.detach().requires_grad
    assert x.detach().data_ptr() == x.data_ptr()
    with torch.no_grad():
        version = x._version
        x.detach().add_(1.0)
        assert x._version == version + 1, "an edit through an alias is noticed"


def test_sceneless_keeps_autograd_and_shares_memory(x, other):
    bare = x.sceneless()
    assert bare.scene is None and bare.requires_grad and bare.data_ptr() == x.data_ptr()
    (bare * gs.ones(3, scene=other)).sum().backward()
    assert x.grad is not None
    bare.assert_sceneless()
    with pytest.raises(GenesisValueError, match="sceneless.*<scene one>"):
        x.assert_sceneless()


def test_assert_contiguous(x):
    x.assert_contiguous()
    with pytest.raises(GenesisValueError, match=r"contiguous, got strides \(1, 3\)"):
        x.T.assert_contiguous()


def test_remember_and_plain_of_are_aliases(scene):
    plain = torch.ones(3, requires_grad=True)
    alias = remember(plain, scene)
    assert alias.scene is scene and alias.data_ptr() == plain.data_ptr() and type(plain) is torch.Tensor
    assert plain_of(plain) is plain and type(plain_of(alias)) is torch.Tensor
    with torch.no_grad():
        alias.add_(1.0)
    assert plain._version == alias._version == 1
    fresh = torch.ones(3)
    assert adopt(fresh, scene) is fresh and fresh.scene is scene


# Python's protocols


def test_iteration_and_unpacking(x):
    first, second = x
    a, b, c = first
    assert (a.item(), b.item(), c.item()) == (1.0, 2.0, 3.0)
    assert tuple(x)[1] is not second and torch.equal(tuple(x)[1], second)
    assert len(x) == 2 and [row.tolist() for row in x] == x.tolist()
    assert all(type(row) is gs.Tensor for row in x)


def test_conversion_to_python_and_numpy(x):
    assert float(x[0, 0]) == 1.0 and int(x[0, 1]) == 2 and bool(x[0, 0]) and x[0, 0].item() == 1.0
    assert [10, 20, 30][gs.tensor(1)] == 20
    array = x.detach().numpy()
    assert type(array) is np.ndarray and array.dtype == gs.np_float
    assert np.asarray(x.detach()).tolist() == x.tolist()
    assert 2.0 in x and x.shape == torch.Size([2, 3])
    assert hash(x) == id(x) and {x: 1}[x] == 1


def test_format(x):
    assert f"{x.sum():.3f}" == "21.000"
    assert f"{gs.tensor(3)}" == "3"
    assert f"{x}" == str(x)
    assert f"{x.sum():10.2e}".strip() == "2.10e+01"


def test_repr_shows_everything_once(x):
    for tensor in (x, x * 2.0, x.sum()):
        text = repr(tensor)
        assert text.count("<scene one>") == 1 and text.count("requires_grad") + text.count("grad_fn") == 1
        assert text.startswith("Tensor(") and text.endswith(")")
    assert "AliasBackward" not in repr(x * 2.0)
    assert "scene" not in repr(gs.ones(3))


def test_deepcopy_shares_the_scene(x, scene):
    x.sum().backward()
    x.note = ["attribute"]
    twin = copy.deepcopy(x)
    assert twin.scene is scene and twin.is_leaf and twin.requires_grad and torch.equal(twin, x)
    assert twin.data_ptr() != x.data_ptr() and torch.equal(twin.grad, x.grad) and twin.grad is not x.grad
    assert twin.note == x.note and twin.note is not x.note
    a, b = copy.deepcopy([x, x])
    assert a is b
    base = gs.zeros(4)
    whole, part = copy.deepcopy((base, base[:2]))
    part.add_(1.0)
    assert whole.tolist() == [1, 1, 0, 0], "views stay views of each other"
    with pytest.raises(RuntimeError, match="leaves"):
        copy.deepcopy(x * 2.0)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle_holds_a_plain_tensor(x, protocol):
    data = pickle.dumps(x, protocol)
    assert b"genesis" not in data
    loaded = pickle.loads(data)
    assert type(loaded) is torch.Tensor and loaded.requires_grad and torch.equal(loaded, plain_of(x.detach()))
    assert torch.equal(pickle.loads(pickle.dumps(x * 2.0, protocol)), plain_of((x * 2.0).detach()))


def test_torch_save_and_load_weights_only(x):
    file = io.BytesIO()
    torch.save({"state": x, "row": x[0].detach(), "half": [x * 0.5]}, file)
    file.seek(0)
    loaded = torch.load(file, weights_only=True)
    assert type(loaded["state"]) is torch.Tensor and torch.equal(loaded["half"][0], plain_of(x.detach()) * 0.5)


def send(queue, tensor):
    queue.put(type(tensor).__name__ + str(tensor.tolist()))


def test_a_tensor_crosses_processes(x):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=send, args=(queue, x))
    process.start()
    assert queue.get(timeout=120) == "Tensor" + str(x.tolist())
    process.join()


# torch's larger machinery


def test_vmap_and_func_grad(x, scene):
    rows = torch.func.vmap(lambda row: (row * row).sum())(x)
    assert torch.equal(plain_of(rows), (plain_of(x) ** 2).sum(1))
    captured = torch.func.vmap(lambda scale: (x * scale).sum())(gs.tensor([1.0, 2.0]))
    assert captured.tolist() == [21, 42]
    gradient = torch.func.grad(lambda t: (t**3).sum())(x)
    assert torch.allclose(plain_of(gradient), 3 * plain_of(x) ** 2)
    per_row = torch.func.vmap(torch.func.grad(lambda row: (row**2).sum()))(x)
    assert torch.allclose(plain_of(per_row), 2 * plain_of(x))
    jacobian = torch.func.jacrev(lambda t: t * 2.0)(x[0].detach())
    assert torch.equal(plain_of(jacobian), 2 * torch.eye(3, dtype=gs.tc_float))
    assert torch.func.hessian(lambda t: (t**3).sum())(x[0].detach()).diagonal().tolist() == [6, 12, 18]
    assert x.scene is scene and type(x) is gs.Tensor


def test_parameter_and_module(x, scene):
    class Affine(nn.Module):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(gs.ones(3))
            self.register_buffer("offset", gs.zeros(3))

        def forward(self, data):
            return data * self.gain + self.offset

    module = Affine()
    calls = []
    module.register_forward_hook(lambda *call: calls.append(call))
    loss = module(x).sum()
    loss.backward()
    assert loss.scene is scene and len(calls) == 1
    assert isinstance(module.gain, nn.Parameter) and [name for name, _ in module.named_parameters()] == ["gain"]
    assert module.gain.grad.tolist() == [5, 7, 9]
    twin = copy.deepcopy(module)
    assert isinstance(twin.gain, nn.Parameter)
    twin.load_state_dict(module.state_dict())
    file = io.BytesIO()
    torch.save(module.state_dict(), file)
    file.seek(0)
    assert torch.load(file, weights_only=True).keys() == {"gain", "offset"}
    assert isinstance(pickle.loads(pickle.dumps(module.gain)), nn.Parameter)
    module.to(torch.float32)
    assert isinstance(module.gain, nn.Parameter) and module.gain.dtype == torch.float32
    torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
    assert torch.func.functional_call(module, {"gain": gs.zeros(3)}, x.detach().float()).abs().sum() == 0


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
@pytest.mark.parametrize("fullgraph", [False, True])
def test_compiled_modules(x, scene, backend, fullgraph):
    torch.compiler.reset()
    module = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1)).to(gs.tc_float)
    compiled = torch.compile(module, backend=backend, fullgraph=fullgraph)
    expected, found = module(x), compiled(x)
    assert torch.equal(plain_of(found), plain_of(expected))
    assert found.scene is scene
    found.sum().backward()
    assert x.grad is not None and module[0].weight.grad is not None


def test_compiled_functions_of_several_tensors(x, scene, other):
    def features(pos, vel, scale):
        return torch.cat([pos.max(0).values, vel.mean(0)]) * scale, torch.stack([pos, vel], dim=0).sum(), scale + 1

    y = gs.ones(2, 3, scene=scene)
    compiled = torch.compile(features, backend="eager", fullgraph=True)
    for _ in range(2):
        found, expected = compiled(x, y, torch.ones(6)), features(x, y, torch.ones(6))
        assert all(torch.equal(plain_of(a), plain_of(b)) for a, b in zip(found, expected, strict=True))
        assert [getattr(item, "scene", None) for item in found] == [scene, scene, None]
    with pytest.raises(Exception, match="one scene"):
        compiled(x, gs.ones(2, 3, scene=other), torch.ones(6))


def test_dataloader_collation(x):
    data = torch.utils.data.TensorDataset(x.detach(sceneless=False), gs.arange(2))
    batches = list(torch.utils.data.DataLoader(data, batch_size=2))
    assert torch.equal(batches[0][0], x.detach()) and batches[0][0].scene is x.scene
    default = torch.utils.data.default_collate([{"a": x[0].detach(), "b": 1.0}, {"a": x[1].detach(), "b": 2.0}])
    assert default["a"].shape == (2, 3)


def test_custom_functions_take_tensors(x):
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            ctx.save_for_backward(value)
            return plain_of(value.detach()) * 2.0

        @staticmethod
        def backward(ctx, grad):
            assert torch.equal(ctx.saved_tensors[0], x)
            return grad * 2.0

    Double.apply(x).sum().backward()
    assert x.grad.tolist() == [[2, 2, 2], [2, 2, 2]]


def test_gradcheck(scene):
    x = torch.rand(3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: torch.stack([remember(v, scene).sin(), v.cos()]), x)


def test_other_dtypes_and_default_dtype_are_left_alone(x):
    assert torch.get_default_dtype() == torch.float32
    assert x.half().dtype == torch.float16 and x.half().scene is x.scene
    assert x.to(torch.complex64).real.scene is x.scene
    assert x.to_sparse().scene is x.scene and x.to_sparse().to_dense().scene is x.scene


def test_tensor_class_as_constructor(scene):
    assert gs.Tensor([1, 2]).dtype == gs.tc_float
    assert gs.Tensor([0.1]).item() == torch.tensor(0.1, dtype=gs.tc_float).item()
    assert gs.Tensor(2, 3).shape == (2, 3) and gs.Tensor(torch.Size([4])).shape == (4,) and gs.Tensor().shape == (0,)
    assert gs.Tensor([1.0], scene=scene).scene is scene
    assert gs.Tensor(np.ones(2, np.float32)).dtype == gs.Tensor(torch.ones(2)).dtype == gs.tc_float
    with pytest.raises(gs.GenesisException, match="sizes or one array-like"):
        gs.Tensor([1.0], [2.0])


def test_the_class_is_final():
    with pytest.raises(GenesisTypeError, match="must not be subclassed"):
        type("Other", (gs.Tensor,), {})


def test_distributions_and_attention(x, scene):
    policy = torch.distributions.Normal(x, x.exp())
    action = policy.rsample()
    assert action.scene is scene and policy.log_prob(action).sum(-1).scene is scene and policy.entropy().scene is scene
    attended, _ = nn.MultiheadAttention(3, 1, dtype=gs.tc_float)(x, x, x)
    assert attended.scene is scene
    layer = nn.TransformerEncoderLayer(3, 1, 8, dtype=gs.tc_float, dropout=0.0)
    assert layer(x).scene is scene
    packed = nn.utils.rnn.pack_padded_sequence(x[None], [2], batch_first=True)
    assert packed.data.scene is scene
