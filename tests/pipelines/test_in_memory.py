"""The pipelines on an in-memory catalog: a corpus of three passages, answers by hand, a tiny random model."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from factalign.base.registry import Choice
from factalign.generation import SamplingConfig
from factalign.parameters import EvaluationConfig, RetrieverConfig, TrainingConfig
from factalign.pipelines import iterate
from factalign.preference import PreferenceConfig
from factalign.schemas import Passages, empty

PROJECT = Path(__file__).resolve().parents[2]
FACTS = {
    "Freedonia": "The capital of Freedonia is Glorystone. Freedonia exports mustard and copper.",
    "Sylvania": "The capital of Sylvania is Harpo. Sylvania borders Freedonia.",
}
ANSWERS = {
    "Freedonia": (
        "The capital of Freedonia is Glorystone. Freedonia exports mustard.",
        "The capital of Freedonia is Venice. Freedonia exports 40 submarines. 🦆 東京は首都です。",
        "",
    ),
    "Sylvania": (
        "The capital of Sylvania is Harpo.",
        "The capital of Sylvania is Rome. The capital of Sylvania is Rome.",
        "The capital of Sylvania is Oslo. " + "Sylvania exports lamps and towers of glass. " * 1500,
    ),
}


class Kept(MemoryDataset):
    """Stays in memory when the runner has no more use for it, so that a test can look at it."""

    def _release(self) -> None:
        pass


@pytest.fixture
def run(tiny_handle, tmp_path):
    """Run stages of one round; returns all of its datasets by name."""
    corpus = tmp_path / "corpus.jsonl"
    lines = (json.dumps({"title": title, "text": text}) for title, text in FACTS.items())
    corpus.write_text("\n".join(lines), encoding="utf-8")
    prompts = pd.DataFrame(
        {
            "prompt_id": list(FACTS),
            "messages": [[{"role": "user", "content": f"Tell me about {title}."}] for title in FACTS],
            "topic": list(FACTS),
            "aspect": "overview",
            "source": "test",
            "split": "train",
        }
    )

    def run(stages: list[str], **inputs: object) -> dict[str, object]:
        from factalign.corpora import read_passages
        from factalign.retrieval import RETRIEVERS

        chosen = Choice(name="table", options={"path": str(corpus)})
        passages = read_passages(chosen)
        RETRIEVERS.build("bm25").build(passages, tmp_path / "index")
        values = {
            "train_prompts": prompts,
            "base.policy": tiny_handle,
            "passages": passages,
            "index": str(tmp_path / "index"),
            "params:sampling": SamplingConfig(samples_per_prompt=2, max_new_tokens=8),
            "params:corpus": chosen,
            "params:evaluation": EvaluationConfig(verifier=Choice(name="lexical"), k=2),
            "params:retriever": RetrieverConfig(name="bm25", passages_per_claim=4),
            "params:preference": PreferenceConfig(balance=False),
            "params:training": TrainingConfig(
                accelerate_config=PROJECT / "conf/base/accelerate/cpu.yaml",
                fkto={"method": "full", "dtype": "float32", "batch_size": 4, "max_length": 256},
            ),
            "params:seed": 1,
            "params:staging_dir": str(tmp_path / "staging"),
            **inputs,
        }
        pipeline = iterate.create_round("iter_1", previous="base").only_nodes_with_tags(*stages)
        catalog = DataCatalog({name: Kept(value) for name, value in values.items()})
        for name in pipeline.all_outputs():
            catalog[name] = Kept()
        SequentialRunner().run(pipeline, catalog)
        return {name: catalog.load(name) for name in pipeline.datasets() if not name.startswith("params:")}

    return run


@pytest.fixture
def responses():
    rows = [
        {"prompt_id": topic, "sample_index": index, "text": text}
        for topic, texts in ANSWERS.items()
        for index, text in enumerate(texts)
    ]
    fixed = {"finish_reason": "stop", "num_tokens": 9, "policy_id": "tiny", "seed": 1}
    return pd.DataFrame(rows).assign(**fixed, response_id=[f"r{number}" for number in range(len(rows))])


def test_a_tiny_model_answers_every_prompt(run):
    responses = run(["sampling"])["iter_1.responses"]
    assert responses.groupby("prompt_id").size().to_dict() == {"Freedonia": 2, "Sylvania": 2}


def test_answers_become_labels_and_a_new_policy(run, responses):
    made = run(["evaluation", "preference", "training"], **{"iter_1.responses": responses})
    scores = made["iter_1.response_scores"].set_index("response_id")
    assert scores.loc["r0", "precision"] == 1
    assert scores.loc["r1", "num_supported"] == 0
    assert scores.loc["r2", "num_claims"] == 0
    assert scores.loc["r3", "f1_at_k"] > scores.loc["r5", "f1_at_k"]
    labels = {row["response_id"]: row["label"] for row in made["iter_1.preferences"]}
    assert labels["r0"] is True
    assert labels["r5"] is False
    texts = responses.set_index("response_id")["text"]
    for sentence in made["iter_1.sentences"].itertuples():
        assert texts[sentence.response_id][sentence.start : sentence.end] == sentence.text
    repeated = next(row for row in made["iter_1.preferences"] if row["response_id"] == "r4")
    assert repeated["sentence_label"] == [False, False]
    assert made["iter_1.verification_costs"].empty  # no chat model was asked
    assert made["iter_1.policy"]["policy_id"] != made["base.policy"]["policy_id"]
    assert Path(made["iter_1.policy"]["model"]).is_dir()
    assert made["iter_1.training_log"][0]["step"] == 1


@pytest.fixture
def search_server():
    """Knows `FACTS` and answers every query with all of them, as a ColBERT server does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            topk = [{"title": title, "text": text, "score": 1.0} for title, text in FACTS.items()]
            self.wfile.write(json.dumps({"topk": topk}).encode())

        def log_message(self, *args):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/search"
        server.shutdown()


