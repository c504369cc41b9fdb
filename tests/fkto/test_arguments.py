"""More arguments of transformers: passed on, refused by name, and with or without a part in a run's identity."""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from factalign.fkto import FKTOConfig, argument_names
from factalign.fkto.run import arguments

from .conftest import make_rows
from .test_trainer import PLAIN, assert_same, killed, make_trainer, trained


def test_what_the_trainer_decides_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that the trainer gives, and in the words of the configuration."""
    given: dict[str, Any] = {}
    monkeypatch.setattr(
        arguments, "TrainingArguments", lambda **kwargs: given.update(kwargs) or SimpleNamespace(n_gpu=0)
    )
    arguments.training_arguments(FKTOConfig(), tmp_path, 0)
    assert given.keys() <= argument_names.DECIDED.keys()
    assert set(argument_names.SETTINGS.values()) <= FKTOConfig.model_fields.keys()


def test_all_names_in_the_tables_are_those_of_transformers() -> None:
    known = {field.name for field in dataclasses.fields(arguments.TrainingArguments)}
    assert argument_names.DECIDED.keys() | argument_names.UNDECIDING <= known
    assert not argument_names.DECIDED.keys() & argument_names.UNDECIDING


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("per_device_train_batch_size", "decided by the setting micro_batch_size"),
        ("warmup_steps", "decided by the setting warmup_ratio"),
        ("fp16", "decided by the setting dtype"),
        ("seed", r"decided by seed of the trainer \(--seed\)"),
        ("fsdp", "decided by the profile that accelerate launches with"),
        ("remove_unused_columns", "decided by the trainer itself"),
        ("hub_token", "decided by HF_TOKEN in the environment"),
        ("adam_beta", "has no adam_beta; did you mean adam_beta[12], adam_beta[12]"),
        ("lerning_rate", "did you mean learning_rate"),
        ("zzzz", "did you mean adam_beta1, adam_beta2, adam_epsilon, "),
    ],
)
def test_other_names_are_refused(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"training_arguments: .*{message}"):
        FKTOConfig(training_arguments={name: 1})


def test_arguments_arrive(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    """Those of the optimizer and of the schedule change the weights; workers of the loader do not."""
    adam: dict[str, Any] = {"optimizer": "adamw_torch", "epochs": 2, "learning_rate": 1e-2}
    plain = trained(make_trainer(tokenizer, tmp_path / "plain", **adam))
    given = {
        "betas": {"adam_beta2": 0.5},
        "schedule": {"lr_scheduler_kwargs": {"min_lr_rate": 0.5}},
        "workers": {"dataloader_num_workers": 2, "dataloader_prefetch_factor": 1, "run_name": "mine"},
    }
    found = {}
    for name, more in given.items():
        changes = adam | ({"scheduler": "cosine_with_min_lr"} if name == "schedule" else {})
        trainer = make_trainer(tokenizer, tmp_path / name, training_arguments=more, **changes)
        assert {key: getattr(trainer.args, key) for key in more} == more
        found[name] = trained(trainer)
    assert_same(found["workers"], plain, atol=0)
    for name in ("betas", "schedule"):
        assert any((found[name][key] != plain[key]).any() for key in plain)


@pytest.mark.parametrize("method", ["lora", "full", "layers"])
def test_a_compiled_model_trains_alike(tokenizer: PreTrainedTokenizerFast, tmp_path: Path, method: str) -> None:
    """Without generating code, which takes a compiler."""
    changes: dict[str, Any] = {"method": method, "train_layers": 1}
    expected = trained(make_trainer(tokenizer, tmp_path / "plain", **changes))
    more = {"torch_compile": True, "torch_compile_backend": "eager"}
    trainer = make_trainer(tokenizer, tmp_path / "compiled", training_arguments=more, **changes)
    assert_same(trained(trainer), expected)
    assert isinstance(trainer.model_wrapped, torch._dynamo.OptimizedModule)
    trainer.save_result()


def test_only_arguments_without_a_part_in_the_result_may_change(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    changes = killed(tokenizer, tmp_path, training_arguments={"adam_beta2": 0.9, "run_name": "one"})
    other = changes | {"training_arguments": {"adam_beta2": 0.8, "run_name": "one"}}
    with pytest.raises(ValueError, match=r"config\.training_arguments: \{'adam_beta2': 0\.9\} there"):
        make_trainer(tokenizer, tmp_path, **other).train()
    renamed = changes | {"training_arguments": {"adam_beta2": 0.9, "run_name": "two", "logging_first_step": True}}
    resumed = make_trainer(tokenizer, tmp_path, **renamed)
    resumed.train()
    assert resumed._initial_global_step == 2


@pytest.fixture
def hub() -> Iterator[tuple[str, dict[str, bytes]]]:
    """The part of the hub's HTTP interface that makes repositories and takes commits; its address and its files."""
    files: dict[str, bytes] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            body = self.rfile.read(size)
            answer: dict[str, Any] = {"url": f"{address}/me/aligned"}
            if "/preupload/" in self.path:
                paths = [file["path"] for file in json.loads(body)["files"]]
                answer = {"files": [{"path": p, "uploadMode": "regular", "shouldIgnore": False} for p in paths]}
            elif "/commit/" in self.path:
                for line in map(json.loads, body.splitlines()):
                    if line["key"] == "file":
                        files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                answer = {"commitUrl": f"{address}/me/aligned/commit/0", "commitOid": "0", "success": True}
            content = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    address = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    yield address, files
    server.shutdown()


def test_the_result_is_pushed(saved: Callable[[], Path], tmp_path: Path, hub: tuple[str, dict[str, bytes]]) -> None:
    address, files = hub
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in make_rows()))
    more = {"push_to_hub": True, "hub_model_id": "me/aligned"}
    settings = {**PLAIN, "method": "lora", "save_steps": 1, "training_arguments": more}
    command = [sys.executable, "-m", "factalign.fkto", "--model", str(saved()), "--data", str(tmp_path / "rows.jsonl")]
    command += ["--output-dir", str(tmp_path / "out")]
    command += [part for name, value in settings.items() for part in ("--set", f"{name}={json.dumps(value)}")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "HF_ENDPOINT": address,
        "HF_TOKEN": "hf_secret",
    }
    environment |= {"HF_HUB_OFFLINE": "0", "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    adapter = tmp_path / "out" / "adapter"
    written = {path.name: path.read_bytes() for path in adapter.iterdir()}
    assert files == written and "adapter_model.safetensors" in files
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file() and b"hf_secret" in path.read_bytes()]


def test_there_is_nothing_to_push_before_it_is_written(tokenizer: PreTrainedTokenizerFast, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model is missing: save_result\(\) writes"):
        make_trainer(tokenizer, tmp_path).push_to_hub()
