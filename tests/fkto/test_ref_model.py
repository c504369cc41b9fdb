"""A reference that is another model than the policy."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from factalign.fkto import FKTOTrainer
from factalign.fkto.reference import sequence_key
from factalign.policies import load_policy, make_handle

from .conftest import make_model, make_rows, make_tokenizer
from .test_adapters import adapted
from .test_selfcheck import bloom
from .test_trainer import _StopAt, assert_same, log_rows, make_trainer, trained


def plain_logps(model: Any, s: Any) -> Tensor:
    ids = torch.from_numpy(s.ids).long()[None]
    with torch.no_grad():
        logits = model.eval()(input_ids=ids).logits
    return torch.log_softmax(logits, -1)[0, s.start - 1 : -1].gather(1, ids[0, s.start :, None])[:, 0]


def assert_references_are_of(trainer: FKTOTrainer, model: Any, atol: float = 1e-4) -> None:
    for s in trainer._store.sequences:
        found = torch.from_numpy(trainer.references[sequence_key(s)])
        torch.testing.assert_close(found, plain_logps(model, s), atol=atol, rtol=0)


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
@pytest.mark.parametrize("packing", [True, False])
def test_rewards_are_measured_against_the_model_that_is_given(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, packing: bool
) -> None:
    reference, policy = make_model(len(tokenizer), seed=1), make_model(len(tokenizer))
    changes = {"method": method, "train_layers": 1, "packing": packing, "eval_rows": make_rows(4, seed=5)}
    trainer = make_trainer(tokenizer, tmp_path, ref_model=reference, max_steps=1, batch_size=12, **changes)
    trainer.train()
    untouched = make_model(len(tokenizer), seed=1)
    assert_references_are_of(trainer, untouched)
    gains = [
        (plain_logps(policy if method == "lora" else make_model(len(tokenizer)), s) - plain_logps(untouched, s)).sum()
        for s in trainer._store.sequences
    ]
    expected = torch.stack(gains).abs().mean().item()
    assert expected > 2  # more than start_tolerance
    assert log_rows(trainer)[0]["abs_reward_at_start"] == pytest.approx(expected, rel=1e-3)
    trainer.evaluate()
    eval_s = next(iter(trainer._held_out.sequences.values()))
    found = torch.from_numpy(trainer.references[sequence_key(eval_s)])
    torch.testing.assert_close(found, plain_logps(untouched, eval_s), atol=1e-4, rtol=0)


def test_the_policy_as_its_own_reference_changes_nothing(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    given = make_trainer(tokenizer, tmp_path / "given", ref_model=make_model(len(tokenizer)), epochs=2)
    assert_same(trained(given), trained(make_trainer(tokenizer, tmp_path / "own", epochs=2)), atol=0)


def test_the_reference_is_let_go_and_kept_in_the_cache(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    def make(name: str, seed: int) -> FKTOTrainer:
        reference = make_model(len(tokenizer), seed=seed)
        weights.append(weakref.ref(reference.lm_head.weight))
        changes = {"reference_cache_dir": str(tmp_path / "cache"), "save_steps": 1, "epochs": 2}
        return make_trainer(tokenizer, tmp_path / name, ref_model=reference, **changes)

    weights: list[Any] = []
    first = make("a", 1)
    expected = trained(first)
    gc.collect()
    assert weights[0]() is None
    assert first.references.computed > 0 and first.references.hits == 0
    again = make("b", 1)
    again.add_callback(_StopAt(2))
    with pytest.raises(KeyboardInterrupt):
        again.train()
    assert again.references.computed == 0 and again.references.hits == first.references.computed
    assert make("c", 2).references.missing(sequence_key(s) for s in first._store.sequences)
    with pytest.raises(ValueError, match="checkpoint of another run"):
        make("b", 2).train()
    assert_same(trained(make("b", 1)), expected, atol=0)


def test_a_reference_of_another_architecture_has_its_own_layout(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    trainer = make_trainer(tokenizer, tmp_path, ref_model=bloom(len(tokenizer)))
    assert trainer.config.packing
    trainer.train()
    assert_references_are_of(trainer, bloom(len(tokenizer)))


def test_a_model_with_an_adapter_may_be_the_reference(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    trainer = make_trainer(tokenizer, tmp_path, ref_model=adapted(len(tokenizer)))
    trainer.train()
    assert_references_are_of(trainer, adapted(len(tokenizer)))


def test_a_folder_is_read(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, saved: Callable[[], Path]) -> None:
    folder = saved()
    trainer = make_trainer(tokenizer, tmp_path, model=make_model(len(tokenizer), 1), ref_model=folder)
    trainer.train()
    assert_references_are_of(trainer, load_policy(make_handle(folder), "float32")[0])
    other = make_tokenizer("metaspace")
    with pytest.raises(ValueError, match="ref_model has another vocabulary"):
        make_trainer(other, tmp_path, model=make_model(len(other)), ref_model=folder)


def test_a_reference_that_does_not_fit_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = make_model(len(tokenizer))
    with pytest.raises(ValueError, match="ref_model is the policy itself"):
        make_trainer(tokenizer, tmp_path, model=model, ref_model=model)
    with pytest.raises(ValueError, match=rf"ref_model knows 40 tokens, the policy's tokenizer has {len(tokenizer)}"):
        make_trainer(tokenizer, tmp_path, ref_model=make_model(40))
