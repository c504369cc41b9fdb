"""What `--dry-run` says is what a run does and takes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, TrainerCallback

from factalign.fkto import FKTOConfig
from factalign.fkto.__main__ import main
from factalign.fkto.model.preparation import cast_model, prepare_model, set_checkpointing
from factalign.fkto.model.trunk import decoder_layers
from factalign.fkto.rows.batches import model_inputs
from factalign.fkto.rows.spans import TokenSequence
from factalign.fkto.run.dry_run import memory
from factalign.fkto.run.memory import pass_size

from .conftest import make_rows
from .test_trainer import PLAIN, make_trainer

ACTIVATIONS_WITHIN = 1.1
"""The factor to which a pass is foretold."""


def middling(vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    return LlamaForCausalLM(
        LlamaConfig(vocab_size=vocabulary, hidden_size=128, intermediate_size=384, num_hidden_layers=4,
                    num_attention_heads=4, num_key_value_heads=2, pad_token_id=0)
    )  # fmt: skip


def most_allocated(run: Callable[[], None]) -> int:
    """The peak of what the allocator of the CPU gives out during `run`."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        run()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]  # type: ignore[union-attr]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak


@pytest.mark.parametrize(
    ("method", "dtype", "packing", "optimizer"),
    [
        ("lora", "bfloat16", True, "adamw_torch_fused"),
        ("lora", "float32", False, "sgd"),
        ("full", "bfloat16", True, "adamw_torch"),
        ("full", "float32", False, "adagrad"),
        ("layers", "bfloat16", True, "adamw_torch_fused"),
        ("layers", "bfloat16", False, "rmsprop"),
    ],
)
def test_memory_is_what_a_step_takes(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str, dtype: str, optimizer: str, packing: bool
) -> None:
    changes: dict[str, Any] = {
        "method": method, "dtype": dtype, "optimizer": optimizer, "packing": packing, "train_layers": 2,
        "max_steps": 1, "learning_rate": 1e-3,
    }  # fmt: skip
    trainer = make_trainer(tokenizer, tmp_path, model=middling(len(tokenizer)), **changes)
    gradients = []

    class Sum(TrainerCallback):
        def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            gradients.append(sum(p.grad.nbytes for p in trainer.model.parameters() if p.grad is not None))

    trainer.add_callback(Sum())
    trainer.train()
    states = [t for state in trainer.optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
    tensors = {t.data_ptr(): t for t in (*trainer.model.parameters(), *trainer.model.buffers())}

    config = FKTOConfig(**{**PLAIN, **changes})
    with torch.device("meta"):
        outline = middling(len(tokenizer))
    cast_model(outline, config)
    prepared, trunk = prepare_model(outline, config)
    parts = {name: part.alone for name, part in memory(prepared, trunk, config, trainer._store.sequences, 1).items()}
    assert parts["weights"] == sum(t.nbytes for t in tensors.values())
    assert [parts["gradients"]] == gradients
    assert parts[f"optimizer ({optimizer})"] == sum(t.nbytes for t in states)

    inputs: Any = model_inputs(trainer._store.sequences, packing)
    if method == "layers":
        inputs["trunk_states"] = torch.randn(*inputs["input_ids"].shape, 128).to(getattr(torch, dtype))
    for name, checkpointing in (("keeping", False), ("recomputing", True)):

        def run(checkpointing: bool = checkpointing) -> None:
            set_checkpointing(trainer.model, checkpointing)
            trainer.model.train()(**inputs, with_entropies=True)[0].sum().backward()

        trainer.model.zero_grad(set_to_none=True)
        run()  # gradients are there from now on
        found, foretold = most_allocated(run), parts[f"largest pass, {name}"]
        assert foretold / ACTIVATIONS_WITHIN < found < foretold * ACTIVATIONS_WITHIN


def test_recomputed_activations_keep_no_copy_of_the_weights() -> None:
    """Autocast's cache held all weights in bfloat16 to the end of the forward pass, on each rank of a sharded model."""
    config = FKTOConfig(method="full", logit_chunk=16)
    with torch.device("meta"):
        model = LlamaForCausalLM(
            LlamaConfig(vocab_size=64, hidden_size=256, intermediate_size=1024, num_hidden_layers=16,
                        num_attention_heads=4, num_key_value_heads=4)
        )  # fmt: skip
    cast_model(model, config)
    prepared, _ = prepare_model(model, config)
    copies = 2 * sum(p.numel() for p in decoder_layers(prepared).parameters())
    ids = np.zeros(16, dtype=np.int32)
    rows = [TokenSequence(ids, 1, ids[1:] - 1, (), truncated=False, ended=True)]
    found = {
        checkpointing: pass_size(prepared, model_inputs(rows, packing=True), checkpointing=checkpointing)
        for checkpointing in (True, False)
    }
    assert found[True] < copies / 2 < copies < found[False]


@pytest.fixture
def arguments(saved: Callable[[], Path], tmp_path: Path) -> list[str]:
    """A command line for a policy without weights."""
    folder = saved()
    (folder / "model.safetensors").unlink()
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in make_rows(13)))
    return [
        "--dry-run", "--model", str(folder), "--data", str(rows), "--output-dir", str(tmp_path / "out"),
        "--set", "batch_size=6", "--set", "micro_batch_size=1",
    ]  # fmt: skip


