import numpy as np
import pandas as pd
import pytest

from factalign.annotation.agreement import (
    agreement_table,
    cohen_kappa,
    coincidences,
    confusions,
    krippendorff_alpha,
)
from factalign.schemas import READER_LABELS


def alpha(*readers, labels):
    table = pd.DataFrame({str(n): [labels.get(mark) for mark in marks] for n, marks in enumerate(readers)})
    return float(krippendorff_alpha(coincidences(table).sum(axis=0)))


def test_alpha_of_two_observers_is_that_of_krippendorff_2011(monkeypatch):
    marks = dict(zip("abcde", "abcde", strict=True))
    monkeypatch.setattr("factalign.annotation.agreement.READER_LABELS", tuple("abcde"))
    assert alpha("aabbdcccedda", "babbbccceddd", labels=marks) == pytest.approx(0.692, abs=5e-4)


def test_alpha_with_missing_labels_is_that_of_krippendorff_2011(monkeypatch):
    marks = dict(zip("12345", "12345", strict=True))
    monkeypatch.setattr("factalign.annotation.agreement.READER_LABELS", tuple("12345"))
    found = alpha("123321412...", "1233224125.3", ".3332342251.", "12332441251.", labels=marks)
    assert found == pytest.approx(0.743, abs=5e-4)


def test_kappa_is_that_of_a_known_table():
    # https://en.wikipedia.org/wiki/Cohen%27s_kappa: 50 grant proposals, yes and no by two readers
    assert cohen_kappa(np.array([[20.0, 5.0], [10.0, 15.0]])) == pytest.approx(0.4)
    assert np.isnan(cohen_kappa(np.array([[7.0, 0.0], [0.0, 0.0]])))


def test_what_one_reader_left_out_is_in_no_confusion():
    first, second = pd.Series(["false", None, "false"]), pd.Series(["false", "telling", None])
    assert confusions(first, second, READER_LABELS).sum() == 1


@pytest.fixture
def key(synthetic):
    key, labels = synthetic(np.random.default_rng(0))
    return key, labels[key.loc[key["drawn"], "item_id"]]


def annotated(**readers):
    rows = [(item, reader, label) for reader, labels in readers.items() for item, label in labels.items()]
    return pd.DataFrame(rows, columns=["item_id", "reader", "label"])


def test_equal_readers_agree_wholly_and_random_ones_by_chance(key):
    key, labels = key
    random = pd.Series(np.random.default_rng(1).permutation(labels), index=labels.index)
    table = agreement_table(key, annotated(a=labels, b=labels, c=random), resamples=200)
    first, chance, _ = table["pairs"]
    assert first["metrics"]["kappa"]["value"] == first["metrics"]["share"]["value"] == 1
    assert chance["metrics"]["kappa"]["low"] < 0 < chance["metrics"]["kappa"]["high"]
    assert 0 < table["all"]["alpha"]["value"] < 1
    assert [pair["claims"] for pair in table["pairs"]] == [len(labels)] * 3
    by_verdict = table["verifier"][0]["labels"]
    assert sum(sum(counts.values()) for counts in by_verdict.values()) == len(labels)
    assert 0 < table["verifier"][0]["metrics"]["kappa"]["value"] < 1


def test_a_reader_alone_has_no_alpha(key):
    key, labels = key
    table = agreement_table(key, annotated(a=labels), resamples=100)
    assert table["all"]["alpha"]["value"] is None
    assert not table["pairs"]
