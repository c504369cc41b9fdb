import json
import shutil

import numpy as np
import pytest
import torch
from fixtures.injections import FALSE, INJECTIONS

from factalign.base.reliability import expected_calibration_error
from factalign.verifiers import Passage, load_verifier
from factalign.verifiers.entailment.calibration import Calibration, fit_calibration, load_calibration
from factalign.verifiers.entailment.windows import cut_windows, most_alike

TEXTS = [
    "Accra is the capital of Ghana.",
    "Kumasi lies in the north of Ghana. It has three million people. The river is long.",
    "Ghana exports gold and cocoa.",
]
CLAIM = "Ghana exports cocoa"
NLI = ["contradiction", "entailment", "neutral"]


def by_hand(folder, claim, text, claim_first=False):
    """Logit of entailment of one pair, by the model alone."""
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    pair = (claim, text) if claim_first else (text, claim)
    with torch.inference_mode():
        probabilities = model(**tokenizer(*pair, return_tensors="pt")).logits.double().softmax(-1)[0]
    return float(torch.logit(probabilities[model.config.label2id["entailment"]]))


@pytest.fixture(scope="module")
def folder(tiny_bert):
    return tiny_bert(TEXTS, NLI)


def load(folder, **options):
    return load_verifier("entailment", model=str(folder), dtype="float32", **options)


@pytest.mark.parametrize("claim_first", [False, True])
def test_the_best_passage_decides(folder, claim_first):
    expected = [by_hand(folder, CLAIM, text, claim_first) for text in TEXTS]
    verifier = load(folder, claim_first=claim_first)
    ((logit, index),) = verifier.logits([(CLAIM, TEXTS)])
    assert logit == pytest.approx(max(expected), abs=1e-5)
    assert index == int(np.argmax(expected))
    (verdict,) = verifier.verify([(CLAIM, TEXTS)])
    probability = 1 / (1 + np.exp(-logit))
    assert verdict.evidence_index == index
    assert verdict.label == ("supported" if probability >= 0.5 else "not_supported")
    assert verdict.confidence == pytest.approx(max(probability, 1 - probability), abs=1e-4)


def test_batches_do_not_change_verdicts(folder):
    pairs = [(claim, TEXTS[: 1 + number % 3]) for number, claim in enumerate([CLAIM, *TEXTS, "gold", "the river " * 9])]
    one_by_one = [load(folder, batch_tokens=1).logits([pair])[0] for pair in pairs]
    together = load(folder, batch_tokens=10_000).logits(pairs)
    assert [index for _, index in together] == [index for _, index in one_by_one]
    assert [logit for logit, _ in together] == pytest.approx([logit for logit, _ in one_by_one], abs=1e-5)


def test_labels_in_any_order_and_opaque_ones(tiny_bert, folder):
    def same_weights(labels):
        other = tiny_bert(TEXTS, labels)  # the same seed, so the same weights
        return other

    expected = load(folder).logits([(CLAIM, TEXTS)])
    turned = same_weights(["not_supported", "SUPPORTED", "unknown"])
    assert load(turned).logits([(CLAIM, TEXTS)]) == expected
    opaque = same_weights(["LABEL_0", "LABEL_1", "LABEL_2"])
    with pytest.raises(ValueError, match="supported_label to one of: LABEL_0, LABEL_1, LABEL_2"):
        load(opaque)
    assert load(opaque, supported_label="LABEL_1").logits([(CLAIM, TEXTS)]) == expected
    with pytest.raises(ValueError, match="has no label 'yes'"):
        load(opaque, supported_label="yes")


def test_nothing_to_read_is_not_supported(folder):
    long = "Ghana exports gold. " * 4000
    verdicts = load(folder, threshold=0.01).verify([(CLAIM, []), (CLAIM, ["", "  "]), ("", TEXTS), (long, TEXTS)])
    assert [(v.label, v.confidence, v.evidence_index) for v in verdicts] == [("not_supported", 1.0, None)] * 4
    assert load(folder).verify([]) == []


def test_long_evidence_is_read_to_its_end(folder):
    filler = "The river is long. " * 300
    wanted = "Ghana exports gold and cocoa."
    ((logit, index),) = load(folder, window_tokens=32, max_windows=1).logits(
        [(CLAIM, ["Kumasi lies in the north.", filler + wanted])]
    )
    assert logit == pytest.approx(by_hand(folder, CLAIM, "The river is long. " * 5 + wanted), abs=1e-5)
    assert index == 1


