"""Tables that are not what they should be are refused by the catalog, with the column and the table named."""

import pandas as pd
import pytest
from kedro.io import DataCatalog
from kedro.validation import DataValidationError


@pytest.fixture
def catalog(tmp_path):
    entry = {
        "type": "factalign.datasets.TableDataset",
        "filepath": str(tmp_path / "train_prompts.parquet"),
        "validator": "factalign.schemas.Prompts",
    }
    return DataCatalog.from_config({"train_prompts": entry})


@pytest.fixture
def prompts():
    messages = [{"role": "user", "content": "Where is Chad?"}]
    return pd.DataFrame(
        {
            "prompt_id": ["a", "b"],
            "messages": [messages, messages],
            "topic": "Chad",
            "aspect": "geography",
            "source": "mine",
            "split": "train",
        }
    )


def test_a_good_table_goes_through_unchanged(catalog, prompts):
    catalog.save("train_prompts", prompts)
    assert catalog.load("train_prompts")["messages"].tolist() == prompts["messages"].tolist()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda table: table.drop(columns="topic"), "topic"),
        (lambda table: table.assign(prompt_id="a"), "prompt_id"),
        (lambda table: table.assign(split="holdout"), "split"),
        (lambda table: table.assign(messages=[[], []]), "messages"),
        (lambda table: table.assign(extra=1), "extra"),
    ],
    ids=["missing column", "duplicate id", "unknown split", "no message", "surplus column"],
)
def test_a_bad_table_is_refused_and_nothing_is_written(catalog, prompts, spoil, message):
    with pytest.raises(DataValidationError, match=message):
        catalog.save("train_prompts", spoil(prompts))
    assert not catalog.exists("train_prompts")


def test_a_bad_file_is_refused_on_load(catalog, prompts, tmp_path):
    prompts.drop(columns="topic").to_parquet(tmp_path / "train_prompts.parquet")
    with pytest.raises(DataValidationError, match="topic"):
        catalog.load("train_prompts")
