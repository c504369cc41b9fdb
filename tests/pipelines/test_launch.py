"""The training's child process: its failures, its log, and its end when its parent is killed."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from factalign.fkto import Manifest
from factalign.pipelines.training.launch import TrainingError, launch

PROFILES = Path(__file__).resolve().parents[2] / "conf/base/accelerate"
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