def read(report: str) -> dict[str, str]:
    pairs = (line.split("  ", 2)[1:] for line in report.splitlines() if line.startswith("  "))
    return {name.strip(): value.strip() for name, value in (" ".join(pair).strip().split("  ", 1) for pair in pairs)}


def test_the_report_needs_no_weights(
    arguments: list[str], tokenizer: PreTrainedTokenizerFast, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 0
    report = read(capsys.readouterr().out)
    assert not (tmp_path / "out").exists()
    trainer = make_trainer(tokenizer, tmp_path / "run", make_rows(13), method="lora")
    lengths = [len(s) for s in trainer._store.sequences]
    assert report["rows"] == "13, left out 0, cut off 0"
    assert report["tokens of a row"].endswith(f"largest {max(lengths)}")
    assert (report["ranks"], report["optimizer steps"], report["passes of a rank in a step"]) == ("1", "3", "6")
    trained = sum(p.numel() for p in trainer.model.parameters() if p.requires_grad)
    assert report["trained parameters"].startswith(f"{trained:,} (")
    assert report["adapted layers"] == "21 in one pass over their output, 0 by peft"
    assert report["attention on a GPU"] == "varlen_attn"


def test_ranks_come_from_the_command_line_or_the_launcher(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    tokens = ["--set", "micro_batch_tokens=80", "--set", "method=layers", "--set", "train_layers=1"]
    assert main([*arguments, *tokens]) == 0
    report = read(capsys.readouterr().out)
    assert report["ranks"] == "2"
    assert "host, trunk states of a rank" in report
    assert main([*arguments, "--ranks", "3"]) == 0
    assert read(capsys.readouterr().out)["ranks"] == "3"
    monkeypatch.setenv("RANK", "1")
    assert main(arguments) == 0
    assert not capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["--data", "nowhere.jsonl"], "nowhere.jsonl"),
        (["--model", "/no/where"], "/no/where"),
        (["--ranks", "0"], "--ranks 0"),
        (["--ranks", "4"], "no multiple"),
        (["--set", "method=layers", "--set", "train_layers=9"], "train_layers is 9"),
        (["--set", "max_length=3"], "none of the 13 rows"),
    ],
)
def test_what_is_wrong_ends_with_a_message(
    arguments: list[str], changes: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*arguments, *changes]) == 2
    assert message in capsys.readouterr().err


def test_a_row_that_is_wrong_is_named(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = tmp_path / "rows.jsonl"
    rows.write_text(rows.read_text() + json.dumps({"prompt": "x", "completion": "y", "label": 7}) + "\n")
    assert main(arguments) == 2
    assert "rows.jsonl, line 14" in capsys.readouterr().err
