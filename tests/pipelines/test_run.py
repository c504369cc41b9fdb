"""The whole method as a user starts it: `kedro run` in child processes, on the real model and the real corpus."""

import json
import os
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from safetensors.torch import load_file

pytestmark = pytest.mark.real


def read_table(project, path):
    return pd.read_parquet(project.newest(path))


def weights(project, run):
    return load_file(project.newest(f"06_models/{run}/checkpoint") / "model" / "model.safetensors")


def test_the_run_ends_with_the_table_and_the_summary(finished_project):
    output = (finished_project.root / "output.txt").read_text(encoding="utf-8")
    summary = json.loads(finished_project.newest("08_reporting/report_2/summary.json").read_text(encoding="utf-8"))
    assert [model["name"] for model in summary["models"]] == ["base", "iter_1", "iter_2"]
    assert {"prompts", "samples_per_prompt", "k", "seed"} <= summary.keys()
    for model in summary["models"]:
        for interval in model["metrics"].values():
            assert interval["value"] is None or interval["low"] <= interval["value"] <= interval["high"]
    assert set(summary["models"][2]["difference_to_base"]) == set(summary["models"][2]["metrics"])
    for title in ("Precision", "F1@4", "difference to base"):
        assert title in output


def test_any_number_can_be_followed_back_to_its_evidence(finished_project):
    tables = {
        name: read_table(finished_project, f"{folder}/iter_1/{name}.parquet")
        for folder, names in {
            "03_primary": ("responses", "sentences", "claims"),
            "04_feature": ("evidence", "verdicts", "response_scores"),
        }.items()
        for name in names
    }
    passages = read_table(finished_project, "02_intermediate/passages.parquet")
    supported = tables["verdicts"].query("label == 'supported' and passage_id.notna()")
    assert len(supported), "nothing was supported: the test has nothing to follow"
    for verdict in supported.itertuples():
        claim = tables["claims"].set_index("claim_id").loc[verdict.claim_id]
        sentence = tables["sentences"].set_index("sentence_id").loc[claim.sentence_id]
        response = tables["responses"].set_index("response_id").loc[claim.response_id]
        evidence = tables["evidence"].query("claim_id == @verdict.claim_id")
        assert response.text[sentence.start : sentence.end] == sentence.text
        assert verdict.passage_id in set(evidence["passage_id"]) <= set(passages["passage_id"])
        assert claim.response_id in set(tables["response_scores"]["response_id"])


def test_no_benchmark_topic_is_trained_on(finished_project):
    train, held_out = (
        read_table(finished_project, f"03_primary/{split}_prompts.parquet") for split in ("train", "benchmark")
    )
    assert len(train)
    assert len(held_out)
    assert not set(train["topic"]) & set(held_out["topic"])


