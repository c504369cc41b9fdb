"""A model whose log-probabilities the trainer would change is padded, or refused, before anything is trained."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BloomConfig, GPT2Config, LlamaConfig, PreTrainedTokenizerFast

from factalign.fkto.model.selfcheck import SelfCheck

from .conftest import make_model
from .test_trainer import log_rows, make_trainer


def bloom(vocabulary: int) -> Any:
    """A decoder that is not told where the sequences of a pack begin."""
    torch.manual_seed(0)
    config = BloomConfig(vocab_size=vocabulary, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3)
    return AutoModelForCausalLM.from_config(config)


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_supported_model_stays_packed(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, dtype: str, caplog: pytest.LogCaptureFixture
) -> None:
    model = make_model(len(tokenizer)).to(getattr(torch, dtype))
    trainer = make_trainer(tokenizer, tmp_path, model=model, method=method, dtype=dtype, train_layers=1)
    assert trainer.config.packing and "selfcheck" not in caplog.text


def test_a_model_that_looks_across_the_pack_is_padded(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        trainer = make_trainer(tokenizer, tmp_path, model=bloom(len(tokenizer)), max_steps=1)
    assert not trainer.config.packing
    assert "BloomForCausalLM" in caplog.text and "nats per token" in caplog.text
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4
    s = trainer._store.sequences[0]
    with torch.no_grad():
        trainer.model.eval()
        ids = torch.from_numpy(s.ids).long()
        plain = torch.log_softmax(trainer.model(input_ids=ids[None]).logits[0, s.start - 1 : -1], -1)
        found = trainer.model(**trainer._batches.inputs([s]))
    torch.testing.assert_close(found, plain.gather(1, ids[s.start :, None])[:, 0], atol=1e-4, rtol=0)


def test_a_model_that_changes_its_logits_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = make_model(len(tokenizer))
    forward = type(model).forward

    class Odd(type(model)):  # type: ignore[misc]
        def forward(self, *args: Any, **kwargs: Any) -> Any:
            output = forward(self, *args, **kwargs)
            output.logits = output.logits * 1.1
            return output

    model.__class__ = Odd
    with pytest.raises(ValueError, match=r"Odd cannot be trained.*nats per token.*selfcheck_tolerance is 0\.0005"):
        make_trainer(tokenizer, tmp_path, model=model)
    with pytest.raises(ValueError, match=r"selfcheck_tolerance is 0\.02"):
        make_trainer(tokenizer, tmp_path, model=model, selfcheck_tolerance=0.02)


def test_the_check_leaves_weights_modes_and_random_numbers_alone(tokenizer: PreTrainedTokenizerFast, tmp_path: Path):
    rows = make_trainer(tokenizer, tmp_path)._store.sequences
    model = make_model(len(tokenizer)).to(torch.bfloat16)
    model.train()
    model.lm_head.eval()
    before = {name: value.clone() for name, value in (*model.named_parameters(), *model.named_buffers())}
    addresses = {name: value.data_ptr() for name, value in model.named_buffers()}
    state = torch.get_rng_state()
    SelfCheck(model, rows[:1], None)
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and model.model.training and not model.lm_head.training
    for name, value in (*model.named_parameters(), *model.named_buffers()):
        assert value.dtype == before[name].dtype and torch.equal(value, before[name])
    assert addresses == {name: value.data_ptr() for name, value in model.named_buffers()}
    assert model.lm_head.weight is model.model.embed_tokens.weight


def test_a_policy_that_is_not_its_reference_ends_the_run(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path)
    trainer._compute_references(trainer.model)
    with torch.no_grad():
        trainer.model.lm_head.weight.mul_(1.5)
    with pytest.raises(ValueError, match=r"step 1: policy and reference disagree .*start_tolerance is 2.*cache"):
        trainer.train()
    assert trainer.state.global_step == 0


@pytest.mark.parametrize("method", ["lora", "full"])
@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_only_the_adapters_drop_out(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, family: str
) -> None:
    """GPT-2 drops a tenth by `nn.Dropout`, this Llama by a number that its attention holds."""
    torch.manual_seed(0)
    if family == "gpt2":
        config: Any = GPT2Config(vocab_size=len(tokenizer), n_embd=32, n_layer=2, n_head=4, initializer_range=0.3)
    else:
        config = LlamaConfig(
            vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=4, attention_dropout=0.5, initializer_range=0.3,
        )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    trainer = make_trainer(tokenizer, tmp_path, model=model, method=method, lora_dropout=0.25, max_steps=1)
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4
    kept = {module.p for module in trainer.model.modules() if isinstance(module, torch.nn.Dropout)}
    assert kept - {0.0} == ({0.25} if method == "lora" else set())
