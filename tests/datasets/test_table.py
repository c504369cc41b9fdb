import json

import pandas as pd
import pytest
from kedro.io.core import Version

from factalign.datasets import TableDataset
from factalign.schemas import Prompts, Responses, empty


@pytest.fixture
def dataset(tmp_path):
    return TableDataset(filepath=str(tmp_path / "folder" / "table.parquet"))


@pytest.fixture
def prompts():
    return pd.DataFrame(
        {
            "prompt_id": ["007", "008"],
            "messages": [
                [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "🇦🇹?"}],
                [{"role": "user", "content": "", "name": "x"}],
            ],
            "topic": ["Austria", "Chad"],
            "aspect": "overview",
            "source": "test",
            "split": "train",
        }
    )


def test_messages_come_back_as_lists_of_dicts(dataset, prompts):
    assert not dataset.exists()
    dataset.save(prompts)
    loaded = dataset.load()
    assert loaded["messages"].tolist() == prompts["messages"].tolist()
    assert type(loaded["messages"][0]) is list
    pd.testing.assert_frame_equal(Prompts.validate(loaded), Prompts.validate(prompts))


def test_an_empty_table_stays_valid(dataset):
    dataset.save(empty(Responses))
    assert Responses.validate(dataset.load()).empty


def test_a_save_that_dies_keeps_the_old_table(dataset, prompts, tmp_path, monkeypatch):
    def die(self, file, **options):
        file.write(b"PAR1 half")
        raise KeyboardInterrupt

    dataset.save(prompts)
    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", die)
        with pytest.raises(KeyboardInterrupt):
            dataset.save(prompts)
    assert len(dataset.load()) == 2
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["table.parquet"]


def test_versions_and_a_half_written_one(tmp_path, prompts):
    path = str(tmp_path / "table.parquet")
    TableDataset(filepath=path, version=Version(None, "2026-01-01T00.00.00.000Z")).save(prompts)
    half = tmp_path / "table.parquet" / "2026-01-02T00.00.00.000Z"
    half.mkdir()
    (half / ".table.parquet.0.partial").write_bytes(b"PAR1 half")
    latest = TableDataset(filepath=path, version=Version(None, None))
    assert latest.exists()
    assert len(latest.load()) == 2


def test_the_preview_is_a_table_that_json_can_hold(dataset, prompts):
    dataset.save(prompts)
    preview = dataset.preview(nrows=1)
    assert preview["columns"] == list(prompts.columns)
    assert json.loads(preview["data"][0][1]) == prompts["messages"][0]
    json.dumps(preview)
