import pandas as pd
import pytest

from factalign.corpora import GENERAL_AIDS, ReadingAids
from factalign.corpora.factbook.wording import AIDS
from factalign.extraction import EXTRACTORS, extract_claims, find_duplicates
from factalign.schemas import Claims


def clauses(sentence, topic="Nepal", aids=AIDS):
    return EXTRACTORS.build("clause", aids=aids).extract([sentence], [topic])[0]


@pytest.mark.parametrize(
    ("sentence", "claims"),
    [
        ("Nepal is a country.", ["Nepal is a country"]),
        (
            "Nepal is a landlocked country located in South Asia, bordered by India to the south, China to the north"
            " and Bhutan.",
            [
                "Nepal is a landlocked country located in South Asia",
                "Nepal is bordered by India to the south",
                "Nepal is bordered by China to the north",
                "Nepal is bordered by Bhutan",
            ],
        ),
        (
            "It has a population of 30 million people and its capital is Kathmandu.",
            ["Nepal has a population of 30 million people", "Nepal's capital is Kathmandu"],
        ),
        ("The country exports tea, rice, and jute.", ["Nepal exports tea", "Nepal exports rice", "Nepal exports jute"]),
        (
            "Everest, which is the highest peak, attracts climbers.",
            ["Nepal: Everest is the highest peak, attracts climbers"],
        ),
        ("**an estimated** 1.14 million inhabitants", ["Nepal: an estimated 1.14 million inhabitants"]),
        (
            "Nepal produces many goods, including tea and rice.",
            ["Nepal produces many goods", "Nepal produces tea", "Nepal produces rice"],
        ),
        ("It lies between China and India.", ["Nepal lies between China and India"]),
    ],
)
def test_clauses(sentence, claims):
    assert clauses(sentence) == claims


@pytest.mark.parametrize("sentence", ["", "🎉", ",;,;", "and and and", "a" * 50_000, ", and it is" * 4000, "\ud800"])
def test_any_sentence_has_claims(sentence):
    for name in ("clause", "sentence"):
        (claims,) = EXTRACTORS.build(name).extract([sentence], ["Nepal"])
        assert claims


def test_what_stands_for_a_topic_is_the_corpus_to_say():
    assert clauses("The company is old and the company has offices.", topic="Acme", aids=GENERAL_AIDS) == [
        "Acme is old",
        "Acme has offices",
    ]
    assert clauses("The country is old.", aids=GENERAL_AIDS) == ["Nepal: The country is old"]
    assert clauses("The company is old.") == ["Nepal: The company is old"]
    budget = "It is a film with a budget of two dollars."
    assert clauses(budget, topic="Clerks", aids=GENERAL_AIDS)[1:] == ["Clerks has a budget of two dollars"]
    assert clauses(budget, topic="Clerks") == ["Clerks is a film with a budget of two dollars"]
    without = "The cat came with a hat and the dog sat"
    assert clauses(without, aids=ReadingAids()) == [f"Nepal: {without}"]


def test_a_name_that_begins_like_a_noun_is_no_new_clause():
    sentence = "Nepal borders the Kingdom of Bhutan and the Republic of India."
    assert clauses(sentence) == ["Nepal borders the Kingdom of Bhutan and the Republic of India"]


def test_no_topic_restores_nothing():
    assert clauses("It is big.", topic="") == ["It is big"]


def test_sentence_extractor_names_the_topic_once():
    extract = EXTRACTORS.build("sentence").extract
    assert extract(["It is big.", "The Gambia is small."], ["The Gambia"] * 2) == [
        ["The Gambia: It is big."],
        ["The Gambia is small."],
    ]


def test_unknown_extractor():
    with pytest.raises(ValueError, match="valid names: clause, llm, sentence"):
        EXTRACTORS.build("x")


def test_duplicates():
    texts = [
        "Ghana is a member of the United Nations",
        "ghana is a member of the united nations!",
        "Ghana is also a member of the United Nations",
        "Ghana is a member of the African Union",
        "It is bordered by Togo to the east",
        "It is bordered by Togo to the west",
        "The population is about 30 million",
        "The population is about 31 million",
        "Ghana is not a member of the United Nations",
    ]
    assert find_duplicates(texts) == [None, 0, 0, None, None, None, None, None, None]
    assert find_duplicates([]) == []


def tables(*texts):
    prompts = pd.DataFrame({"prompt_id": ["p"], "topic": ["Ghana"]})
    responses = pd.DataFrame({"response_id": ["r1", "r2"], "prompt_id": ["p", "p"]})
    rows = [(f"s{n}", r, n, text) for r in ("r1", "r2") for n, text in enumerate(texts)]
    sentences = pd.DataFrame(rows, columns=["sentence_id", "response_id", "index", "text"])
    sentences["sentence_id"] += sentences["response_id"]
    return sentences, responses, prompts


def test_table_links_duplicates_within_a_response_only():
    claims = Claims.validate(extract_claims(*tables("Accra is the capital.", "Accra is the capital!")))
    first, second, third, fourth = claims.to_dict("records")
    assert second["duplicate_of"] == first["claim_id"]
    assert fourth["duplicate_of"] == third["claim_id"] != first["claim_id"]
    assert pd.isna(first["duplicate_of"])
    assert pd.isna(third["duplicate_of"])
    assert first["text"] == "Ghana: Accra is the capital"


def test_empty_table():
    assert Claims.validate(extract_claims(*tables())).empty
