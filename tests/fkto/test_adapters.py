"""What a user of TRL hands over: names and folders, adapters of any kind, models that have one."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import (
    AdaLoraConfig,
    HRAConfig,
    IA3Config,
    LoHaConfig,
    LoKrConfig,
    LoraConfig,
    OFTConfig,
    PeftModel,
    PromptTuningConfig,
    VeraConfig,
    get_peft_model,
)
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from factalign.fkto import FKTOConfig, FKTOTrainer
from factalign.fkto.model.adapters import KINDS
from factalign.policies import PolicyError, load_policy, make_handle

from .conftest import make_model, make_rows
from .test_trainer import _StopAt as StopAt
from .test_trainer import assert_same, log_rows, make_trainer, trained

TARGETS = ["q_proj", "down_proj"]
ADAPTERS: dict[str, Any] = {
    "LORA": LoraConfig(r=3, target_modules=TARGETS, lora_dropout=0.1, use_rslora=True),
    "IA3": IA3Config(target_modules=TARGETS, feedforward_modules=["down_proj"]),
    "LOHA": LoHaConfig(r=3, target_modules=TARGETS),
    "LOKR": LoKrConfig(r=3, target_modules=TARGETS),
    "OFT": OFTConfig(r=0, oft_block_size=4, target_modules=TARGETS),
    "VERA": VeraConfig(r=3, target_modules=["q_proj"]),
    "HRA": HRAConfig(r=4, target_modules=TARGETS),
}


def logps(trainer: FKTOTrainer, model: Any) -> Tensor:
    """Log-probabilities of a row's scored tokens from plain logits."""
    s = trainer._store.sequences[0]
    ids = torch.from_numpy(s.ids).long()[None]
    with torch.no_grad():
        logits = model.eval()(input_ids=ids).logits
    return torch.log_softmax(logits, -1)[0, s.start - 1 : -1].gather(1, ids[0, s.start :, None])[:, 0]


def trained_logps(trainer: FKTOTrainer) -> Tensor:
    with torch.no_grad():
        return trainer.model.eval()(**trainer._batches.inputs([trainer._store.sequences[0]]))


