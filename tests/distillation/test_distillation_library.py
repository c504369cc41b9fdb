import json
import random

import pandas as pd
import pytest
from pydantic import ValidationError

from factalign.corpora import Fact, Item, facts_to_json
from factalign.distillation import DistillationConfig, distil, passages_from_evidence, synthesise_claims, train_verifier
from factalign.distillation.grounding import IGNORED, grounding_targets
from factalign.distillation.perturbing import Perturber
from factalign.distillation.restating import Placed, restatements
from factalign.distillation.rewording import RULES, reword
from factalign.schemas import Passages, SyntheticClaims
from factalign.verifiers import load_verifier

PLACES = ["Accra", "Lagos", "Nairobi", "Lima", "Oslo", "Quito", "Hanoi", "Dakar", "Tunis", "Sofia", "Riga", "Minsk"]
LANDS = ["Ghana", "Nigeria", "Kenya", "Peru", "Norway", "Ecuador", "Vietnam", "Senegal", "Tunisia", "Bulgaria"]
GOODS = ["gold", "cocoa", "copper", "timber", "coffee", "cotton", "fish", "steel", "salt", "rice"]
CONFIG = DistillationConfig(claims=160, held_out_claims=60, seed=3)


def story(number):
    land, place, other = LANDS[number % 10], PLACES[number % 12], PLACES[(number + 5) % 12]
    goods = GOODS[number % 10], GOODS[(number + 3) % 10]
    return (
        f"The capital of {land} was moved to {place} in {1900 + number}. "
        f"In {1950 + number}, the port of {other} exported {goods[0]} and {goods[1]} to many countries. "
        f"It was not built by the mayor, who died on May {1 + number % 28}, {1960 + number}. "
        f"About {3 + number},{100 + number} people lived near the old harbour of {place} at the time."
    )


@pytest.fixture(scope="module")
def passages():
    table = passages_from_evidence([story(number) for number in range(30)], [f"Chronicle {n}" for n in range(30)])
    fact = Fact("capital", ("capital", "capital city"), (Item(("Accra",)),), complete=True)
    other = Fact("capital", ("capital",), (Item(("Lima",)),), complete=True)
    labelled = [
        ("v1", "Ghana", "People – Population", "Ghana. People – Population: total: 34,589,092 (2024 est.)", "[]"),
        ("v2", "Peru", "People – Population", "Peru. People – Population: total: 32,600,249 (2024 est.)", "[]"),
        ("v3", "Ghana", "Government – Capital", "Ghana. Government – Capital: Accra", facts_to_json([fact])),
        ("v4", "Peru", "Government – Capital", "Peru. Government – Capital: Lima", facts_to_json([other])),
    ]
    rows = pd.DataFrame(labelled, columns=["passage_id", "title", "field", "text", "facts"]).assign(aliases="[]")
    return Passages.validate(pd.concat([table, rows[table.columns]], ignore_index=True))


@pytest.fixture(scope="module")
def claims(passages):
    return synthesise_claims(passages, CONFIG)


def test_claims_are_a_table_of_both_labels_and_many_kinds(claims):
    SyntheticClaims.validate(claims)
    counts = claims.groupby("split")["label"].value_counts(normalize=True)
    assert (counts.between(0.3, 0.7)).all()
    changes = {"entity", "number", "date", "negation", "opposite", "relation", "word"}
    assert len(changes & set(claims["kind"])) >= 5
    assert {"faithful", "consistent", "removed", "elsewhere"} <= set(claims["kind"])
    assert (claims["split"] == "train").sum() <= CONFIG.claims


def test_no_topic_is_in_two_splits(claims):
    topics = claims.groupby("split")["topic"].agg(set)
    assert topics["train"]
    assert topics["held_out"]
    assert topics["train"].isdisjoint(topics["held_out"])


def test_the_same_seed_makes_the_same_claims(passages, claims):
    pd.testing.assert_frame_equal(synthesise_claims(passages, CONFIG), claims)
    other = synthesise_claims(passages, CONFIG.model_copy(update={"seed": 4}))
    assert set(other["claim_id"]) != set(claims["claim_id"])


