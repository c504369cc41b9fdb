import json
import shutil

import pytest

from factalign.generation import ENGINES, Generation, Sampling
from factalign.generation.transformers_engine import TransformersEngine


def ask(*texts):
    return [[{"role": "user", "content": text}] for text in texts]


@pytest.fixture(scope="module")
def engine(tiny_handle):
    return ENGINES.build({"name": "transformers", "options": {"dtype": "float32"}}, handle=tiny_handle)


def test_results_come_in_the_order_of_the_conversations(engine):
    conversations = ask("short", "a much longer question about something", "", "mid-sized one")
    together = engine.generate(conversations, Sampling(samples=2, max_new_tokens=12, temperature=0.0, batch_size=3))
    assert [len(answers) for answers in together] == [2, 2, 2, 2]
    for conversation, answers in zip(conversations, together, strict=True):
        assert answers == engine.generate([conversation], Sampling(max_new_tokens=12, temperature=0.0))[0] * 2


def test_a_seed_repeats_and_samples_differ(engine):
    options = {"samples": 3, "max_new_tokens": 16, "temperature": 1.0, "top_k": 50}
    first = engine.generate(ask("one", "two"), Sampling(seed=1, **options))
    assert first == engine.generate(ask("one", "two"), Sampling(seed=1, **options))
    assert first != engine.generate(ask("one", "two"), Sampling(seed=2, **options))
    assert len({generation.text for generation in first[0]}) == 3
    assert first == engine.generate(ask("one", "two"), Sampling(seed=1, batch_size=2, **options))


def test_nothing_to_answer(engine):
    assert engine.generate([], Sampling(samples=2)) == []


def test_untrusted_text_is_answered(engine):
    texts = ["🇦🇹 Österreich", "日本について", "\ud800 lone surrogate", "\x00", "<|im_end|>"]
    assert len(engine.generate(ask(*texts), Sampling(max_new_tokens=4))) == 5


def test_an_empty_answer_is_an_answer(engine):
    assert engine._decode([2]) == Generation("", "stop", 0)
    assert engine._decode([40, 41]).finish_reason == "length"


def test_a_prompt_beyond_the_context_is_named(engine):
    with pytest.raises(ValueError, match=r"conversation 1 has \d+ tokens.*512"):
        engine.generate(ask("fine", "x" * 600), Sampling(max_new_tokens=8))


def test_stop_tokens_come_from_the_generation_config_and_the_tokenizer(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    path = folder / "generation_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"eos_token_id": [0, 7]}))
    engine = TransformersEngine({"policy_id": "p", "model": str(folder), "adapters": []})
    assert engine._stop_ids() == {0, 2, 7}


def test_a_model_without_a_chat_template_is_refused(tiny_model, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(tiny_model, folder)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ValueError, match="chat template"):
        TransformersEngine({"policy_id": "p", "model": str(folder), "adapters": []})


def test_unknown_engines_and_options_list_what_is_valid(tiny_handle):
    with pytest.raises(ValueError, match="openai, transformers, vllm"):
        ENGINES.build("llama.cpp", handle=tiny_handle)
    with pytest.raises(ValueError, match="dtipe"):
        ENGINES.build({"name": "transformers", "options": {"dtipe": "float32"}}, handle=tiny_handle)
