import json

import pandas as pd
import pytest

from factalign.audit import extract_by_sentence, extraction_agreement, read_facts
from factalign.base.estimates import Estimate
from factalign.extraction import EXTRACTORS

FACTS = pd.DataFrame(
    {
        "group": ["a", "a", "b"],
        "topic": ["Ada Lovelace", "Ada Lovelace", "Bach"],
        "text": ["…", "…", "…"],
        "facts": [
            ["Ada Lovelace was a mathematician.", "She was born in London."],
            ["She wrote a program."],
            ["Bach was a composer."],
        ],
    }
)


def values(claims, **options):
    return {name: estimate.value for name, estimate in extraction_agreement(FACTS, claims, **options).items()}


def test_matches_by_hand():
    claims = [
        ["Ada Lovelace was born in London", "Ada Lovelace was a mathematician", "Ada Lovelace was a woman"],
        [],
        ["Johann was a composer of church music"],
    ]
    found = values(claims)
    # Of four facts two are said; of four claims two say one. "Johann was composer of church music" shares 2 of 6 + 2.
    assert found == pytest.approx(
        {
            "recall": 2 / 4,
            "precision": 2 / 4,
            "f1": 1 / 2,
            "similarity": (2 + 0 + 0.5) / (3 + 1 + 1),
            "claims_per_sentence": 4 / 3,
            "facts_per_sentence": 4 / 3,
        }
    )
    assert values(claims, threshold=0.5)["recall"] == 3 / 4


def test_a_fact_is_matched_once_and_the_assignment_is_the_best():
    claims = [["She was born in London.", "She was born in London."], [], []]
    assert values(claims)["precision"] == 1 / 2
    # Taken greedily, the first claim would take the second's only fact.
    claims = [["She was a mathematician born in London", "She was a mathematician"], [], []]
    assert values(claims, threshold=0.6)["recall"] == 2 / 4


def test_the_facts_themselves_are_a_perfect_extraction():
    found = extraction_agreement(FACTS, FACTS["facts"].tolist())
    assert found["f1"] == Estimate(1.0, 1.0, 1.0, n=2)
    assert found["claims_per_sentence"].unit == "count"


def test_nothing_extracted():
    found = extraction_agreement(FACTS, [[], [], []])
    assert found["recall"].value == 0
    assert found["precision"].value is None


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ({"annotations": []}, "line 1: field 'topic' must be text"),
        ({"topic": "x", "annotations": [{"text": "y"}]}, "line 1: field 'annotations' entry 0"),
        ({"topic": "x", "annotations": None}, "no facts"),
    ],
)
def test_bad_files(tmp_path, record, message):
    path = tmp_path / "facts.jsonl"
    path.write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(ValueError, match=rf"facts\.jsonl.*{message}"):
        read_facts(str(path))
    with pytest.raises(ValueError, match="no such file of facts"):
        read_facts(str(tmp_path / "none.jsonl"))


def test_extractors_against_peoples_facts(external_data):
    facts = read_facts(str(external_data / "factscore" / "ChatGPT.jsonl"))
    f1 = {
        name: extraction_agreement(facts, extract_by_sentence(facts, EXTRACTORS.build(name)), resamples=200)["f1"]
        for name in ("sentence", "clause")
    }
    drafts = extraction_agreement(facts, facts["model_facts"].tolist(), resamples=200)["f1"]
    assert f1["sentence"].high < f1["clause"].low < drafts.low
    assert drafts.value > 0.75  # people corrected these drafts: a match that missed them would measure nothing
