"""The calibration pipeline on an in-memory catalog: labels of the repository about a few countries."""

from pathlib import Path

import pandas as pd
import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from factalign.base.registry import Choice
from factalign.calibration import CalibrationConfig
from factalign.corpora import read_passages
from factalign.parameters import RetrieverConfig
from factalign.pipelines import calibration
from factalign.retrieval import RETRIEVERS
from factalign.schemas import READER_LABELS, CalibrationFeatures, ClaimLabels, SentenceLabels
from factalign.verifiers import load_verifier

LABELS = Path(__file__).resolve().parents[2] / "data" / "01_raw" / "labels"


class Kept(MemoryDataset):
    """Stays in memory when the runner has no more use for it."""

    def _release(self) -> None:
        pass


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """All datasets of a run on labels of six train and three dev countries."""
    folder = tmp_path_factory.mktemp("calibration")
    sentences = SentenceLabels.validate(pd.read_parquet(LABELS / "sentences.parquet"))
    topics = sentences.drop_duplicates("topic").groupby("split")["topic"].head(6)
    answers = sentences[sentences["topic"].isin(topics)].drop_duplicates("response_id").groupby("topic").head(4)
    sentences = sentences[sentences["response_id"].isin(answers["response_id"])]
    claims = pd.read_parquet(LABELS / "claims.parquet")
    passages = read_passages("factbook")
    RETRIEVERS.build("bm25").build(passages, folder / "index")
    passages.to_parquet(folder / "passages.parquet")
    values = {
        "claim_labels": ClaimLabels.validate(claims[claims["sentence_id"].isin(sentences["sentence_id"])]),
        "sentence_labels": sentences,
        "passages": passages,
        "index": str(folder / "index"),
        "params:retriever": RetrieverConfig(name="bm25", passages_per_claim=10),
        "params:calibration": CalibrationConfig(other_topics=3, folds=3, resamples=100),
        "params:corpus": Choice(name="factbook"),
    }
    pipeline = calibration.create_pipeline().only_nodes_with_tags("calibration")
    catalog = DataCatalog({name: Kept(value) for name, value in values.items()})
    for name in pipeline.all_outputs():
        catalog[name] = Kept()
    SequentialRunner().run(pipeline, catalog)
    return {name: catalog.load(name) for name in pipeline.datasets() if not name.startswith("params:")}, folder


def test_labels_become_a_model_and_a_report(made):
    data, _ = made
    features = CalibrationFeatures.validate(data["calibration.features"])
    assert len(features) == len(data["claim_labels"])
    assert len(data["calibration.model"]["other_topics"]) == 3
    report = data["calibration.report"]["dev"]
    assert set(report["claims"]) == {"claims", "claims_in_context", "lexical"}
    assert report["topics"] == features.loc[features["split"] == "dev", "topic"].nunique()
    for measures in report["claims"].values():
        assert 0 <= measures["auroc"]["low"] <= measures["auroc"]["value"] <= measures["auroc"]["high"] <= 1
    assert report["sentences"]["all"]["count"] >= report["sentences"]["decided"]["count"] > 0
    assert {"all", "decided", "distinct", "of base"} <= set(report["sentences"])
    assert len(data["calibration.figure"].data) == 8


def test_dev_labels_do_not_touch_the_model(made):
    from factalign.calibration import calibrate

    data, _ = made
    features, sentences = data["calibration.features"].copy(), data["sentence_labels"].copy()
    features.loc[features["split"] == "dev", "label"] = READER_LABELS[0]
    sentences.loc[sentences["split"] == "dev", ["num_telling", "num_false"]] = 7
    config = CalibrationConfig(other_topics=3, folds=3, resamples=100)
    again, *_ = calibrate(features, sentences, data["passages"], Choice(name="bm25"), 10, config)
    assert {**again, "labels": ""} == {**data["calibration.model"], "labels": ""}


def test_the_model_is_a_verifier(made):
    from factalign.datasets import JSONDataset

    data, folder = made
    path = str(folder / "model.json")
    JSONDataset(filepath=path).save(data["calibration.model"])
    verifier = load_verifier("calibrated", path=path, passages=str(folder / "passages.parquet"))
    verdicts = verifier.verify([("Ghana is bordered by Togo", []), ("Ghana", [])])
    assert {verdict.label for verdict in verdicts} <= {"supported", "not_supported", "irrelevant"}