def test_a_title_that_the_text_does_not_name_is_read_with_it(folder):
    verifier = load(folder)
    titled = verifier.logits([(CLAIM, [Passage("It exports gold.", "Ghana")])])
    assert titled == verifier.logits([(CLAIM, ["Ghana: It exports gold."])])
    assert verifier.logits([(CLAIM, [Passage(TEXTS[2], "Ghana")])]) == verifier.logits([(CLAIM, [TEXTS[2]])])


def test_calibration_beside_the_weights_and_by_options(tiny_bert):
    folder = tiny_bert(TEXTS, NLI)
    ((logit, _),) = load(folder).logits([(CLAIM, TEXTS)])
    before = load(folder).verifier_id
    Calibration(2.0, -0.5, 0.3).save(folder)
    verifier = load(folder)
    assert verifier.verifier_id != before
    assert verifier.probabilities([(CLAIM, TEXTS)])[0][0] == pytest.approx(1 / (1 + np.exp(0.5 - 2 * logit)))
    assert verifier.calibration.threshold == 0.3
    hot = load(folder, temperature=4.0, threshold=0.6)
    assert hot.probabilities([(CLAIM, TEXTS)])[0][0] == pytest.approx(1 / (1 + np.exp(-logit / 4)))
    assert hot.calibration.threshold == 0.6
    (folder / "calibration.json").write_text(json.dumps({"scale": -1}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"calibration\.json: .*scale must be above 0"):
        load(folder)


def test_models_that_cannot_judge(tiny_bert, tmp_path):
    with pytest.raises(ValueError, match="no classifier in safetensors"):
        load(tmp_path)
    with pytest.raises(ValueError, match=r"not a sequence classifier, its config\.json says BertModel"):
        load(tiny_bert(TEXTS))
    pickled = tiny_bert(TEXTS, NLI)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    with pytest.raises(ValueError, match="no classifier in safetensors"):
        load(pickled)
    with pytest.raises(ValueError, match="too few for windows of 500"):
        load(tiny_bert(TEXTS, NLI), window_tokens=500)
    with pytest.raises(ValueError, match="unknown dtype 'float31'; valid: auto, float32"):
        load_verifier("entailment", model=str(tiny_bert(TEXTS, NLI)), dtype="float31")


def test_weights_without_a_trained_head_are_an_error_at_the_first_claim(tiny_bert):
    folder, encoder = tiny_bert(TEXTS, NLI), tiny_bert(TEXTS)
    shutil.copy(encoder / "model.safetensors", folder)
    verifier = load(folder)
    with pytest.raises(ValueError, match=r"not a trained classifier, its weights lack classifier\.bias"):
        verifier.verify([(CLAIM, TEXTS)])


def test_a_verifier_and_its_id_need_no_weights(tiny_bert):
    """They may be garbage: only a claim makes it read them."""
    folder = tiny_bert(TEXTS, NLI)
    whole = load(folder).verifier_id
    (folder / "model.safetensors").write_bytes(b"garbage")
    verifier = load(folder)
    assert verifier.verifier_id.startswith(f"entailment-2-{folder.name}-")
    with pytest.raises(ValueError, match=rf"{folder.name}: no classifier in safetensors could be loaded"):
        verifier.verify([(CLAIM, TEXTS)])
    assert verifier.verifier_id != whole


def test_the_id_is_that_of_the_files_and_the_settings(tiny_bert, tmp_path):
    folder = tiny_bert(TEXTS, NLI)
    copy = shutil.copytree(folder, tmp_path / folder.name)
    assert load(copy).verifier_id == load(folder).verifier_id
    verifiers = [load(folder, **options) for options in ({}, {"claim_first": True}, {"threshold": 0.4})]
    ids = [verifier.verifier_id for verifier in (*verifiers, load(tiny_bert(TEXTS, NLI, seed=1)))]
    (copy / "config.json").write_text((folder / "config.json").read_text().replace('"gelu"', '"relu"'))
    ids.append(load(copy).verifier_id)
    (folder / "vocab.txt").write_text("[PAD]")
    ids.append(load(folder).verifier_id)
    assert len({name.rsplit("-", 1)[1] for name in ids}) == 6


def test_the_id_of_a_hub_model_is_that_of_its_commit(folder, tmp_path, monkeypatch):
    """In a cache that is laid out as that of the hub, with two commits and without a network."""
    repository = tmp_path / "models--someone--judge"
    commits = {"main": "a" * 40, "old": "b" * 40}
    (repository / "refs").mkdir(parents=True)
    for branch, commit in commits.items():
        shutil.copytree(folder, repository / "snapshots" / commit)
        (repository / "refs" / branch).write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    main = load("someone/judge")
    ids = [main.verifier_id, *(load("someone/judge", revision=name).verifier_id for name in ("old", *commits.values()))]
    assert ids[0] == ids[2] != ids[1] == ids[3]
    assert ids[0].startswith("entailment-2-judge-")
    assert main.logits([(CLAIM, TEXTS)]) == load(folder).logits([(CLAIM, TEXTS)])


def test_windows_hold_everything_once_and_overlap_by_a_sentence(folder):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    sentences = [f"Ghana exports gold and cocoa number {number}." for number in range(9)]
    text = " ".join([*sentences, "the river " * 60, "🎉"])
    windows = cut_windows(text, tokenizer, 24)
    assert all(len(tokenizer.tokenize(window)) <= 24 for window in windows)
    assert all(any(sentence in window for window in windows) for sentence in sentences)
    assert any(sentences[1] in window and sentences[2] in window for window in windows)
    assert sum(window.count("river") for window in windows) == 60
    assert cut_windows("", tokenizer, 24) == []
    assert cut_windows(sentences[0], tokenizer, 24) == [sentences[0]]


def test_windows_that_share_rare_words_come_first_and_those_that_share_none_not_at_all():
    windows = ["the river is long", "the gold is long", "the cocoa is gold", "the is long"]
    assert most_alike("the cocoa", windows, 1) == [2]
    assert most_alike("gold cocoa", windows, 2) == [1, 2]
    assert most_alike("cocoa", windows, 9) == [2]
    assert most_alike("copper", windows, 9) == []


def test_platt_scaling_finds_the_parameters_that_made_the_labels():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    truth = Calibration(0.5, -1.0)
    labels = rng.random(20_000) < truth.probability(logits)
    fitted = fit_calibration(logits, labels)
    assert (fitted.scale, fitted.offset) == pytest.approx((0.5, -1.0), abs=0.05)
    probability = fitted.probability(logits)
    right = labels == (probability >= 0.5)
    assert expected_calibration_error(np.maximum(probability, 1 - probability), right) < 0.02
    assert expected_calibration_error(np.full(20_000, 0.99), right) > 0.1


def test_the_fit_is_that_of_newton_steps():
    """Numbers of Newton's method, run to 1e-8 on the same likelihood."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 4, 20_000)
    labels = rng.random(20_000) < Calibration(0.5, -1.0).probability(logits)
    cases = [
        ((logits, labels), (0.5046462180830914, -1.0209750187013642)),
        ((logits[:300] * 0.01 + 5, labels[:300]), (51.47002477473164, -258.2604964137744)),
        (([-2, -1, 1, 2], [False, False, True, True]), (0.6739963939839231, 0.0)),
    ]
    for given, expected in cases:
        fitted = fit_calibration(*given)
        assert (fitted.scale, fitted.offset) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_calibration_of_separable_and_of_useless_scores(tmp_path):
    fitted = fit_calibration([-2, -1, 1, 2], [False, False, True, True])
    assert np.isfinite(fitted.scale)
    assert (fitted.probability(np.array([-2, 2])) >= fitted.threshold).tolist() == [False, True]
    fitted.save(tmp_path)
    assert load_calibration(tmp_path) == fitted
    useless = fit_calibration([2, 1, 0, -1, -2], [False, False, False, True, True])
    assert useless.probability(np.array([-2, 2])) == pytest.approx(0.4, abs=1e-4)
    with pytest.raises(ValueError, match="both classes"):
        fit_calibration([1.0], [True])


@pytest.mark.parametrize("name", INJECTIONS)
def test_what_is_said_after_a_claim_cannot_lift_it(folder, name):
    """Whatever a classifier makes of the words: here one with random weights."""
    claims = [f"{claim} {INJECTIONS[name]}" for claim in FALSE]
    plain, injected = (load(folder).logits([(claim, TEXTS) for claim in group]) for group in (FALSE, claims))
    for (before, _), (after, _) in zip(plain, injected, strict=True):
        assert after <= before + 1e-5
