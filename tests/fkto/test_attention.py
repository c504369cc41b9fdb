"""Packed attention with softcaps, sinks and windows is the model's own, packed and in a plain forward pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    Gemma2Config,
    Gemma3Config,
    GptOssConfig,
    MistralConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
)

from factalign.fkto.model import attention

from .test_trainer import log_rows, make_trainer

SIZES: dict[str, Any] = {
    "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "initializer_range": 0.3, "pad_token_id": 0,
}  # fmt: skip

CONFIGS: dict[str, Any] = {
    "gemma2": lambda v: Gemma2Config(vocab_size=v, **SIZES, sliding_window=7, attn_logit_softcapping=2.0,
                                     final_logit_softcapping=3.0),
    "gpt_oss": lambda v: GptOssConfig(vocab_size=v, **SIZES, sliding_window=7, num_local_experts=2,
                                      num_experts_per_tok=1),
    "mistral": lambda v: MistralConfig(vocab_size=v, **SIZES, sliding_window=7),
    "qwen2": lambda v: Qwen2Config(vocab_size=v, **{**SIZES, "num_hidden_layers": 3}, use_sliding_window=True,
                                   sliding_window=7, max_window_layers=1),
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("method", ["full", "layers"])
def test_packed_and_plain_forward_are_the_models_own(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, name: str, method: str
) -> None:
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(CONFIGS[name](len(tokenizer)))
    for parameter in model.parameters():
        if parameter.ndim == 1:  # sinks among them
            torch.nn.init.normal_(parameter, std=0.5)
    ids = torch.randint(1, len(tokenizer), (2, 23))
    mask = torch.ones_like(ids)
    mask[1, 17:] = 0
    model.eval()
    with torch.no_grad():
        alone, masked = model(input_ids=ids).logits, model(input_ids=ids, attention_mask=mask).logits
    trainer = make_trainer(tokenizer, tmp_path, model=model, method=method, train_layers=1, max_steps=1)
    assert trainer.config.packing
    with torch.no_grad():
        torch.testing.assert_close(trainer.model(input_ids=ids).logits, alone, atol=1e-4, rtol=0)
        found = trainer.model(input_ids=ids, attention_mask=mask).logits
    torch.testing.assert_close(found[mask > 0], masked[mask > 0], atol=1e-4, rtol=0)
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4


def test_layers_of_a_multimodal_class_are_those_of_its_decoder(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vision = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2,
              "image_size": 16, "patch_size": 8}  # fmt: skip
    config = Gemma3Config(text_config={"vocab_size": len(tokenizer), **SIZES}, vision_config=vision,
                          mm_tokens_per_image=1, image_token_index=3, boi_token_index=4, eoi_token_index=5)  # fmt: skip
    model = AutoModelForImageTextToText.from_config(config)
    trainer = make_trainer(tokenizer, tmp_path, model=model, method="layers", train_layers=1, max_steps=1)
    assert {
        n for n, p in trainer.model.named_parameters() if p.requires_grad and "language_model.layers.1" not in n
    } == set()
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4


@pytest.mark.parametrize("method", ["full", "lora", "layers"])
def test_all_methods_give_the_varlen_kernel_one_type(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """With float32 weights under autocast, rotary embeddings return float32 queries and keys."""
    changes: dict[str, Any] = {"method": method, "train_layers": 1, "dtype": "bfloat16", "max_steps": 1}
    make_trainer(tokenizer, tmp_path / "sequences", **changes).train()
    dtypes, packed = [], attention.packed_attention

    def varlen(query: Any, key: Any, value: Any, bounds: Any, longest: int, scaling: Any, window: Any) -> Any:
        assert longest == bounds.diff().max()
        dtypes.append((query.dtype, key.dtype, value.dtype))
        with monkeypatch.context() as context:
            context.setattr(attention, "VARLEN_DEVICES", ())
            return packed(
                torch.nn.Module(), query, key, value, None, cu_seq_lens_q=bounds, scaling=scaling,
                sliding_window=window, max_length_q=longest,
            )[0]  # fmt: skip

    monkeypatch.setattr(attention, "VARLEN_DEVICES", ("cpu",))
    monkeypatch.setattr(attention, "_varlen", varlen)
    trainer = make_trainer(tokenizer, tmp_path / "varlen", **changes)
    assert not dtypes  # the check at the start computes in float32
    trainer.train()
    assert set(dtypes) == {(torch.bfloat16,) * 3}
    losses = [
        json.loads((tmp_path / name / "training_log.jsonl").read_text())["loss"] for name in ("sequences", "varlen")
    ]
    assert losses[0] == losses[1]
