"""`kedro run --pipelines=audit` as a user starts it, and the gate in front of runs that train."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import DataCatalog, MemoryDataset

from factalign.hooks import AuditGate
from factalign.pipelines import iterate

PROJECT = Path(__file__).resolve().parents[2]
LABELLED = [
    {"claim": "Chad is landlocked.", "label": "supported", "topic": "Chad"},
    {"claim": "The capital of Chad is Paris.", "label": "not_supported", "topic": "Chad"},
    {"claim": "The tower is 40 metres tall.", "label": "not_supported", "evidence": "The tower is red."},
]


def gate(parameters, lower_bound=None, pipeline=None):
    """Run the gate on an audit of `lexical` in which Youden's J has this lower bound."""
    values = {"parameters": parameters}
    if lower_bound is not None:
        estimate = {"value": 0.8, "low": lower_bound, "high": 0.9}
        result = {"set": "mine", "verifier_id": "lexical-1-coverage=0.7", "metrics": {"youden_j": estimate}}
        values["audit.table"] = {"results": [result]}
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in values.items()})
    AuditGate().before_pipeline_run(pipeline or iterate.create_round("iter_1", previous="base"), catalog)


@pytest.fixture(scope="module")
def parameters():
    bootstrap_project(PROJECT)
    with KedroSession.create(project_path=PROJECT) as session:
        return session.load_context().config_loader["parameters"]


@pytest.mark.parametrize(
    ("lower_bound", "message"), [(None, "was never audited"), (0.1, "hardly tells supported claims"), (0.3, None)]
)
def test_a_run_that_trains_warns_or_refuses(parameters, caplog, lower_bound, message):
    with caplog.at_level(logging.WARNING):
        gate(parameters, lower_bound)
    assert (message in caplog.text) if message else not caplog.text
    required = {**parameters, "audit": {**parameters["audit"], "required": True}}
    if message:
        with pytest.raises(ValueError, match=rf"audit\.required: the verifier lexical.* {message}"):
            gate(required, lower_bound)
    else:
        gate(required, lower_bound)


def test_a_run_that_does_not_train_is_never_refused(parameters, caplog):
    required = {**parameters, "audit": {**parameters["audit"], "required": True}}
    round_ = iterate.create_round("iter_1", previous="base")
    gate(required, pipeline=round_.only_nodes_with_tags("training"))
    gate(required, pipeline=SimpleNamespace(nodes=[]))
    assert not caplog.text
    gate(required, pipeline=round_.only_nodes_with_tags("evaluation"))
    assert "was never audited" in caplog.text


@pytest.mark.parametrize(
    ("verifier", "message"),
    [
        ({"name": "lexical", "options": {"covrage": 0.7}}, r"does not accept \['covrage'\].*its options: coverage"),
        ({"name": "distilled", "options": {"path": "./none"}}, r"there is no model folder '\./none'"),
    ],
)
def test_a_verifier_that_cannot_be_built_ends_the_run(parameters, verifier, message):
    with pytest.raises(ValueError, match=message):
        gate({**parameters, "evaluation": {**parameters["evaluation"], "verifier": verifier}})


def test_the_gate_reads_no_weights(parameters, caplog, tiny_bert):
    folder = tiny_bert(["Chad"], ["supported", "not_supported"])
    (folder / "model.safetensors").write_bytes(b"garbage")
    verifier = {"name": "distilled", "options": {"path": str(folder)}}
    gate({**parameters, "evaluation": {**parameters["evaluation"], "verifier": verifier}})
    assert f"the verifier entailment-2-{folder.name}-" in caplog.text
    assert "was never audited" in caplog.text


@pytest.mark.real
def test_an_audit_from_the_command_line_and_the_gate_after_it(make_project):
    project = make_project()
    path = project.root / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in LABELLED), encoding="utf-8")

    (project.root / "conf/local/parameters.yml").write_text("audit: {claims: []}\n")
    result = project.kedro("run", "--pipelines=audit")
    assert result.returncode != 0
    assert "audit.claims names no labelled claims" in " ".join(result.stdout.split())

    refused = project.kedro("run", "--pipelines=iterate", "--env=test", "--params=audit.required=true")
    assert refused.returncode != 0
    assert "was never audited" in " ".join(refused.stdout.split())
    assert not list((project.root / "data").rglob("responses.parquet"))

    (project.root / "conf/local/parameters.yml").write_text(
        "audit:\n  claims: [{name: mine, path: mine.jsonl}]\n"
        "  verifiers: [{name: lexical, options: {coverage: 0.5}}]\n  resamples: 200\n"
    )
    result = project.kedro("run", "--pipelines=audit")
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Recall not supported" in result.stdout
    table = json.loads(project.newest("08_reporting/audit/table.json").read_text(encoding="utf-8"))
    recall = {row["verifier_id"]: row["metrics"]["recall_not_supported"]["value"] for row in table["results"]}
    assert recall == {"lexical-1-coverage=0.7": 1.0, "lexical-1-coverage=0.5": 1.0}
    judgements = pd.read_parquet(project.newest("04_feature/audit/judgements.parquet"))
    assert len(judgements) == 2 * len(LABELLED)
    assert (project.root / "data/08_reporting/audit/report.html").stat().st_size > 1e6
