"""The registry: complete, light, and in agreement with the catalog."""

import subprocess
import sys
from pathlib import Path

import pytest
from kedro.framework.project import pipelines
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def catalog():
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        yield session.load_context().catalog


def test_every_dataset_of_every_pipeline_is_in_the_catalog(catalog):
    missing = {
        f"{name}: {dataset}"
        for name, pipeline in pipelines.items()
        for dataset in pipeline.datasets()
        if dataset not in catalog
    }
    assert not missing, f"would become a MemoryDataset: {sorted(missing)}"


def test_the_stages_are_registered(catalog):
    stages = {
        "policy",
        "knowledge",
        "sampling",
        "evaluation",
        "preference",
        "training",
        "benchmarking",
        "evaluate",
        "audit",
        "iterate",
    }
    assert stages <= set(pipelines)


def test_a_round_starts_from_the_policy_of_the_round_before(catalog):
    whole = pipelines["iterate"]
    train = {node.namespace: node for node in whole.nodes if node.name.endswith(".train")}
    assert "base.policy" in train["iter_1"].inputs
    assert "iter_1.policy" in train["iter_2"].inputs


def test_a_report_takes_one_result_of_each_benchmark(catalog):
    report = pipelines["iterate"].only_nodes_with_tags("report")
    needed = {name for name in report.inputs() if not name.startswith("params:")}
    assert needed == {f"{model}.benchmark.result" for model in ("base", "iter_1", "iter_2")}


def test_every_table_of_the_catalog_is_validated(catalog):
    unchecked = {
        name
        for pipeline in pipelines.values()
        for name in pipeline.datasets()
        if type(catalog.get(name)).__name__ == "TableDataset" and name not in catalog.validator_specs
    }
    assert not unchecked


@pytest.mark.parametrize("module", ["torch", "transformers", "bm25s", "nltk"])
def test_listing_the_pipelines_imports_no_heavy_library(module):
    code = (
        "import sys; from kedro.framework.startup import bootstrap_project; "
        f"bootstrap_project({str(PROJECT)!r}); "
        "from kedro.framework.project import pipelines; dict(pipelines); "
        f"sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0, f"{module} was imported"
