import math

import pandas as pd
import pytest

from factalign.calibration import CalibrationConfig, read_features
from factalign.calibration.features import join_labels
from factalign.retrieval import open_retriever
from factalign.schemas import ClaimLabels, SentenceLabels
from factalign.verifiers import passages_by_id
from factalign.verifiers.calibrated.features import ClaimReader
from factalign.verifiers.calibrated.specificity import OtherTopics, TopicNames

COUNTRIES = ("Eastland", "Midland", "Westland")


@pytest.fixture
def read(passages, index_dir):
    """Read a claim about Midland against what is found about it."""
    retriever = open_retriever("bm25", index_dir)
    reader = ClaimReader(OtherTopics(COUNTRIES, passages, TopicNames(passages), retriever, 10))
    known = passages_by_id(passages)

    def read(claim):
        (hits,) = retriever.search([claim], ["Midland"], 10)
        return reader.read(claim, [known[hit.passage_id] for hit in hits], "Midland")[0]

    return read


def test_what_holds_of_one_topic_alone_is_specific(read):
    capital = read("The capital of Midland is Midland Town")
    assert (capital.supported, capital.contradicted_by_facts) == (1, 0)
    border = read("Midland is bordered by Westland to the west")
    assert (border.supported, border.borne_out, border.names) == (1, 1, math.log(2))
    region = read("Midland is in Western Africa")
    assert border.telling_support > region.telling_support > 0
    assert region.supported_elsewhere == 1


def test_what_facts_contradict_and_what_is_not_found_differ(read):
    wrong = read("Midland is bordered by Ruritania")
    assert (wrong.supported, wrong.contradicted_by_facts, wrong.not_found) == (0, 1, 0)
    unknown = read("Midland invented 40 kinds of Gugelhupf with marzipan")
    assert (unknown.supported, unknown.contradicted_by_facts, unknown.not_found) == (0, 0, 1)
    assert (unknown.missing_numbers, unknown.missing_names, unknown.numbers) == (math.log(2),) * 3
    assert unknown.missing_share == 1
    assert unknown.missing_words > 0
    assert read("Midland is not bordered by Westland").negated == 1


def test_kinds_are_equal_without_topic_and_numbers(passages):
    names = TopicNames(passages)
    first = names.kind("Midland: The Republic of Midland has 2,500 cows", "Midland")
    assert first == names.kind("Eastland: The Republic of Eastland has 12 cows.", "Eastland")
    assert first != names.kind("Eastland: The Republic of Eastland has 12 goats.", "Eastland")


def labels(**changes):
    texts = [("Midland borders Westland.", "train"), ("Westland borders Midland.", "train"), ("Eastland sings.", "dev")]
    sentences = pd.DataFrame(
        [
            {
                "sentence_id": f"s{number}{answer}",
                "response_id": f"r{number}{answer}",
                "split": split,
                "topic": text.split()[0],
                "prompt": f"Tell me about {text.split()[0]}",
                "response": f"{text} {text}",
                "index": 0,
                "start": 0,
                "end": len(text),
                "text": text,
                "num_telling": 1,
                "num_false": 0,
            }
            for number, (text, split) in enumerate(texts)
            for answer in "ab"
        ]
    )
    claims = sentences[["sentence_id", "response_id", "text"]].assign(label="telling")
    twice = pd.concat([claims, claims.iloc[:1]], ignore_index=True)
    twice["claim_id"] = [f"c{number}" for number in range(len(twice))]
    return ClaimLabels.validate(twice), SentenceLabels.validate(sentences.assign(**changes))


def test_claims_that_are_repeated_and_said_again(passages, index_dir):
    claims, sentences = labels()
    claims.loc[1, "text"] = "Midland sells marzipan to Ruritania"
    config = CalibrationConfig()
    table = read_features(claims, sentences, passages, open_retriever("bm25", index_dir), 5, config)
    found = table.set_index("claim_id")
    assert found["repeats"].to_dict() == {"c6": 1, **{f"c{number}": 0 for number in range(6)}}
    assert found.loc["c6", "duplicate_of"] == "c0"
    assert found["said_again"].to_dict() == {"c0": 0, "c6": 0, "c1": 0, **{f"c{number}": 1 for number in range(2, 6)}}


def test_labels_that_do_not_fit_together_are_refused():
    claims, sentences = labels()
    with pytest.raises(ValueError, match="sentence_id 'x' is not in sentence_labels"):
        join_labels(claims.assign(sentence_id="x"), sentences)
    with pytest.raises(ValueError, match="topic 'M' is in both splits"):
        join_labels(*labels(topic="M"))
    with pytest.raises(ValueError, match="no claim of split 'dev'"):
        join_labels(*labels(split="train"))
    with pytest.raises(Exception, match="maybe"):
        ClaimLabels.validate(claims.assign(label="maybe"))
    with pytest.raises(Exception, match="num_false"):
        SentenceLabels.validate(sentences.drop(columns="num_false"))


def test_a_corpus_of_other_topics_is_refused(passages, index_dir):
    claims, sentences = labels(topic=["A", "A", "B", "B", "C", "C"])
    with pytest.raises(ValueError, match="about 0 of the train topics"):
        read_features(claims, sentences, passages, open_retriever("bm25", index_dir), 5, CalibrationConfig())
