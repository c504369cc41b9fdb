"""The registry: complete, light, and in agreement with the catalog."""

import subprocess
import sys
from graphlib import TopologicalSorter
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
        "evaluate_file",
        "audit",
        "annotate",
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


def test_the_default_pipeline_is_a_handful_of_boxes(catalog):
    boxes = {(node.namespace or node.name).split(".")[0] for node in pipelines["iterate"].nodes}
    assert boxes == {"knowledge", "base", "iter_1", "iter_2", "report_2"}


def test_layers_have_an_order(catalog):
    """Kedro-Viz shows no layers at all if one comes both before and after another."""
    after: dict[str, set[str]] = {}
    above: dict[str, set[str]] = {}  # the layers that a dataset depends on, its own included
    for node in pipelines["iterate"].nodes:  # in the order of a run
        inputs = set().union(*(above.get(name, set()) for name in node.inputs))
        for name in node.outputs:
            layer = catalog.get(name).metadata["kedro-viz"]["layer"]
            after.setdefault(layer, set()).update(inputs - {layer})
            above[name] = inputs | {layer}
    order = list(TopologicalSorter(after).static_order())
    for first in ("knowledge", "base"):  # neither needs the other
        stages = [first, "iter_1", "iter_2", "report"]
        assert [layer for layer in order if layer in stages] == stages


HEAVY = ("torch", "transformers", "bm25s", "nltk", "scipy", "pandas", "pandera", "plotly", "numpy", "pyarrow")


def test_listing_the_pipelines_imports_no_heavy_library():
    # A module that is to be loaded when it is first used (`base.heavy`) stands in sys.modules without its submodules.
    code = (
        "import sys; from kedro.framework.startup import bootstrap_project; "
        f"bootstrap_project({str(PROJECT)!r}); "
        "from kedro.framework.project import pipelines; dict(pipelines); "
        "print(*sorted({name.split('.')[0] for name in sys.modules if '.' in name}))"
    )
    listed = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    loaded = listed.stdout.splitlines()[-1].split()
    assert "factalign" in loaded
    assert not set(HEAVY) & set(loaded)
