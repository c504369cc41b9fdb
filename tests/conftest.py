"""Shared fixtures: the external data folder, and a copy of the project to run for real."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PROJECT = Path(__file__).resolve().parents[1]


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
        output, _ = process.communicate()
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
