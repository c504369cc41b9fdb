import subprocess
import sys
import time

import pandas as pd
import pytest
from pandera.errors import SchemaError
from pydantic import ValidationError

from factalign.generation import Generation, Sampling, SamplingConfig, drop_unfinished_sentence, sample_responses
from factalign.schemas import Prompts, Responses, empty

CONFIG = SamplingConfig(samples_per_prompt=3, max_new_tokens=10, temperature=1.0)


def prompt_table(*topics):
    return pd.DataFrame(
        {
            "prompt_id": [f"prompt-{topic}" for topic in topics],
            "messages": [[{"role": "user", "content": f"Tell me about {topic}."}] for topic in topics],
            "topic": topics,
            "aspect": "overview",
            "source": "test",
            "split": "train",
        }
    )


class Canned:
    """An engine with the answers that a test wants."""

    answers = (
        Generation("", "stop", 0),
        Generation("Whole. Cut of", "length", 4),
        Generation("Whole. No end", "stop", 4),
        Generation("\ud83d", "stop", 1),
    )

    def __init__(self, handle):
        pass

    def generate(self, conversations, sampling):
        return [list(self.answers) for _ in conversations]


def test_the_table_is_valid_ordered_and_repeatable(tiny_handle):
    prompts = prompt_table("Austria", "Chad")
    first = sample_responses(prompts, tiny_handle, CONFIG, seed=5)
    Responses.validate(first)
    assert first["prompt_id"].tolist() == ["prompt-Austria"] * 3 + ["prompt-Chad"] * 3
    assert first["sample_index"].tolist() == [0, 1, 2] * 2
    pd.testing.assert_frame_equal(first, sample_responses(prompts, tiny_handle, CONFIG, seed=5))
    other = sample_responses(prompts, tiny_handle, CONFIG, seed=6)
    assert not set(first["response_id"]) & set(other["response_id"])


def test_equal_texts_keep_their_own_ids(tiny_handle):
    greedy = CONFIG.model_copy(update={"temperature": 0.0})
    table = sample_responses(prompt_table("Austria"), tiny_handle, greedy, seed=0)
    assert table["text"].nunique() == 1
    assert table["response_id"].nunique() == 3


def test_only_unfinished_responses_are_cut_and_empty_ones_stay(tiny_handle):
    config = SamplingConfig(engine=f"{__name__}:Canned")
    texts = sample_responses(prompt_table("Austria"), tiny_handle, config, seed=0)["text"].tolist()
    assert texts == ["", "Whole.", "Whole. No end", "\ufffd"]
    whole = config.model_copy(update={"drop_unfinished_sentence": False})
    assert sample_responses(prompt_table("Austria"), tiny_handle, whole, seed=0)["text"][1] == "Whole. Cut of"


def test_the_engine_is_a_name_or_a_name_with_options(tiny_handle):
    tables = [
        sample_responses(
            prompt_table("Austria"), tiny_handle, SamplingConfig(**dict(CONFIG) | {"engine": engine}), seed=0
        )
        for engine in ("transformers", {"name": "transformers", "options": {"dtype": "bfloat16"}})
    ]
    pd.testing.assert_frame_equal(*tables)
    wrong = SamplingConfig(engine={"name": "transformers", "options": {"dtipe": "float32"}})
    with pytest.raises(ValueError, match="dtipe"):
        sample_responses(prompt_table("Austria"), tiny_handle, wrong, seed=0)


def test_no_prompts_give_an_empty_table_without_loading_a_model():
    handle = {"policy_id": "absent", "model": "/absent", "adapters": []}
    table = sample_responses(empty(Prompts), handle, CONFIG, seed=0)
    assert table.empty
    assert list(table.columns) == list(Responses.to_schema().columns)


def test_a_missing_column_and_a_duplicate_id_are_named(tiny_handle):
    with pytest.raises(SchemaError, match="topic"):
        sample_responses(prompt_table("Austria").drop(columns="topic"), tiny_handle, CONFIG, seed=0)
    with pytest.raises(SchemaError, match="prompt_id"):
        sample_responses(prompt_table("Austria", "Austria"), tiny_handle, CONFIG, seed=0)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("One. Two. Thr", "One. Two."),
        ('He said "No." And th', 'He said "No."'),
        ("What? Yes! Ma", "What? Yes!"),
        ("Facts:\n1. Lies in Europe.\n2. Bor", "Facts:\n1. Lies in Europe."),
        ("Named after J. Smith of the U.S. and it", "Named after J. Smith of the U.S. and it"),
        ("It has 3.5 million people. Its area is 83.", "It has 3.5 million people."),
        ("オーストリアは国です。首都は", "オーストリアは国です。"),
        ("No end at all", "No end at all"),
        ("", ""),
        ("Ends here.", "Ends here."),
        ("Emoji 🇦🇹. Then", "Emoji 🇦🇹."),
    ],
)
def test_drop_unfinished_sentence(text, kept):
    assert drop_unfinished_sentence(text) == kept


@pytest.mark.parametrize("text", ["." * 50_000, ".”" * 50_000, "word " * 10_000, '"' * 50_000, "! " * 50_000])
def test_cutting_is_not_quadratic(text):
    start = time.process_time()
    drop_unfinished_sentence(text)
    assert time.process_time() - start < 2


@pytest.mark.parametrize(
    "wrong", [{"tempreature": 1}, {"engine_options": {}}, {"samples_per_prompt": 0}, {"top_p": 0}, {"temperature": -1}]
)
def test_bad_parameters_name_their_key(wrong):
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        SamplingConfig(**wrong)


def test_an_engine_is_told_what_was_configured():
    assert SamplingConfig(samples_per_prompt=3, top_p=0.5).sampling(7) == Sampling(samples=3, top_p=0.5, seed=7)
    with pytest.raises(ValidationError, match="temperature"):
        Sampling(temperature=-1)


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, factalign.generation, factalign.datasets;"
        "sys.exit(bool({'torch', 'transformers', 'pandas', 'kedro'} & sys.modules.keys()))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
