"""The bridge alone, on a simulator of three lines: x' = x + u², with a hand-written adjoint."""

import gc
import weakref

import pytest
import torch

import genesis as gs
from genesis.grad.bridge import take_step

pytestmark = pytest.mark.precision("64")


class Square:
    """A `Stepper` that records its calls."""

    def __init__(self):
        self.calls = []

    def forward(self, values, step, keep):
        assert not any(value.requires_grad for value in values)
        self.calls.append(("forward", step, keep))
        x, u = values
        return [x + u**2, u.clone()], ("token", step)

    def backward(self, values, cotangents, step, token, needed):
        assert token == ("token", step)
        self.calls.append(("backward", step, tuple(c is not None for c in cotangents)))
        x, u = values
        gx, gy = (torch.zeros_like(x) if c is None else c for c in cotangents)
        return [gx.clone(), 2 * u * gx + gy]


def leaves():
    x, u = torch.randn(2, 3, dtype=torch.float64)
    return x.requires_grad_(), u.requires_grad_()


def test_gradcheck():
    x, u = leaves()
    simulator = Square()
    assert torch.autograd.gradcheck(lambda x, u: take_step(simulator, 0, take_step(simulator, 0, (x, u))), (x, u))


def test_no_graph_where_none_is_needed():
    simulator = Square()
    x, u = leaves()
    assert not take_step(simulator, 0, (x.detach(), u.detach()))[0].requires_grad
    with torch.no_grad():
        assert not take_step(simulator, 0, (x, u))[0].requires_grad
    assert [call[2] for call in simulator.calls] == [False, False]


def test_missing_cotangents_stay_missing():
    simulator = Square()
    x, u = leaves()
    torch.autograd.grad(take_step(simulator, 7, (x, u))[0].sum(), u)
    assert simulator.calls == [("forward", 7, True), ("backward", 7, (True, False))]


def test_only_needed_gradients_are_returned():
    simulator = Square()
    x, u = leaves()
    out = take_step(simulator, 0, (x.detach(), u))
    out[0].sum().backward()
    assert x.grad is None and u.grad is not None


def test_cotangents_of_other_layouts():
    simulator = Square()
    x, u = leaves()
    out = take_step(simulator, 0, (x, u))
    out[0].backward(torch.ones((), dtype=torch.float64).expand(3), retain_graph=True)
    assert torch.equal(x.grad, torch.ones(3, dtype=torch.float64))
    (out[0].float() * 2).sum().backward()
    assert torch.equal(x.grad, torch.full((3,), 3.0, dtype=torch.float64))


def test_inputs_edited_in_place_are_torchs_error():
    simulator = Square()
    x, u = leaves()
    y = u * 1.0
    out = take_step(simulator, 0, (x, y))
    y.detach().add_(1.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out[0].sum().backward()


def test_freed_graph_is_torchs_error():
    simulator = Square()
    out = take_step(simulator, 0, leaves())[0].sum()
    out.backward()
    with pytest.raises(RuntimeError, match="second time"):
        out.backward()


def test_a_derivative_of_the_derivative_is_refused():
    simulator = Square()
    x, u = leaves()
    (grad,) = torch.autograd.grad(take_step(simulator, 0, (x, u))[0].sum(), u, create_graph=True)
    assert torch.equal(grad, 2 * u)
    with pytest.raises(gs.GenesisException, match="must be of first order, got a second derivative"):
        grad.sum().backward()


@pytest.mark.parametrize(
    "transform",
    [
        lambda f: torch.func.grad(lambda x: f(x).sum())(torch.ones(3)),
        lambda f: torch.vmap(f)(torch.ones(2, 3)),
        lambda f: torch.func.jvp(f, (torch.ones(3),), (torch.ones(3),)),
    ],
)
def test_transforms_are_refused(transform):
    simulator = Square()
    with pytest.raises(gs.GenesisException, match=r"outside torch\.func transforms.*torch\.autograd\.grad"):
        transform(lambda x: take_step(simulator, 0, (x, x))[0])


def test_the_graph_holds_no_more_than_it_must():
    simulator = Square()
    out = take_step(simulator, 0, leaves())[0]
    found = weakref.ref(simulator)
    del simulator
    out.sum().backward()
    del out
    gc.collect()
    assert found() is None


def test_a_simulator_that_keeps_what_it_made_goes_with_its_results():
    """Nothing that it keeps refers to the graph: a cycle through a node of torch would never be freed."""

    class Keeping(Square):
        def forward(self, values, step, keep):
            self.kept, token = super().forward(values, step, keep)
            return self.kept, token

    simulator = Keeping()
    results = take_step(simulator, 0, leaves())
    assert results[0].requires_grad and results[0].data_ptr() == simulator.kept[0].data_ptr()
    assert not any(tensor.requires_grad for tensor in simulator.kept)
    gone = weakref.ref(simulator)
    del simulator, results
    gc.collect()
    assert gone() is None


def transformed_by_torch(y, x, basis):
    return torch.vmap(lambda v: torch.autograd.grad(y, x, v, retain_graph=True)[0])(basis)


@pytest.mark.parametrize("steps", [1, 3])
def test_batches_of_cotangents_give_the_rows_of_the_jacobian(steps):
    """By each of torch's ways to hand over several cotangents at once."""
    simulator = Square()
    x, u = leaves()

    def rollout(x, u):
        y = x * 1.0
        for _ in range(steps):
            y, _ = take_step(simulator, 0, (y.sin(), u))
        return y

    expected = torch.autograd.functional.jacobian(rollout, (x, u))
    fast = torch.autograd.functional.jacobian(rollout, (x, u), vectorize=True)
    eye = torch.eye(3, dtype=torch.float64)
    batched = torch.autograd.grad(rollout(x, u), (x, u), eye, is_grads_batched=True)
    y = rollout(x, u)
    mapped = [transformed_by_torch(y, leaf, eye) for leaf in (x, u)]
    assert all(e.any() for e in expected)
    for found in (fast, batched, mapped):
        assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_a_batch_of_cotangents_beside_one_for_all():
    """The cotangent of one result hides an axis, that of the other does not."""
    x, u = leaves()
    state, output = take_step(Square(), 0, (x, u))
    found = torch.vmap(lambda v: torch.autograd.grad((state, output), u, (v, torch.ones_like(x)))[0])(
        torch.eye(3, dtype=torch.float64)
    )
    assert torch.equal(found, torch.diag(2 * u.detach()) + 1.0)


def test_nothing_that_arrives_is_zero():
    """A later node of the user's own says that nothing depends on it, as torch lets it by None."""

    class Nothing(torch.autograd.Function):
        @staticmethod
        def forward(ctx, value):
            return value.sum()

        @staticmethod
        def backward(ctx, cotangent):
            return None

    simulator = Square()
    x, u = leaves()
    Nothing.apply(take_step(simulator, 0, take_step(simulator, 0, (x, u)))[0]).backward()
    assert torch.equal(x.grad, torch.zeros_like(x)) and torch.equal(u.grad, torch.zeros_like(u))
