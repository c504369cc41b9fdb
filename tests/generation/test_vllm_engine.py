"""vLLM does not run on the machines these tests are made for: a stand-in shows the arguments it gets."""

import importlib.util
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from factalign.generation import ENGINES, EngineError, Generation, Sampling


@dataclass
class Output:
    text: str
    token_ids: list
    finish_reason: str


@dataclass
class Request:
    outputs: list
    prompt_token_ids: list


class StandInLLM:
    built: list = []  # noqa: RUF012
    reason = "stop"

    def __init__(self, **options):
        self.options = options
        # Its weights must be there when vLLM reads them.
        self.had_weights = (Path(options["model"]) / "model.safetensors").is_file()
        self.built.append(self)

    def chat(self, messages, sampling_params):
        self.messages, self.parameters = messages, sampling_params
        return [
            Request([Output(f"{i}-{n}", [4, 5, 2], self.reason) for n in range(one["n"])], [7] * 6)
            for i, one in enumerate(sampling_params)
        ]


@pytest.fixture
def stand_in(monkeypatch):
    module = ModuleType("vllm")
    module.LLM, module.SamplingParams = StandInLLM, dict
    monkeypatch.setitem(sys.modules, "vllm", module)
    monkeypatch.setattr(StandInLLM, "built", [])
    return StandInLLM


def test_arguments_reach_vllm(stand_in, tiny_handle):
    engine = ENGINES.build({"name": "vllm", "options": {"tensor_parallel_size": 2}}, handle=tiny_handle)
    conversations = [[{"role": "user", "content": text}] for text in ("a", "b")]
    sampling = Sampling(samples=2, max_new_tokens=9, temperature=0.5, top_k=7, top_p=0.9, seed=40)
    answers = engine.generate(conversations, sampling)
    llm = stand_in.built[0]
    assert llm.options == {
        "model": tiny_handle["model"], "revision": None, "dtype": "bfloat16", "trust_remote_code": False,
        "tensor_parallel_size": 2,
    }  # fmt: skip
    assert llm.messages == conversations
    common = {"n": 2, "temperature": 0.5, "top_k": 7, "top_p": 0.9, "max_tokens": 9}
    assert llm.parameters == [common | {"seed": 40}, common | {"seed": 42}]
    assert answers[1] == [Generation("1-0", "stop", 2, 6), Generation("1-1", "stop", 2, 6)]
    assert engine.generate([], Sampling()) == []


def test_an_aborted_request_is_an_error(stand_in, tiny_handle, monkeypatch):
    monkeypatch.setattr(stand_in, "reason", "abort")
    with pytest.raises(EngineError, match="abort"):
        ENGINES.build("vllm", handle=tiny_handle).generate([[{"role": "user", "content": "a"}]], Sampling())


def test_adapters_are_merged_first(stand_in, tiny_handle, monkeypatch):
    import factalign.generation.vllm_engine as module

    loaded = []

    def load(handle, dtype):
        loaded.append(handle["adapters"])
        return real({**handle, "adapters": []}, dtype)

    real = module.load_policy
    monkeypatch.setattr(module, "load_policy", load)
    engine = ENGINES.build("vllm", handle=tiny_handle | {"adapters": ["first", "second"]})
    assert loaded == [["first", "second"]]
    llm = stand_in.built[0]
    assert llm.had_weights
    folder = Path(llm.options["model"])
    assert folder != Path(tiny_handle["model"])
    del engine, llm
    stand_in.built.clear()
    assert not folder.exists()


@pytest.mark.skipif(importlib.util.find_spec("vllm") is not None, reason="vLLM is installed")
def test_without_vllm_the_error_says_what_to_install(tiny_handle):
    with pytest.raises(EngineError, match=r"pip install 'factalign\[vllm\]'"):
        ENGINES.build("vllm", handle=tiny_handle)
