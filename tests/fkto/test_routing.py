"""The load-balancing loss of mixtures of experts, against that of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM, MixtralConfig, PreTrainedTokenizerFast, Qwen3MoeConfig

from .conftest import make_rows
from .test_trainer import assert_same, log_rows, make_trainer, trained

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "initializer_range": 0.3,
}  # fmt: skip
ONLY_ROUTER = {"response_weight": 0.0, "sentence_weight": 0.0, "nll_weight": 1e-12, "router_loss_weight": 0.5}


def make_experts(vocabulary: int, family: str) -> Any:
    torch.manual_seed(0)
    if family == "mixtral":
        config: Any = MixtralConfig(vocab_size=vocabulary, num_local_experts=4, num_experts_per_tok=2, **SIZES)
    else:
        config = Qwen3MoeConfig(
            vocab_size=vocabulary, num_experts=4, num_experts_per_tok=2, moe_intermediate_size=16, head_dim=8, **SIZES
        )
    return AutoModelForCausalLM.from_config(config)


def aux_loss(model: Any, sequences: list[Any]) -> Tensor:
    """As transformers computes it of a padded batch."""
    ids = [torch.from_numpy(s.ids).long() for s in sequences]
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(i) for i in ids], batch_first=True)
    padded = torch.nn.utils.rnn.pad_sequence(ids, batch_first=True)
    return model(input_ids=padded, attention_mask=mask, output_router_logits=True).aux_loss


def by_formula(model: Any, sequences: list[Any]) -> Tensor:
    """4 · Σ f·P over the tokens and layers of all sequences, each alone."""
    logits = []
    for s in sequences:
        ids = torch.from_numpy(s.ids).long()[None]
        logits += model(input_ids=ids, output_router_logits=True).router_logits
    probabilities = torch.cat([layer.flatten(0, -2) for layer in logits]).softmax(-1)
    chosen = torch.zeros_like(probabilities).scatter(1, probabilities.topk(2, -1).indices, 1.0)
    return 4 * (chosen.mean(0) * probabilities.mean(0)).sum()


@pytest.mark.parametrize("family", ["mixtral", "qwen3_moe"])
@pytest.mark.parametrize("packing", [True, False])
@pytest.mark.parametrize("above", [None, 10])
def test_a_step_follows_the_loss_of_transformers(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, family: str, packing: bool, above: int | None
) -> None:
    trainer = make_trainer(
        tokenizer, tmp_path, model=make_experts(len(tokenizer), family), packing=packing, batch_size=12,
        micro_batch_size=12, checkpoint_activations_above=above, **ONLY_ROUTER,
    )  # fmt: skip
    assert trainer.config.packing == packing
    peer = make_experts(len(tokenizer), family)
    expected = aux_loss(peer, trainer._store.sequences)
    torch.testing.assert_close(by_formula(peer, trainer._store.sequences), expected, atol=1e-5, rtol=0)
    (0.5 * expected).backward()
    found = trained(trainer)
    row = log_rows(trainer)[0]
    assert row["router_loss"] == pytest.approx(expected.item(), abs=1e-5)
    assert row["loss"] == pytest.approx(0.5 * expected.item(), abs=1e-5)
    assert peer.model.layers[0].mlp.gate.weight.grad.abs().max() > 1e-4
    stepped = {n: p.detach() - 0.3 * p.grad if p.grad is not None else p.detach() for n, p in peer.named_parameters()}
    assert_same(found, stepped)


def test_micro_batches_count_by_their_tokens(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, model=make_experts(len(tokenizer), "mixtral"), **ONLY_ROUTER)
    trainer.train()
    peer = make_experts(len(tokenizer), "mixtral")
    parts = [[trainer._store.sequences[item.row] for item in items] for items in trainer.plan.micro_batches(0)][:2]
    tokens = [sum(map(len, part)) for part in parts]
    assert tokens[0] != tokens[1]
    mean = sum(n * aux_loss(peer, part).item() for n, part in zip(tokens, parts, strict=True)) / sum(tokens)
    assert log_rows(trainer)[0]["router_loss"] == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("method", ["lora", "layers"])
def test_other_methods_balance_too(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    """Below the trained layers nothing is run, so only these balance."""
    trainer = make_trainer(
        tokenizer, tmp_path, model=make_experts(len(tokenizer), "mixtral"), method=method, train_layers=1,
        batch_size=12, micro_batch_size=12, **ONLY_ROUTER,
    )  # fmt: skip
    trainer.train()
    peer = make_experts(len(tokenizer), "mixtral")
    gates = [layer.mlp.gate for layer in peer.model.layers][-1 if method == "layers" else 0 :]
    grabbed: list[Tensor] = []
    for gate in gates:
        gate.register_forward_hook(lambda module, args, output: grabbed.append(output[0]))
    for s in trainer._store.sequences:
        peer(input_ids=torch.from_numpy(s.ids).long()[None])
    probabilities = torch.cat(grabbed).softmax(-1)
    chosen = torch.zeros_like(probabilities).scatter(1, probabilities.topk(2, -1).indices, 1.0)
    expected = 4 * (chosen.mean(0) * probabilities.mean(0)).sum().item()
    assert log_rows(trainer)[0]["router_loss"] == pytest.approx(expected, abs=1e-5)


def test_evaluation_has_it_in_its_loss(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(
        tokenizer, tmp_path, model=make_experts(len(tokenizer), "mixtral"), eval_rows=make_rows(3), **ONLY_ROUTER
    )
    found = trainer.evaluate()
    sequences = list(trainer._held_out.batches._store.sequences)
    expected = aux_loss(make_experts(len(tokenizer), "mixtral"), sequences).item()
    assert found["eval_router_loss"] == pytest.approx(expected, abs=1e-5)
    assert found["eval_loss"] == pytest.approx(0.5 * expected, abs=1e-5)


def test_without_a_weight_nothing_changes(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, model=make_experts(len(tokenizer), "mixtral"), max_steps=1)
    trainer.train()
    assert "router_loss" not in log_rows(trainer)[0]


def test_a_dense_model_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"LlamaForCausalLM is no mixture of experts .* router_loss_weight to 0"):
        make_trainer(tokenizer, tmp_path, router_loss_weight=0.01)
