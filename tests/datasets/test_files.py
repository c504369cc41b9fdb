import inspect
import json

import fsspec.implementations.local as local
import plotly.graph_objects as go
import pytest
from kedro.io import DataCatalog
from kedro.io.core import DatasetError, Version

from factalign.datasets import JSONDataset, PlotlyDataset, TextDataset

FIGURE = go.Figure(go.Bar(x=["🇦🇹"], y=[3]))
CASES = [(JSONDataset, {"a": [1, "🇦🇹"]}), (TextDataset, "🇦🇹\ntext"), (PlotlyDataset, FIGURE)]


@pytest.fixture(params=CASES, ids=lambda case: case[0].__name__)
def case(request):
    return request.param


def test_what_is_saved_is_loaded(case, tmp_path):
    kind, data = case
    dataset = kind(filepath=str(tmp_path / "folder" / "file"))
    assert not dataset.exists()
    dataset.save(data)
    dataset.save(data)
    assert dataset.exists()
    assert dataset.load() == data
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["file"]


@pytest.mark.parametrize("death", [KeyboardInterrupt, OSError("disk full")])
def test_a_save_that_dies_in_the_middle_changes_nothing(case, tmp_path, monkeypatch, death):
    def die(self, text):
        self.f.write(text[:1].encode())
        raise death

    kind, data = case
    dataset = kind(filepath=str(tmp_path / "folder" / "file"))
    with monkeypatch.context() as patch:
        patch.setattr(local.LocalFileOpener, "write", die)
        with pytest.raises((KeyboardInterrupt, DatasetError)):
            dataset.save(data)
    assert not dataset.exists()
    assert not list((tmp_path / "folder").iterdir())


def test_an_unserialisable_value_keeps_the_old_file(tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "a.json"))
    dataset.save({"a": 1})
    with pytest.raises(DatasetError, match=r"a\.json"):
        dataset.save({"a": 2, "b": object()})
    assert dataset.load() == {"a": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_versions(case, tmp_path):
    kind, data = case
    path = str(tmp_path / "file")
    day = "2026-01-01T00.00.00.000Z"
    dataset = kind(filepath=path, version=Version(None, day))
    dataset.save(data)
    with pytest.raises(DatasetError, match="must not exist"):
        dataset.save(data)
    latest = kind(filepath=path, version=Version(None, None))
    assert latest.exists()
    assert latest.load() == data
    assert latest.resolve_load_version() == day
    assert not kind(filepath=str(tmp_path / "other"), version=Version(None, None)).exists()


def test_other_filesystems_are_left_to_upstream(case):
    kind, data = case
    dataset = kind(filepath=f"memory://{kind.__name__}/file")
    dataset.save(data)
    assert dataset.load() == data


@pytest.mark.parametrize(("kind", "preview"), [(JSONDataset, "JSONPreview"), (PlotlyDataset, "PlotlyPreview")])
def test_previews_are_those_of_upstream(tmp_path, kind, preview):
    data = dict(CASES)[kind]
    dataset = kind(filepath=str(tmp_path / "file"))
    dataset.save(data)
    shown = dataset.preview()
    assert inspect.signature(dataset.preview).return_annotation == preview
    assert (shown["data"][0]["type"] == "bar") if kind is PlotlyDataset else (json.loads(shown) == data)


def test_the_catalog_resolves_them(tmp_path):
    entry = {"filepath": str(tmp_path / "a.json"), "versioned": True, "metadata": {"kedro-viz": {"layer": "report"}}}
    catalog = DataCatalog.from_config({"a": {"type": "factalign.datasets.JSONDataset", **entry}})
    catalog.save("a", [1])
    assert catalog.load("a") == [1]
    assert catalog["a"].metadata == entry["metadata"]
