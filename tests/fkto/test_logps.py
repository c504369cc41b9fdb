"""Chunked log-probabilities are the naive ones, value and gradient; packed attention is attention by sequence."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from factalign.fkto.model.logps import LogitRule, _largest, chunked_logps, chunked_logps_and_entropies


def naive(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    return torch.log_softmax(hidden @ weight.T, -1).gather(1, targets[:, None]).squeeze(1)


@pytest.fixture
def problem() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    return torch.randn(11, 8), torch.randn(50, 8), torch.randint(50, (11,))


@pytest.mark.parametrize("trained_head", [False, True])
@pytest.mark.parametrize("chunk", [1, 4, 11, 100])
def test_chunked_equals_naive(problem: tuple[Tensor, Tensor, Tensor], chunk: int, trained_head: bool) -> None:
    upstream = torch.randn(11)
    results = []
    for function in (naive, lambda h, w, t: chunked_logps(h, w, t, chunk)):
        hidden = problem[0].clone().requires_grad_()
        weight = problem[1].clone().requires_grad_(trained_head)
        logps = function(hidden, weight, problem[2])
        (logps * upstream).sum().backward()
        results.append((logps.detach(), hidden.grad, weight.grad))
    for expected, found in zip(*results, strict=True):
        assert (expected is None) == (found is None)
        if expected is not None:
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", ["trained", "frozen", "no_grad"])
@pytest.mark.parametrize("chunk", [4, 100])
def test_entropies_come_along(problem: tuple[Tensor, Tensor, Tensor], chunk: int, kind: str) -> None:
    hidden, weight = problem[0].clone().requires_grad_(), problem[1].clone().requires_grad_(kind == "trained")
    with torch.set_grad_enabled(kind != "no_grad"):
        logps, entropies = chunked_logps_and_entropies(hidden, weight, problem[2], chunk)
    expected = torch.distributions.Categorical(logits=problem[0] @ problem[1].T).entropy()
    torch.testing.assert_close(entropies, expected, atol=1e-5, rtol=1e-5)
    assert not entropies.requires_grad
    torch.testing.assert_close(logps, naive(*problem), atol=1e-5, rtol=1e-5)
    if kind == "no_grad":
        return
    alone = problem[0].clone().requires_grad_()
    chunked_logps(alone, weight, problem[2], chunk).sum().backward()
    logps.sum().backward()
    assert hidden.grad is not None and alone.grad is not None
    assert torch.equal(hidden.grad, alone.grad)


@pytest.mark.parametrize("trained_head", [False, True])
def test_gradcheck(trained_head: bool) -> None:
    torch.manual_seed(0)
    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, dtype=torch.float64, requires_grad=trained_head)
    targets = torch.randint(9, (5,))
    assert torch.autograd.gradcheck(lambda h, w: chunked_logps(h, w, targets, 2), (hidden, weight))


RULES = [LogitRule(), LogitRule(scale=0.25), LogitRule(softcap=1.5), LogitRule(scale=1.7, softcap=2.0)]


@pytest.mark.parametrize("trained_head", [False, True])
@pytest.mark.parametrize("biased", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_scaled_bounded_and_biased_logits(rule: LogitRule, biased: bool, trained_head: bool) -> None:
    """Against autograd on what the models write, and against finite differences."""
    torch.manual_seed(0)
    hidden = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 4, dtype=torch.float64, requires_grad=trained_head)
    bias = torch.randn(9, dtype=torch.float64, requires_grad=trained_head) if biased else None
    targets = torch.randint(9, (5,))

    def found(h: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
        return chunked_logps(h, w, targets, 2, b, rule)

    logits = torch.nn.functional.linear(hidden, weight, bias) * rule.scale
    if rule.softcap is not None:
        logits = torch.tanh(logits / rule.softcap) * rule.softcap
    expected = torch.log_softmax(logits, -1).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(found(hidden, weight, bias), expected)
    assert torch.autograd.gradcheck(found, (hidden, weight, bias))
    _, entropies = chunked_logps_and_entropies(hidden, weight, targets, 2, bias, rule)
    torch.testing.assert_close(entropies, torch.distributions.Categorical(logits=logits.detach()).entropy())


@pytest.mark.parametrize("trained_head", [False, True])
def test_no_positions(problem: tuple[Tensor, Tensor, Tensor], trained_head: bool) -> None:
    hidden = problem[0][:0].requires_grad_()
    logps = chunked_logps(hidden, problem[1].requires_grad_(trained_head), problem[2][:0])
    logps.sum().backward()
    assert logps.shape == (0,)
    assert hidden.grad is not None


def test_a_frozen_head_keeps_no_logits_for_backward(problem: tuple[Tensor, Tensor, Tensor]) -> None:
    saved: list[torch.Size] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: saved.append(t.shape) or t, lambda t: t):
        chunked_logps(problem[0].requires_grad_(), problem[1], problem[2], 4)
    assert saved == [torch.Size([11, 8])]


def test_no_tensor_of_all_positions_and_the_vocabulary_exists() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            nonlocal largest
            result = function(*args, **(kwargs or {}))
            if isinstance(result, Tensor):
                largest = max(largest, result.numel())
            return result

    hidden, weight = torch.randn(64, 8, requires_grad=True), torch.randn(1000, 8, requires_grad=True)
    with Watch():
        chunked_logps(hidden, weight, torch.randint(1000, (64,)), 8).sum().backward()
    assert largest <= 8 * 1000


def test_bfloat16_on_cpu_takes_decisive_logits_in_float32() -> None:
    torch.manual_seed(0)
    weight = torch.randn(500, 32).bfloat16()
    targets = torch.randint(500, (64,))
    hidden = weight[targets] * 0.2 + torch.randn(64, 32).bfloat16()
    exact = naive(hidden.double(), weight.double(), targets)
    rounded = naive(hidden, weight, targets).double()
    found = chunked_logps(hidden, weight, targets).double()
    assert (found - exact).abs().mean() < 0.2 * (rounded - exact).abs().mean()


@pytest.mark.parametrize("vocabulary", [3, 1000, 1024, 1500])
def test_the_largest_are_found_by_segments(vocabulary: int) -> None:
    values = torch.randn(40, vocabulary, generator=torch.Generator().manual_seed(0))
    values[0, -3:] = 10.0  # behind the last whole segment
    count = min(4, vocabulary)
    found = values.gather(1, _largest(values, count)).sort(dim=1).values
    assert torch.equal(found, values.topk(count).values.sort(dim=1).values)


def test_a_target_that_cannot_happen_has_a_finite_log_probability() -> None:
    hidden, weight = torch.tensor([[200.0]]), torch.tensor([[1.0], [-1.0]])
    assert chunked_logps(hidden, weight, torch.tensor([1])).item() == pytest.approx(-400)