def test_every_claim_of_what_a_passage_says_is_borne_out_by_its_words(claims):
    """Rules only drop, move and reword: numbers and names of a faithful claim stand in its evidence."""
    faithful = claims[
        (claims["kind"] == "faithful")
        & ~claims["text"].str.contains("about|around|approximately|million|nearly", case=False)
    ]
    assert len(faithful) > 20
    for row in faithful.itertuples():
        shown = f"{row.evidence[0]} {row.topic}".replace(",", "")
        digits = [word.strip(".,") for word in row.text.replace(",", "").split() if word.strip(".,").isdigit()]
        assert all(number in shown for number in digits), row.text
        names = [word for word in [*PLACES, *LANDS] if word in row.text]
        assert all(name in shown for name in names), row.text


def test_what_was_removed_is_not_in_the_evidence(passages, claims):
    removed = claims[claims["kind"] == "removed"]
    assert len(removed)
    texts = dict(zip(passages["title"], passages["text"], strict=True))
    for row in removed.itertuples():
        sentences = texts[row.topic].split(". ")
        assert any(sentence.strip(" .") not in row.evidence[0] for sentence in sentences)


@pytest.mark.parametrize("kind", ["entity", "number", "date", "negation", "opposite", "relation", "word"])
def test_each_kind_of_change_changes_one_thing(kind):
    places = ("harbour", "market", "garden", "temple", "castle", "valley", "museum")
    sentences = [story(number).split(". ")[part] for number in range(30) for part in (0, 1, 2)]
    perturber = Perturber([*sentences, *(f"He saw the {place} there." for place in places)])
    rng = random.Random(0)
    sentence = "The first mayor of Lagos was not born in Oslo on May 3, 1960, near the bridge of 3,100 stones."
    changed = {perturber.kinds[kind](sentence, rng) for _ in range(40)} - {"", sentence}
    assert changed
    for text in changed:
        different = set(text.split()) ^ set(sentence.split())
        assert sorted(text) == sorted(sentence) if kind == "relation" else len(different) <= 8


def test_rewording_is_deterministic_and_says_something_else():
    sentence = "In 1990, the film was quickly released by Ghana's director, who began in Accra (then a town)."
    first = [reword(sentence, random.Random(seed)) for seed in range(30)]
    assert first == [reword(sentence, random.Random(seed)) for seed in range(30)]
    assert len(set(first)) > 5
    assert reword("It exports gold to many countries", random.Random(1), "Ghana").startswith("Ghana")
    for rule in RULES:
        assert rule("", random.Random(0)) == ""


def test_restatements_have_all_names_and_numbers_and_lookalikes_have_not(tiny_bert):
    def placed(text):
        return Placed(text, "", text, f"{text} It is old.")

    first = placed("In 1905, the old port of Accra sold salt.")
    same = placed("Many merchants of Accra traded their goods there until 1905.")
    other = placed("Many merchants of Lagos traded their goods there until 1905.")
    copy = placed("In 1905, the old port of Accra sold the salt.")
    folder = str(tiny_bert([item.window for item in (first, same, other, copy)]))
    assert list(restatements([first, same], folder)) == [(first, same, True), (same, first, True)]
    assert list(restatements([first, other], folder)) == [(first, other, False), (other, first, False)]
    assert list(restatements([first, copy], folder)) == []
    assert list(restatements([], folder)) == []


def test_too_little_to_learn_from():
    with pytest.raises(ValueError, match="at least two topics"):
        synthesise_claims(passages_from_evidence([story(1)]), CONFIG)
    with pytest.raises(ValueError, match="no sentence, labelled value or fact"):
        synthesise_claims(passages_from_evidence(["one", "two words"]), CONFIG)
    with pytest.raises(ValidationError, match="Extra inputs"):
        DistillationConfig(epoch=3)


