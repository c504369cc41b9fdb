"""Shared fixtures: the external data folder, a tiny model, and a copy of the project to run for real."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ("fixtures.annotated", "fixtures.bert", "fixtures.factbook")
TIMEOUT = 900  # seconds: a run that hangs fails
PROJECT = Path(__file__).resolve().parents[1]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="session")
def external_data() -> Path:
    """The folder of labelled data of other projects; tests that need it are skipped without it."""
    folder = os.environ.get("FACTALIGN_EXTERNAL_DATA")
    if not folder:
        pytest.skip("FACTALIGN_EXTERNAL_DATA is not set: no labelled data of other projects to test against")
    return Path(folder)


class Project:
    """A copy of the project in a folder of its own, run through the `kedro` command in child processes."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("src", "conf"):
            shutil.copytree(
                PROJECT / name,
                root / name,
                ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", "local"),
            )
        (root / "conf" / "local").mkdir()
        for name in ("pyproject.toml", ".telemetry", ".kedro.yml"):
            shutil.copy(PROJECT / name, root / name)

    def start(self, *arguments: str, iterations: int = 2, **popen: Any) -> subprocess.Popen[str]:
        """Start Python with `arguments` in the copy."""
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.root / "src"),
            "FACTALIGN_ITERATIONS": str(iterations),
            "DO_NOT_TRACK": "1",
            "COLUMNS": "200",
        }
        command = [sys.executable, *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        return subprocess.Popen(command, cwd=self.root, env=environment, **pipes, **popen)

    def run(self, *arguments: str, iterations: int = 2) -> subprocess.CompletedProcess[str]:
        """Run Python with `arguments` in the copy to its end."""
        process = self.start(*arguments, iterations=iterations)
        try:
            output, _ = process.communicate(timeout=TIMEOUT)
        finally:
            process.kill()
        return subprocess.CompletedProcess(process.args, process.returncode, output)

    def kedro(self, *arguments: str, iterations: int = 2) -> subprocess.CompletedProcess[str]:
        """Run `kedro` with `arguments` in the copy to its end."""
        return self.run("-m", "kedro", *arguments, iterations=iterations)

    def newest(self, path: str) -> Path:
        """The newest version of the versioned artifact `path`, relative to `data/`."""
        versions = sorted((self.root / "data" / path).glob("*/*"))
        if not versions:
            raise FileNotFoundError(f"no version of data/{path}")
        return versions[-1]


@pytest.fixture
def make_project(tmp_path_factory: pytest.TempPathFactory):
    """Make a fresh copy of the project."""
    return lambda: Project(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A copy of the project in which `kedro run --env=test` has run to its end, with two iterations."""
    project = Project(tmp_path_factory.mktemp("finished"))
    result = project.kedro("run", "--env=test")
    assert result.returncode == 0, result.stdout[-5000:]
    (project.root / "output.txt").write_text(result.stdout, encoding="utf-8")
    return project


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random chat model on disk: bytes as tokens, four attention heads over two key heads."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    vocabulary = {token: index for index, token in enumerate(special + sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=special[1], eos_token=special[2], pad_token=special[2]
    )
    tokenizer.chat_template = TEMPLATE
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.4,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=2,
    )
    folder = tmp_path_factory.mktemp("tiny") / "model"
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_handle(tiny_model: Path) -> dict:
    """The handle of the tiny model."""
    return {"policy_id": "tiny", "model": str(tiny_model), "adapters": []}
