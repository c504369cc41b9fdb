"""The fused low-rank product against peft's."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaForCausalLM, PreTrainedTokenizerFast

from factalign.fkto.model.lora import install_lora, lora_linear

from .conftest import make_model


@pytest.mark.parametrize("bias", [True, False])
def test_gradcheck(bias: bool) -> None:
    torch.manual_seed(0)
    x, weight, a, b, c = (torch.randn(s, dtype=torch.float64) for s in ((2, 3, 5), (4, 5), (2, 5), (4, 2), (4,)))
    for trained in (x, a, b):
        trained.requires_grad_(True)
    assert torch.autograd.gradcheck(lora_linear, (x, weight, c if bias else None, a, b, 1.7))


@pytest.mark.parametrize(
    "changes",
    [{}, {"use_dora": True}, {"lora_bias": True}, {"bias": "all"}, {"use_rslora": True, "rank_pattern": {"q_proj": 2}}],
    ids=lambda changes: "-".join(changes) or "plain",
)
def test_the_model_computes_what_peft_computes(tokenizer: PreTrainedTokenizerFast, changes: dict[str, Any]) -> None:
    """Variants, biases and scalings too: what the fused product does not cover stays with peft."""
    model = make_model(len(tokenizer), attention_bias=True)
    options = {"r": 4, "lora_alpha": 8, "target_modules": ["q_proj", "v_proj"], "init_lora_weights": False, **changes}
    config = LoraConfig(task_type="CAUSAL_LM", **options)
    peer = get_peft_model(model, config)
    ours = copy.deepcopy(peer)
    install_lora(ours)
    ids = torch.arange(24).view(2, 12)
    losses = [m(input_ids=ids, labels=ids).loss for m in (ours, peer)]
    for loss in losses:
        loss.backward()
    torch.testing.assert_close(*losses)
    expected = {name: p.grad for name, p in peer.named_parameters() if p.requires_grad}
    found = {name: p.grad for name, p in ours.named_parameters() if p.requires_grad}
    assert found.keys() == expected.keys()
    assert all(g.abs().max() > 0 for g in expected.values())
    for name in expected:
        torch.testing.assert_close(found[name], expected[name])


def test_without_its_adapter_the_model_is_the_base(model: LlamaForCausalLM) -> None:
    ids = torch.arange(12)[None]
    expected = model(input_ids=ids).logits
    adapted = get_peft_model(model, LoraConfig(init_lora_weights=False, target_modules="all-linear"))
    install_lora(adapted)
    assert not torch.allclose(adapted(input_ids=ids).logits, expected, atol=1e-3)
    with adapted.disable_adapter():
        torch.testing.assert_close(adapted(input_ids=ids).logits, expected)


def test_dropout_stays_with_peft(model: LlamaForCausalLM) -> None:
    adapted = get_peft_model(model, LoraConfig(lora_dropout=0.5, init_lora_weights=False, target_modules="all-linear"))
    install_lora(adapted)
    adapted.train()
    torch.manual_seed(0)
    ids = torch.arange(12)[None]
    assert not torch.allclose(adapted(input_ids=ids).logits, adapted(input_ids=ids).logits)