def test_evidence_may_come_from_a_server_alone(run, responses, search_server):
    remote = RetrieverConfig(name="http", options={"url": search_server}, passages_per_claim=4)
    inputs = {"passages": empty(Passages), "params:retriever": remote, "iter_1.responses": responses}
    made = run(["evaluation"], **inputs)
    assert sorted(made["iter_1.found_passages"]["text"]) == sorted(FACTS.values())
    assert set(made["iter_1.verdicts"]["passage_id"].dropna()) <= set(made["iter_1.found_passages"]["passage_id"])
    scores = made["iter_1.response_scores"].set_index("response_id")
    assert scores.loc["r0", "precision"] == 1
    assert scores.loc["r1", "num_supported"] == 0


def test_no_answers_give_empty_tables(run, responses):
    made = run(["evaluation"], **{"iter_1.responses": responses.iloc[:0]})
    assert all(made[f"iter_1.{name}"].empty for name in ("sentences", "claims", "verdicts", "response_scores"))


AUTHORS = {
    "prompt": [{"role": "user", "content": "Tell me about Freedonia."}],
    "completion": [{"role": "assistant", "content": "It exports mustard. It borders Venice."}],
    "label": True,
    "completion_sentences": ["It exports mustard.", "It borders Venice."],
    "sentence_label": [True, False],
}
TRL = {"prompt": "Tell me about Sylvania.", "completion": " It borders Freedonia.", "label": False}


@pytest.mark.parametrize("row", [AUTHORS, {**AUTHORS, "completion_sentences": None, "sentence_label": None}, TRL])
def test_training_alone_takes_rows_of_others(run, row):
    other = {**row, "prompt": "Another question?" if row is TRL else [{"role": "user", "content": "Another question?"}]}
    made = run(["training"], **{"iter_1.preferences": [row, other]})
    assert made["iter_1.policy"]["policy_id"] != made["base.policy"]["policy_id"]
    (log,) = made["iter_1.training_log"]
    assert (log["num_desirable"], log["num_undesirable"]) == ((2, 0) if row["label"] else (0, 2))
    assert log["sentence_num_undesirable"] == (2 if row is AUTHORS else 0)
