"""A tiny random BERT on disk: whole words as tokens."""

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from factalign.knowledge import WORD


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Make a folder with a classifier over the words of `texts`; without `labels`, an encoder alone."""

    def make(texts: Iterable[str], labels: list[str] | None = None, seed: int = 0) -> Path:
        import torch
        from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizerFast

        folder = tmp_path_factory.mktemp("bert")
        words = {word.lower() for text in texts for word in WORD.findall(text)}
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
        vocabulary = {word: number for number, word in enumerate([*special, ".", ",", ":", *sorted(words)])}
        torch.manual_seed(seed)
        config = BertConfig(
            vocab_size=len(vocabulary),
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=64,
            id2label=dict(enumerate(labels or ["a", "b"])),
            label2id={label: number for number, label in enumerate(labels or ["a", "b"])},
        )
        (BertForSequenceClassification(config) if labels else BertModel(config)).save_pretrained(folder)
        BertTokenizerFast(vocab=vocabulary).save_pretrained(folder)
        return folder

    return make
