"""The distillation pipeline on an in-memory catalog, with a tiny encoder."""

from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.runner import SequentialRunner

from factalign.base.registry import Choice
from factalign.datasets import DirectoryDataset
from factalign.distillation import DistillationConfig, passages_from_evidence
from factalign.pipelines import distillation
from factalign.schemas import SyntheticClaims
from factalign.verifiers import load_verifier


@pytest.fixture
def encoder(tmp_path):
    """A tiny random encoder that knows no word."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "encoder"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "of", "in"]
    BertTokenizerFast(vocab={word: number for number, word in enumerate(words)}).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
    BertModel(BertConfig(vocab_size=len(words), **sizes)).save_pretrained(folder)
    return folder


def test_passages_become_a_published_verifier(encoder, tmp_path):
    texts = [
        f"The bridge of Harbour {number} was built in {1800 + number} by the mayor. It carried {20 + number} people "
        f"in its first year. The town of Glorystone paid for it."
        for number in range(20)
    ]
    values = {
        "passages": passages_from_evidence(texts),
        "params:distillation": DistillationConfig(base_model=str(encoder), claims=30, held_out_claims=30),
        "params:corpus": Choice(name="none"),
        "params:staging_dir": str(tmp_path / "staging"),
    }
    published = DirectoryDataset(filepath=str(tmp_path / "verifier"))
    catalog = DataCatalog({name: MemoryDataset(value) for name, value in values.items()})
    catalog["synthetic_claims"] = kept = MemoryDataset()
    kept._release = lambda: None
    catalog["verifier_model"] = published
    SequentialRunner().run(distillation.create_pipeline(), catalog)
    SyntheticClaims.validate(kept.load())
    folder = Path(published.load())
    assert {path.name for path in folder.iterdir()} >= {"model.safetensors", "calibration.json", "result.json"}
    assert not list((tmp_path / "staging").iterdir())
    verdicts = load_verifier("distilled", path=str(folder)).verify([("It carried 20 people", texts), ("x", [])])
    assert {verdict.label for verdict in verdicts} <= {"supported", "not_supported"}
    assert verdicts[1].label == "not_supported"
