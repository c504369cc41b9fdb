"""`kedro run --pipelines=evaluate_file` as a user starts it."""

import json
from pathlib import Path

import pandas as pd
import pytest

from factalign.evaluation import read_responses

pytestmark = pytest.mark.real
PROJECT = Path(__file__).resolve().parents[2]
ROW = {"prompt": "Where is Chad?", "response": "Chad is a landlocked country in Africa.", "topic": "Chad"}


def test_a_fresh_checkout_evaluates_any_file_in_one_command(make_project):
    project = make_project()
    path = project.root / "my.jsonl"
    path.write_text(json.dumps(ROW) + "\n" + json.dumps({**ROW, "topic": None}), encoding="utf-8")
    result = project.kedro("run", "--pipelines=evaluate_file", "--params=evaluate_file.path=my.jsonl")
    assert result.returncode == 0, result.stdout[-3000:]
    summary = json.loads(project.newest("08_reporting/evaluate_file/summary.json").read_text(encoding="utf-8"))
    assert (summary["responses"], summary["prompts"]) == (2, 2)
    verdicts = pd.read_parquet(project.newest("04_feature/evaluate_file/verdicts.parquet"))
    assert "supported" in set(verdicts["label"])
    page = (project.root / "data/08_reporting/evaluate_file/report.html").read_text(encoding="utf-8")
    assert ROW["response"] in page
    claims = pd.read_parquet(project.newest("03_primary/evaluate_file/claims.parquet"))
    assert all(text.replace("&", "&amp;") in page for text in claims["text"])

    path.write_text(json.dumps({"prompt": "x"}), encoding="utf-8")
    result = project.kedro("run", "--pipelines=evaluate_file", "--params=evaluate_file.path=my.jsonl")
    assert result.returncode != 0
    assert "my.jsonl, line 1: needs one of the fields 'response'" in " ".join(result.stdout.split())


def test_the_example_that_is_shipped_can_be_read():
    prompts, responses = read_responses(PROJECT / "docs/examples/responses.jsonl")
    assert len(responses) == 5
    assert all(prompts["topic"])