def test_evidence_becomes_passages_once():
    table = passages_from_evidence(["One text.", ["First line", "second line"], "One text.", "  "])
    assert table["text"].tolist() == ["One text.", "First line\nsecond line"]
    assert table["title"].tolist() == ["", ""]


@pytest.fixture(scope="module")
def labelled():
    """A table of claims that one word tells apart."""
    rows = [
        {
            "claim_id": str(number),
            "topic": str(number),
            "text": f"{land} exports {'gold' if number % 2 else 'salt'}",
            "label": "supported" if number % 2 else "not_supported",
            "kind": "faithful" if number % 2 else "word",
            "split": "held_out" if number >= 100 else "train",
            "evidence": [f"{land} is said to export gold.", "The port is old."],
        }
        for number, land in zip(range(140), LANDS * 14, strict=True)
    ]
    return SyntheticClaims.validate(pd.DataFrame(rows))


@pytest.fixture(scope="module")
def train(labelled, tiny_bert):
    """Distil into a tiny random encoder: all is real but its size."""
    encoder = tiny_bert([*labelled["text"], *labelled["evidence"].str[0]])
    config = DistillationConfig(base_model=str(encoder), learning_rate=5e-3, epochs=20, batch_tokens=256)
    return lambda folder: train_verifier(labelled, folder, config)


@pytest.fixture(scope="module")
def distilled(train, tmp_path_factory):
    folder = tmp_path_factory.mktemp("distilled") / "verifier"
    return folder, train(folder)


def test_training_learns_and_tells_how_well(distilled):
    folder, result = distilled
    assert result["loss"] < 0.3
    assert (result["train_claims"], result["held_out_claims"]) == (100, 40)
    assert result["balanced_accuracy"] == 1
    assert result["accuracy_by_kind"] == {"faithful": 1, "word": 1}
    assert 0 <= result["ece"] < 0.2
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == result
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "tokenizer.json", "calibration.json"}
    assert not list(folder.glob("*.bin"))


def test_it_loads_by_name_and_tells_claims_apart(distilled, labelled):
    verifier = load_verifier("distilled", path=str(distilled[0]))
    held_out = labelled[labelled["split"] == "held_out"]
    verdicts = verifier.verify(list(zip(held_out["text"], held_out["evidence"], strict=True)))
    assert [verdict.label for verdict in verdicts] == held_out["label"].tolist()
    assert verifier.calibration.scale != 1
    assert verifier.verify([("Ghana exports gold", [])])[0].label == "not_supported"


def test_the_same_seed_trains_the_same_verifier(distilled, train, tmp_path):
    folder, result = distilled
    assert train(tmp_path) == result
    one, other = load_verifier("distilled", path=folder), load_verifier("distilled", path=tmp_path)
    assert one.verifier_id.rsplit("-", 1)[1] == other.verifier_id.rsplit("-", 1)[1]


def test_every_word_of_a_supported_claim_is_borne_out_and_words_without_evidence_are_not(labelled, tiny_bert):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_bert(["Ghana exports gold and salt"]))
    claim, evidence = "Ghana exports salt", "Ghana exported gold"
    encoding = tokenizer([claim], [evidence], return_offsets_mapping=True)
    tokens = tokenizer.convert_ids_to_tokens(encoding["input_ids"][0])
    assert tokens[:5] == ["[CLS]", "ghana", "exports", "salt", "[SEP]"]
    rest = [IGNORED] * (len(tokens) - 4)
    assert grounding_targets(encoding, 0, claim, evidence, True) == [IGNORED, 1, 1, 1, *rest]
    assert grounding_targets(encoding, 0, claim, evidence, False) == [IGNORED, IGNORED, IGNORED, 0, *rest]


def test_distil_does_both_steps(passages, tiny_bert, tmp_path):
    encoder = tiny_bert(passages["text"])
    result = distil(passages, tmp_path, DistillationConfig(base_model=str(encoder), claims=60, held_out_claims=60))
    assert 30 < result["train_claims"] <= 60
    assert load_verifier("distilled", path=tmp_path).verify([("a claim", ["an evidence"])])[0].evidence_index in (
        0,
        None,
    )
