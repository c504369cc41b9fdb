"""Start the trainer as a child process, follow its output, and leave nothing of it behind."""

import logging
import os
import shlex
import signal
import subprocess
import sys
from collections import deque
from pathlib import Path

import yaml

from factalign.fkto import Manifest
from factalign.fkto.run.process import PARENT_PIPE

logger = logging.getLogger(__name__)

MACHINES, MAIN_ADDRESS = "FACTALIGN_MACHINES", "FACTALIGN_MAIN_ADDRESS"
TAIL_LINES = 40
GRACE_SECONDS = 10


class TrainingError(RuntimeError):
    """The training process failed; the message holds its exit code and the end of its log."""


def launch(manifest: Manifest, work_dir: Path, accelerate_config: str | Path) -> Path:
    """Run `factalign.fkto` on `manifest` under `accelerate launch`.

    Its lines go to this process's log and to `work_dir/train.log`, after those of the run that it continues, if any.
    Whatever ends this function, the process group of the child is gone when it returns; and it goes by itself when
    this process is killed.

    Args:
        manifest: What to train.
        work_dir: Folder for the manifest and the log.
        accelerate_config: The accelerate profile, a YAML file.

    Returns:
        The folder that the trainer wrote, `manifest.output_dir`.

    Raises:
        FileNotFoundError: There is no such profile.
        ValueError: The environment names several machines, but not where the first one is reached.
        TrainingError: The child exited with another code than 0.
    """
    profile = Path(accelerate_config)
    if not profile.is_file():
        valid = sorted(path.stem for path in profile.parent.glob("*.yaml"))
        raise FileNotFoundError(f"no accelerate profile {profile}; valid profiles: {', '.join(valid) or 'none'}")
    manifest_path = work_dir / "manifest.json"
    manifest_path.write_text(manifest.model_dump_json(indent=2), encoding="utf-8")
    command = _command(profile, manifest_path)
    log_path = work_dir / "train.log"
    tail: deque[str] = deque(maxlen=TAIL_LINES)
    mode = "a" if any(manifest.output_dir.glob("checkpoint-*")) else "w"
    childs_end, our_end = os.pipe()
    with (
        log_path.open(mode, encoding="utf-8", buffering=1) as log,
        os.fdopen(childs_end) as stdin,
        os.fdopen(our_end, "w"),
    ):
        child = subprocess.Popen(
            command,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", PARENT_PIPE: str(os.fstat(childs_end).st_ino)},
        )
        try:
            assert child.stdout is not None
            for line in child.stdout:  # universal newlines: each redraw of a progress bar is a line
                log.write(line)
                if text := line.rstrip():
                    tail.append(text)
                    logger.info(text)
            code = child.wait()
        finally:
            _kill_group(child)
    if code != 0:
        raise TrainingError(f"training exited with code {code}; the end of {log_path}:\n" + "\n".join(tail))
    return manifest.output_dir


def _command(profile: Path, manifest: Path) -> list[str]:
    """What starts the training here; where it runs on several machines, the log has what to start on the others."""
    start = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(profile)]
    trainer = ["-m", "factalign.fkto", str(manifest)]
    machines = int(os.environ.get(MACHINES, "1"))
    if machines == 1:
        return start + trainer
    host, _, port = os.environ.get(MAIN_ADDRESS, "").rpartition(":")
    if not host or not port.isdigit():
        raise ValueError(f"{MACHINES} is {machines}: {MAIN_ADDRESS} must be HOST:PORT, where the others reach this one")
    processes = yaml.safe_load(profile.read_text(encoding="utf-8"))["num_processes"]
    start += ["--num_machines", str(machines), "--num_processes", str(machines * processes)]
    start += ["--main_process_ip", host, "--main_process_port", port, "--machine_rank"]
    for rank in range(1, machines):
        logger.info("start on machine %d of %d: %s", rank + 1, machines, shlex.join([*start, str(rank), *trainer]))
    return [*start, "0", *trainer]


def _kill_group(child: subprocess.Popen[str]) -> None:
    """End the child and its workers: politely, then not."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(child.pid, sign)
        except ProcessLookupError:
            return
        try:
            child.wait(timeout=GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            continue
