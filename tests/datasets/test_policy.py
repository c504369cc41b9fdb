import json
import shutil
from pathlib import Path

import pytest
from kedro.io import DataCatalog
from kedro.io.core import DatasetError

from factalign.datasets import PolicyDataset
from factalign.policies import make_handle


@pytest.fixture
def project(tmp_path, tiny_model):
    """A project's folder with a model and an adapter in it."""
    root = tmp_path / "project"
    shutil.copytree(tiny_model, root / "data" / "model")
    shutil.copytree(tiny_model, root / "data" / "adapter")
    return root


def dataset(root: Path) -> PolicyDataset:
    return PolicyDataset(filepath=str(root / "data" / "policy.json"), root=str(root))


def test_what_is_saved_is_loaded(project):
    handle = make_handle(project / "data/model", [project / "data/adapter"])
    dataset(project).save(handle)
    assert dataset(project).load() == handle


def test_a_project_can_be_moved_with_its_policies(project, tmp_path):
    dataset(project).save(make_handle(project / "data/model", [project / "data/adapter"]))
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.move(project, moved)
    handle = dataset(moved).load()
    assert handle["model"] == str(moved / "data/model")
    assert handle["adapters"] == [str(moved / "data/adapter")]
    assert make_handle(handle["model"], handle["adapters"]) == handle
    assert str(project) not in (moved / "data/policy.json").read_text()


def test_a_folder_outside_the_project_stays_as_it_is(project, tiny_model, tmp_path):
    handle = make_handle(project / "data/model", [tiny_model])
    dataset(project).save(handle)
    moved = tmp_path / "moved"
    shutil.move(project, moved)
    assert dataset(moved).load()["adapters"] == [str(tiny_model)]


@pytest.mark.parametrize("name", ["org/model", "model", "data/model"])
def test_a_name_on_the_hub_stays_as_it_is(project, name):
    # `data/model` is a folder of the project, but not of the folder that this process works in.
    handle = make_handle(name, revision="main")
    dataset(project).save(handle)
    assert json.loads((project / "data/policy.json").read_text()) == handle
    assert dataset(project).load() == handle


def test_a_relative_folder_is_one_of_the_project(project, monkeypatch):
    monkeypatch.chdir(project)
    dataset(project).save(make_handle("data/model"))
    monkeypatch.undo()
    assert dataset(project).load()["model"] == str(project / "data/model")


def test_versions_and_the_catalog(project):
    entry = {"type": "factalign.datasets.PolicyDataset", "filepath": str(project / "policy.json"), "versioned": True}
    catalog = DataCatalog.from_config({"policy": {**entry, "root": str(project), "metadata": {"x": 1}}})
    handle = make_handle(project / "data/model")
    catalog.save("policy", handle)
    assert catalog.load("policy") == handle
    assert catalog["policy"].metadata == {"x": 1}
    with pytest.raises(DatasetError, match="must not exist"):
        catalog.save("policy", handle)