def assert_trains_and_loads(trainer: FKTOTrainer, make_base: Callable[[], Any]) -> None:
    """r begins at 0, the adapter learns, and what is written says the same on a fresh base: as such, and merged."""
    before = trained_logps(trainer)
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 1e-4
    after = trained_logps(trainer)
    assert (after - before).abs().max() > 1e-3
    trainer.save_result()
    folder = trainer.folder / "adapter"
    loaded = PeftModel.from_pretrained(make_base(), str(folder), use_safetensors=True)
    torch.testing.assert_close(logps(trainer, loaded), after, atol=2e-4, rtol=0)
    torch.testing.assert_close(logps(trainer, loaded.merge_and_unload()), after, atol=2e-3, rtol=0)
    assert all(p.dtype == torch.float32 for p in trainer.model.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", KINDS)
def test_an_adapter_of_peft_is_trained(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, kind: str) -> None:
    given = deepcopy(ADAPTERS[kind])
    trainer = make_trainer(tokenizer, tmp_path, method="lora", epochs=2, learning_rate=0.05, peft_config=given)
    assert trainer.model.peft_config["default"].peft_type == kind
    assert given.to_dict() == ADAPTERS[kind].to_dict()
    assert_trains_and_loads(trainer, lambda: make_model(len(tokenizer)))


@pytest.mark.parametrize(
    ("tied", "changes"),
    [
        (True, {"lora_modules_to_save": ["embed_tokens"]}),
        (True, {"lora_modules_to_save": ["lm_head"]}),
        (False, {"lora_modules_to_save": ["embed_tokens"]}),
        (False, {"lora_modules_to_save": ["lm_head", "norm"]}),
        (True, {"use_dora": True, "lora_targets": TARGETS}),
    ],
)
def test_saved_modules_and_dora_are_trained(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, tied: bool, changes: dict[str, Any]
) -> None:
    trainer = make_trainer(
        tokenizer, tmp_path, model=make_model(len(tokenizer), tied=tied), method="lora", epochs=2, **changes
    )
    policy = trainer.model.get_base_model()
    for name in changes.get("lora_modules_to_save", []):
        assert any(p.requires_grad for n, m in policy.named_modules() if n.endswith(name) for p in m.parameters())
    assert (policy.get_output_embeddings().weight is policy.get_input_embeddings().weight) == tied
    head = policy.get_output_embeddings().weight.detach().clone()
    assert_trains_and_loads(trainer, lambda: make_model(len(tokenizer), tied=tied))
    saved = "lm_head" in changes.get("lora_modules_to_save", []) or (tied and "lora_modules_to_save" in changes)
    assert torch.equal(policy.get_output_embeddings().weight, head) != saved


@pytest.mark.parametrize("changes", [{"use_dora": True}, {"lora_modules_to_save": ["embed_tokens"]}])
def test_in_bfloat16_rewards_begin_at_zero_too(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, changes: dict[str, Any]
) -> None:
    trainer = make_trainer(tokenizer, tmp_path, method="lora", dtype="bfloat16", max_steps=1, **changes)
    trainer.train()
    assert log_rows(trainer)[0]["abs_reward_at_start"] < 0.05


def adapted(vocabulary: int, name: str = "mine", **changes: Any) -> Any:
    """A model whose adapter has learnt something."""
    options = {"r": 3, "target_modules": TARGETS, "init_lora_weights": False, "task_type": "CAUSAL_LM", **changes}
    torch.manual_seed(3)
    return get_peft_model(make_model(vocabulary), LoraConfig(**options), adapter_name=name)


@pytest.mark.parametrize("changes", [{}, {"use_dora": True}, {"modules_to_save": ["lm_head"]}])
def test_an_adapter_that_is_handed_over_is_trained_on(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, changes: dict[str, Any]
) -> None:
    """As TRL does: the policy and its reference have the adapter, and no other is made."""
    adapted(len(tokenizer), lora_dropout=0.5, **changes).save_pretrained(tmp_path)
    model = PeftModel.from_pretrained(
        make_model(len(tokenizer)), str(tmp_path / "mine"), adapter_name="mine", use_safetensors=True
    )
    expected = adapted(len(tokenizer), **changes)
    trainer = make_trainer(tokenizer, tmp_path / "out", model=model, method="lora", epochs=2)
    assert trainer.model is model
    kept = {m.p for m in model.modules() if isinstance(m, torch.nn.Dropout)}
    assert kept - {0.0} == {0.5}
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    torch.testing.assert_close(trained_logps(trainer), logps(trainer, expected), atol=1e-4, rtol=0)
    assert (logps(trainer, make_model(len(tokenizer))) - logps(trainer, expected)).abs().max() > 0.1
    assert_trains_and_loads(trainer, lambda: make_model(len(tokenizer)))


def test_rounding_spares_the_adapter_that_is_handed_over(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    model = adapted(len(tokenizer))
    before = {name: p.detach().clone() for name, p in model.named_parameters() if "lora_" in name}
    trainer = make_trainer(tokenizer, tmp_path, model=model, method="lora", dtype="bfloat16")
    found = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
    assert found.keys() == before.keys()
    assert all(torch.equal(found[name], before[name]) for name in before)
    assert model.get_base_model().lm_head.weight.dtype == torch.bfloat16


def test_references_tell_adapters_apart(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """The same weights with another scaling are another function."""

    def run(name: str, **changes: Any) -> FKTOTrainer:
        options = {"method": "lora", "reference_cache_dir": str(tmp_path / "cache"), "max_steps": 1, **changes}
        trainer = make_trainer(tokenizer, tmp_path / name, **options)
        trainer.train()
        return trainer

    vocabulary = len(tokenizer)
    assert run("a", model=adapted(vocabulary)).references.computed > 0
    assert run("b", model=adapted(vocabulary)).references.computed == 0
    assert run("c", model=adapted(vocabulary, lora_alpha=1)).references.hits == 0
    first = run("d", peft_config=LoraConfig(target_modules=TARGETS))
    assert run("e", peft_config=LoraConfig(target_modules=set(TARGETS))).references.computed == 0
    second = run("f", peft_config=LoraConfig(target_modules=TARGETS, use_dora=True))
    assert second.references.hits == 0
    assert first._checkpoints.identity != second._checkpoints.identity


@pytest.mark.parametrize(
    ("peft_config", "changes", "message"),
    [
        (PromptTuningConfig(num_virtual_tokens=3), {}, r"not trained here \(PROMPT_TUNING\): it changes the sequence"),
        (AdaLoraConfig(total_step=10, target_modules=TARGETS), {}, r"not trained here \(ADALORA\)"),
        (LoraConfig(target_modules=TARGETS, alora_invocation_tokens=[1]), {}, "depends on it"),
        (LoraConfig(target_modules=TARGETS), {"method": "full"}, "needs method 'lora', not 'full'"),
        (LoraConfig(target_modules=TARGETS), {"lora_rank": 4, "use_dora": True}, "peft_config and lora_rank, use_dora"),
        (LoraConfig(target_modules=TARGETS, init_lora_weights="pissa"), {}, "init_lora_weights='pissa' begins with"),
        (LoraConfig(target_modules=TARGETS, init_lora_weights=False), {}, "init_lora_weights=False begins with"),
        (LoraConfig(target_modules=["lm_head"]), {}, "targets include the output head"),
        (LoraConfig(target_modules=["embed_tokens"]), {}, "targets include the embeddings, whose weights"),
        (LoraConfig(target_modules=TARGETS, trainable_token_indices=[1]), {}, "targets include the output head"),
    ],
)
def test_what_cannot_be_trained_is_refused(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, peft_config: Any, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_trainer(tokenizer, tmp_path, peft_config=peft_config, **{"method": "lora", **changes})


def test_an_adapter_that_cannot_be_trained_on_is_refused(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    def refused(message: str, model: Any, **changes: Any) -> None:
        with pytest.raises(ValueError, match=message):
            make_trainer(tokenizer, tmp_path, model=model, **{"method": "lora", **changes})

    vocabulary = len(tokenizer)
    model = adapted(vocabulary)
    refused("holds an adapter and peft_config asks for one", model, peft_config=LoraConfig())
    refused("the adapter of this PeftModelForCausalLM needs method 'lora', not 'layers'", model, method="layers")
    refused("the adapter of this PeftModelForCausalLM and lora_rank both say", model, lora_rank=3)
    refused("trains biases of the model", adapted(vocabulary, bias="all"))
    model.merge_adapter()
    refused("is merged", model)
    model.unmerge_adapter()
    model.add_adapter("second", LoraConfig(target_modules=TARGETS))
    refused(r"the adapters \['mine', 'second'\]: delete_adapter", model)
    own = make_model(vocabulary)
    own.add_adapter(LoraConfig(target_modules=TARGETS))
    refused("LlamaForCausalLM holds adapters of its own", own)


def test_a_folder_is_read(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, saved: Callable[[], Path]) -> None:
    folder = saved()
    config = FKTOConfig(dtype="float32", max_steps=1, reference_cache_dir=None)
    trainer = FKTOTrainer(str(folder), None, make_rows(), config, tmp_path / "out")
    assert trainer.processing_class.chat_template == tokenizer.chat_template
    expected, _ = load_policy(make_handle(folder), "float32")
    torch.testing.assert_close(trained_logps(trainer), logps(trainer, expected), atol=1e-4, rtol=0)
    other = deepcopy(tokenizer)
    assert FKTOTrainer(folder, other, make_rows(), config, tmp_path / "out").processing_class is other
    (folder / "model.safetensors").unlink()
    with pytest.raises(PolicyError, match=r"no \*\.safetensors weights"):
        FKTOTrainer(folder, None, make_rows(), config, tmp_path / "out")
    with pytest.raises(ValueError, match="LlamaForCausalLM comes without its tokenizer"):
        FKTOTrainer(make_model(len(tokenizer)), None, make_rows(), config, tmp_path / "out")


@pytest.mark.parametrize("handed_over", [True, False])
def test_a_resumed_adapter_equals_an_uninterrupted_one(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, handed_over: bool
) -> None:
    def make(name: str) -> FKTOTrainer:
        changes: dict[str, Any] = {"method": "lora", "epochs": 2, "save_steps": 1, "optimizer": "adamw_torch"}
        if handed_over:
            changes["model"] = adapted(len(tokenizer), modules_to_save=["lm_head"])
        else:
            changes |= {"lora_modules_to_save": ["embed_tokens"], "use_dora": True}
        return make_trainer(tokenizer, tmp_path / name, learning_rate=0.01, **changes)

    expected = trained(make("whole"))
    broken = make("broken")
    broken.add_callback(StopAt(2))
    with pytest.raises(KeyboardInterrupt):
        broken.train()
    resumed = make("broken")
    assert_same(trained(resumed), expected, atol=0)
    assert [row["step"] for row in log_rows(resumed)] == [1, 2, 3, 4]
