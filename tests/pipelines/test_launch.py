"""The training's child process: its failures, its log, and its end when its parent is killed."""

import errno
import json
import logging
import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch
import yaml
from safetensors.torch import load_file

from factalign.fkto import Manifest
from factalign.pipelines.training import launch as launch_module
from factalign.pipelines.training.launch import TrainingError, launch

PROFILES = Path(__file__).resolve().parents[2] / "conf/base/accelerate"
ROWS = [
    {
        "prompt": [{"role": "user", "content": f"Tell me about Land{i % 4}."}],
        "completion": [{"role": "assistant", "content": f"Its capital is Vienna, and it has {i} rivers."}],
        "label": i % 3 > 0,
    }
    for i in range(8)
]
PARENT = """
import sys
from pathlib import Path
from factalign.fkto import Manifest
from factalign.pipelines.training.launch import launch
launch(Manifest.model_validate_json(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
"""


def wait_for_reader(fifo: Path, process: subprocess.Popen) -> int:
    """Open `fifo` for writing as soon as someone reads it."""
    while process.poll() is None:
        try:
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
        time.sleep(0.1)
    raise AssertionError("the parent ended before its training read the rows")


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_the_training_ends_when_its_parent_is_killed(tiny_handle, tmp_path):
    rows = tmp_path / "rows.jsonl"
    os.mkfifo(rows)  # whoever reads its rows here waits for ever
    manifest = Manifest(policy=tiny_handle, preferences=rows, output_dir=tmp_path / "output")
    arguments = [manifest.model_dump_json(), str(tmp_path), str(PROFILES / "cpu.yaml")]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, *arguments])
    writer = wait_for_reader(rows, parent)
    family = psutil.Process(parent.pid).children(recursive=True)
    try:
        assert len(family) == 2, "expected accelerate and the trainer"
        assert all(is_alive(process) for process in family)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 5
        while any(is_alive(process) for process in family) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not [process for process in family if is_alive(process)]
    finally:
        os.close(writer)
        for process in family:
            if is_alive(process):
                process.kill()


def test_a_failed_training_says_why_and_begins_its_log_anew_unless_it_continues(tiny_handle, tmp_path):
    manifest = Manifest(policy=tiny_handle, preferences=tmp_path / "nowhere.jsonl", output_dir=tmp_path / "output")
    log = tmp_path / "train.log"
    log.write_text("an earlier training\n")
    with pytest.raises(
        TrainingError, match=r"(?s)code 1; the end of .*train\.log:.*nowhere\.jsonl: no such file of preference rows"
    ):
        launch(manifest, tmp_path, PROFILES / "cpu.yaml")
    assert "nowhere.jsonl: no such file of preference rows" in log.read_text()
    assert "an earlier training" not in log.read_text()
    log.write_text("an interrupted training\n")
    (tmp_path / "output" / "checkpoint-1").mkdir(parents=True)
    with pytest.raises(TrainingError):
        launch(manifest, tmp_path, PROFILES / "cpu.yaml")
    assert log.read_text().startswith("an interrupted training\n")
    assert "nowhere.jsonl: no such file of preference rows" in log.read_text()


def test_an_unknown_profile_lists_the_valid_ones(tiny_handle, tmp_path):
    manifest = Manifest(policy=tiny_handle, preferences=tmp_path / "rows.jsonl", output_dir=tmp_path / "output")
    with pytest.raises(FileNotFoundError, match=r"no accelerate profile .*tpu\.yaml; valid profiles: cpu, ddp, fsdp2"):
        launch(manifest, tmp_path, PROFILES / "tpu.yaml")


def test_two_machines_train_as_one_with_two_processes(tiny_handle, tmp_path, monkeypatch, caplog):
    """Two launchers on this machine, each told to be a machine, the second as the log of the first says."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    rows = tmp_path / "rows.jsonl"
    rows.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    config = {"method": "full", "dtype": "float32", "max_steps": 2, "batch_size": 4, "micro_batch_size": 2}
    profile = yaml.safe_load((PROFILES / "ddp.yaml").read_text())

    def train(name, processes):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ddp.yaml").write_text(yaml.safe_dump({**profile, "num_processes": processes}))
        manifest = Manifest(policy=tiny_handle, preferences=rows, output_dir=folder / "output", config=config, seed=1)
        launch(manifest, folder, folder / "ddp.yaml")
        result = json.loads((folder / "output/result.json").read_text())
        assert result["ranks"] == 2
        return load_file(folder / "output/model/model.safetensors")

    expected = train("one", 2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("FACTALIGN_MACHINES", "2")
    with pytest.raises(ValueError, match="FACTALIGN_MAIN_ADDRESS must be HOST:PORT"):
        train("nowhere", 1)
    monkeypatch.setenv("FACTALIGN_MAIN_ADDRESS", f"127.0.0.1:{port}")
    others = []

    class Operator(logging.Handler):
        def emit(self, record):
            _, found, command = record.getMessage().partition("start on machine 2 of 2: ")
            if found:
                others.append(subprocess.Popen(shlex.split(command), start_new_session=True))

    monkeypatch.setattr(launch_module.logger, "handlers", [Operator()])
    launch_module.logger.setLevel(logging.INFO)
    try:
        found = train("two", 1)
        assert others[0].wait(timeout=60) == 0
    finally:
        for other in others:
            if other.poll() is None:
                os.killpg(other.pid, signal.SIGKILL)
    assert found.keys() == expected.keys()
    for name, value in found.items():
        torch.testing.assert_close(value, expected[name], atol=1e-6, rtol=1e-5)
