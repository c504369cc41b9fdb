import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from kedro.io.core import DatasetError, Version

from factalign.datasets import DirectoryDataset


@pytest.fixture
def stage(tmp_path):
    def make(content="weights"):
        folder = tmp_path / "staging" / "model"
        (folder / "sub").mkdir(parents=True)
        (folder / "sub" / "weights.bin").write_text(content)
        return folder

    return make


@pytest.fixture
def dataset(tmp_path):
    return DirectoryDataset(filepath=str(tmp_path / "published" / "model"))


def test_a_folder_is_moved_into_place(dataset, stage, tmp_path):
    staging = stage()
    assert not dataset.exists()
    dataset.save(staging)
    assert dataset.exists()
    assert not staging.exists()
    assert dataset.load() == str(tmp_path / "published" / "model")
    assert (Path(dataset.load()) / "sub" / "weights.bin").read_text() == "weights"


def test_a_second_save_replaces_the_first(dataset, stage, tmp_path):
    dataset.save(stage("old"))
    dataset.save(str(stage("new")))
    assert (Path(dataset.load()) / "sub" / "weights.bin").read_text() == "new"
    assert [path.name for path in (tmp_path / "published").iterdir()] == ["model"]


def test_a_folder_without_the_sentinel_does_not_exist(dataset, stage, tmp_path):
    shutil.copytree(stage(), tmp_path / "published" / "model")
    assert not dataset.exists()
    with pytest.raises(DatasetError, match="missing or incomplete"):
        dataset.load()


@pytest.mark.parametrize("step", ["touch", "replace"])
def test_a_save_that_dies_in_the_middle_leaves_nothing_that_exists(dataset, stage, monkeypatch, step):
    def die(self, *args):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, step, die)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(stage())
    assert not dataset.exists()
    dataset.save(stage())
    assert dataset.exists()


SAVE_AND_DIE = """
import os, signal, shutil, sys
from pathlib import Path
from factalign.datasets import DirectoryDataset

def or_die(act):
    def step(*arguments, **options):
        global calls
        calls += 1
        if calls == int(sys.argv[3]):
            os.kill(os.getpid(), signal.SIGKILL)
        return act(*arguments, **options)

    return step

calls = 0
Path.replace = or_die(Path.replace)
shutil.rmtree = or_die(shutil.rmtree)
DirectoryDataset(filepath=sys.argv[1]).save(sys.argv[2])
"""


@pytest.mark.parametrize(("step", "kept"), [(1, "old"), (2, "old"), (3, "new")])
@pytest.mark.parametrize("first", ["load", "exists", "save"])
def test_a_save_killed_at_any_rename_leaves_the_old_folder_or_the_new(dataset, stage, tmp_path, step, kept, first):
    dataset.save(stage("old"))
    target = tmp_path / "published" / "model"
    child = subprocess.run([sys.executable, "-c", SAVE_AND_DIE, str(target), str(stage("new")), str(step)], check=False)
    assert child.returncode == -signal.SIGKILL
    if first == "save":
        dataset.save(stage("newest"))
        kept = "newest"
    elif first == "exists":
        assert dataset.exists()
    assert (Path(dataset.load()) / "sub" / "weights.bin").read_text() == kept
    assert not (tmp_path / "published" / ".model.leaving").exists()


def test_the_latest_complete_version_counts(stage, tmp_path):
    path = str(tmp_path / "model")
    first, second = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"
    DirectoryDataset(filepath=path, version=Version(None, first)).save(stage("first"))
    shutil.copytree(stage("half"), tmp_path / "model" / second / "model")
    latest = DirectoryDataset(filepath=path, version=Version(None, None))
    assert latest.exists()
    assert latest.load() == str(tmp_path / "model" / first / "model")
    assert not DirectoryDataset(filepath=path, version=Version(second, second)).exists()


def test_what_cannot_be_published_is_named(dataset, tmp_path):
    with pytest.raises(DatasetError, match="no folder"):
        dataset.save(tmp_path / "absent")
    with pytest.raises(DatasetError, match="inside"):
        dataset.save(tmp_path)
    assert not dataset.exists()