def test_rows_for_training_have_the_published_format(finished_project):
    lines = finished_project.newest("05_model_input/iter_1/preferences.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines
    for row in map(json.loads, lines):
        assert row["prompt"][-1]["role"] == "user"
        assert [message["role"] for message in row["completion"]] == ["assistant"]
        text = row["completion"][0]["content"]
        assert [text[start:end] for start, end in row["sentence_spans"]] == row["completion_sentences"]
        assert row["label"] in (True, False, None)
        assert set(row["sentence_label"]) <= {True, False, None}


def test_training_changes_the_top_layers_and_nothing_else(finished_project):
    before, after = weights_of_base(finished_project), weights(finished_project, "iter_1")
    changed = {name for name in after if not torch.equal(after[name], before[name])}
    assert changed
    assert all(".layers.28." in name or ".layers.29." in name or name == "model.norm.weight" for name in changed)


def weights_of_base(project):
    return load_file(project.newest("06_models/base/checkpoint") / "model.safetensors")


def test_the_manifest_names_what_the_run_was_made_with(finished_project):
    first = min((finished_project.root / "data/08_reporting/run_manifests").iterdir())
    manifest = json.loads(first.read_text(encoding="utf-8"))
    assert manifest["finished"] is not None
    assert manifest["parameters"]["seed"] == 42
    assert {"torch", "transformers", "kedro"} <= manifest["versions"].keys()
    assert set(manifest["policies"]) == {"base.policy", "iter_1.policy", "iter_2.policy"}
    assert len(set(manifest["policies"].values())) == 3


def test_the_report_is_one_file_that_asks_for_nothing(finished_project):
    page = finished_project.newest("08_reporting/report_2/report.html").read_text(encoding="utf-8")
    assert "F1@4" in page
    assert "<script src=" not in page
    assert "<link" not in page


def test_a_second_run_makes_the_same_artifacts(finished_project, make_project):
    again = make_project()
    result = again.kedro("run", "--env=test", iterations=1)
    assert result.returncode == 0, result.stdout[-3000:]
    for path in (
        "03_primary/iter_1/responses.parquet",
        "03_primary/iter_1/claims.parquet",
        "04_feature/iter_1/verdicts.parquet",
    ):
        first, second = read_table(finished_project, path), read_table(again, path)
        pd.testing.assert_frame_equal(first, second)
    first, second = weights(finished_project, "iter_1"), weights(again, "iter_1")
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_run_killed_in_training_is_finished_without_loss(finished_project, make_project):
    project = make_project()
    process = project.start(
        "-m",
        "kedro",
        "run",
        "--env=test",
        "--tags=iter_1,policy,knowledge",
        iterations=1,
        start_new_session=True,
    )
    wait_for(lambda: list(project.root.glob("data/06_models/_staging/training-*/output/checkpoint-*")), process)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    responses = project.newest("03_primary/iter_1/responses.parquet")
    written = responses.stat().st_mtime_ns
    result = project.kedro("run", "--env=test", "--only-missing-outputs", iterations=1)
    assert result.returncode == 0, result.stdout[-3000:]
    assert project.newest("03_primary/iter_1/responses.parquet") == responses
    assert responses.stat().st_mtime_ns == written
    whole, resumed = weights(finished_project, "iter_1"), weights(project, "iter_1")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def wait_for(condition, process, seconds=300.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, process.stdout.read()[-3000:]
        assert time.monotonic() < deadline, "the training wrote no checkpoint in time"
        time.sleep(0.05)


def test_the_stages_run_one_by_one(finished_project):
    stages = "sampling,evaluation,preference,training"
    result = finished_project.kedro("run", "--env=test", f"--pipelines={stages}")
    assert result.returncode == 0, result.stdout[-3000:]
    assert finished_project.newest("06_models/standalone/policy.json").is_file()


def test_the_summary_is_that_of_the_newest_run_whatever_its_iterations(finished_project):
    summary = finished_project.root / "data/08_reporting/summary.json"
    for iterations, models in ((0, ["base"]), (2, ["base", "iter_1", "iter_2"])):
        result = finished_project.kedro("run", "--env=test", "--only-missing-outputs", iterations=iterations)
        assert result.returncode == 0, result.stdout[-3000:]
        assert [model["name"] for model in json.loads(summary.read_text(encoding="utf-8"))["models"]] == models


@pytest.mark.parametrize(
    "command", [("-m", "kedro", "run", "--config=.kedro.yml"), ("-m", "factalign")], ids=["config file", "module"]
)
def test_other_ways_to_start_the_same_run(finished_project, command):
    result = finished_project.run(*command, "--env=test", "--only-missing-outputs")
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Held-out benchmark" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--params=sampling.temprature=0.5"], "temprature"),
        (["--params=smapling=1"], "smapling: unknown key; valid keys"),
        (["--params=corpus.name=wikipedia", "--pipelines=knowledge"], "valid names: factbook, folder, none, table"),
        (["--params=policy.package=no_such_package", "--pipelines=policy"], "no_such_package"),
        (["--params=verifier=x"], "verifier: unknown key"),
    ],
)
def test_a_bad_choice_is_named_and_costs_no_artifact(finished_project, arguments, message):
    before = sorted(Path(finished_project.root / "data").rglob("*.parquet"))
    result = finished_project.kedro("run", "--env=test", *arguments)
    assert result.returncode != 0
    assert message in " ".join(result.stdout.split())
    assert sorted(Path(finished_project.root / "data").rglob("*.parquet")) == before


def test_viz_builds(finished_project):
    result = finished_project.kedro("viz", "build")
    assert result.returncode == 0, result.stdout[-3000:]
    graph = json.loads((finished_project.root / "build/api/main").read_text(encoding="utf-8"))
    stages = ["knowledge", "iter_1", "iter_2", "report"]
    assert [layer for layer in graph["layers"] if layer in stages] == stages
    assert {"iter_1", "iter_2"} <= {tag["id"] for tag in graph["tags"]}


def test_the_notebook_runs(finished_project):
    project = Path(__file__).resolve().parents[2]
    notebook = json.loads((project / "notebooks/follow_a_number.ipynb").read_text(encoding="utf-8"))
    code = "\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code")
    result = finished_project.run("-c", code)
    assert result.returncode == 0, result.stdout[-3000:]
    assert "Precision" in result.stdout
