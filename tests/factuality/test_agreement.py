import json
import sys

import numpy as np
import pandas as pd
import pytest

from factalign.factuality import load_verifier, retrieve_evidence, verifier_agreement, verify_claims
from factalign.knowledge import load_corpus, load_retriever


def by_metric(table):
    return table.set_index("metric")["value"].to_dict()


def test_metrics_by_hand():
    claims = pd.DataFrame(
        {
            "topic": ["a", "a", "b", "b", "c"],
            "label": ["supported", "not_supported", "supported", "irrelevant", "not_supported"],
        }
    )
    table = verifier_agreement(claims, ["supported", "supported", "failed", "irrelevant", "not_supported"])
    assert by_metric(table) == pytest.approx(
        {
            "accuracy": 0.6,
            "precision_supported": 0.5,
            "recall_supported": 0.5,
            "f1_supported": 0.5,
            "recall_not_supported": 0.5,
        }
    )
    assert (table["low"] <= table["value"]).all()
    assert (table["value"] <= table["high"]).all()


def test_the_interval_is_over_topics():
    rows = [(f"t{topic}", "supported") for topic in range(10) for _ in range(20)]
    claims = pd.DataFrame(rows, columns=["topic", "label"])
    labels = ["supported" if int(topic[1:]) % 2 else "failed" for topic in claims["topic"]]
    accuracy = verifier_agreement(claims, labels).iloc[0]
    # Ten topics that are each all right or all wrong: a standard error of 0.16, not that of 200 claims.
    assert accuracy["high"] - accuracy["low"] > 0.4
    assert verifier_agreement(claims, labels).equals(verifier_agreement(claims, labels))


def test_nothing_to_count_is_missing():
    table = verifier_agreement(pd.DataFrame({"topic": [], "label": []}), [])
    assert table["value"].isna().all()
    claims = pd.DataFrame({"topic": ["a"], "label": ["irrelevant"]})
    assert np.isnan(by_metric(verifier_agreement(claims, ["irrelevant"]))["precision_supported"])


def test_bad_input():
    claims = pd.DataFrame({"topic": ["a"], "label": ["supported"]})
    with pytest.raises(ValueError, match="1 claims but 2 labels"):
        verifier_agreement(claims, ["supported"] * 2)
    with pytest.raises(ValueError, match="unknown label 'true'"):
        verifier_agreement(claims, ["true"])


def test_lexical_agrees_with_the_labelled_claims(external_data, tmp_path, capsys):
    lines = (external_data / "verifier" / "factbook_claims_dev.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    ids = [str(number) for number in range(len(rows))]
    claims = pd.DataFrame({"claim_id": ids, "response_id": ids, "text": [row["claim"] for row in rows]})
    responses = pd.DataFrame({"response_id": ids, "prompt_id": ids})
    prompts = pd.DataFrame({"prompt_id": ids, "topic": [row["country"] for row in rows]})
    passages = load_corpus("factbook")
    retriever = load_retriever("bm25")
    retriever.build(passages, tmp_path)
    evidence, _ = retrieve_evidence(claims, responses, prompts, retriever, k=20)
    verdicts = verify_claims(claims, evidence, passages, load_verifier("lexical"))
    labelled = pd.DataFrame({"topic": prompts["topic"], "label": [row["label"] for row in rows]})
    table = verifier_agreement(labelled, verdicts["label"].tolist())
    with capsys.disabled():
        sys.stdout.write(f"\nlexical on the labelled Factbook claims\n{table.round(3).to_string(index=False)}\n")
    found = by_metric(table)
    assert found["accuracy"] >= 0.79
    assert found["precision_supported"] >= 0.80
    assert found["recall_supported"] >= 0.70
    assert found["recall_not_supported"] >= 0.91
