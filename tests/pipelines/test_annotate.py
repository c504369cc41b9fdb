"""The annotate pipeline on an in-memory catalog: a sheet without labels, then one that two people filled."""

import logging

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from factalign.parameters import AnnotateConfig
from factalign.pipelines import annotate
from factalign.pipelines.annotate.pipeline import TABLES

POLICIES = ["base", "iter_1"]


@pytest.fixture
def run(benchmark_tables):
    """Run the pipeline with these filled sheets; returns its outputs by name."""

    def run(**sheets):
        tables = {policy: benchmark_tables(policy) for policy in POLICIES}
        for each in tables.values():
            each["found_passages"] = each["passages"].iloc[4:]
        named = [{"name": name, "path": str(path)} for name, path in sheets.items()]
        values = {
            "passages": tables["base"]["passages"].iloc[:4],
            "benchmark_prompts": tables["base"]["prompts"],
            "params:annotate": AnnotateConfig(claims_per_policy=10, sheets=named, resamples=100),
            **{f"{policy}.benchmark.{name}": tables[policy][name] for policy in POLICIES for name in TABLES},
        }
        catalog = DataCatalog({name: MemoryDataset(value) for name, value in values.items()})
        pipeline = annotate.create_pipeline(POLICIES)
        loaders = SequentialRunner().run(pipeline, catalog)
        return {name.removeprefix("annotate."): dataset.load() for name, dataset in loaders.items()}

    return run


def test_a_sheet_is_filled_and_reported(run, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        made = run()
    assert "annotate.sheets names no filled sheet" in caplog.text
    assert "No sheet has been filled yet: 20 claims of base, iter_1" in made["report"]

    path = tmp_path / "sheet.csv"
    path.write_text(made["sheet_csv"], encoding="utf-8")
    assert path.read_text(encoding="utf-8") == made["sheet_csv"]
    table = pd.read_csv(path, dtype=str)
    for reader, labels in {"a": ["telling", "false"], "<b>": ["1", "4"]}.items():
        table.assign(label=labels * 10).to_csv(tmp_path / f"{reader[:1]}.csv", index=False)
    made = run(a=tmp_path / "a.csv", **{"<b>": tmp_path / "<.csv"})
    assert "corrected by all readers" in made["report"]
    assert "<b>" not in made["report"].replace('<b dir="auto">', "")
    assert "&lt;b&gt;" in made["report"]
