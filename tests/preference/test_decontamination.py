import json
import random

import pandas as pd
import pytest

from factalign import schemas
from factalign.preference import decontaminate


def prompts(*rows, prefix="p"):
    """Rows: (topic, text)."""
    if not rows:
        return schemas.empty(schemas.Prompts)
    return schemas.Prompts.validate(
        pd.DataFrame(
            {
                "prompt_id": [f"{prefix}{i}" for i in range(len(rows))],
                "messages": [[{"role": "user", "content": text}] for _, text in rows],
                "topic": [topic for topic, _ in rows],
                "aspect": "a",
                "source": "s",
                "split": "train",
            }
        )
    )


@pytest.mark.parametrize(
    ("training", "benchmark", "rule"),
    [
        (
            ("Jericho Tower", "Describe it."),
            ("Tower of Jericho", "What is it?"),
            "topic",
        ),  # a defect of the published FactAlign code
        (("", "Tell me about the Jericho Tower."), ("", "What was the Tower of Jericho for?"), "topic"),
        (("CÔTE D'IVOIRE", "x"), ("Cote d’Ivoire", "y"), "topic"),
        (("Korea, South", "x"), ("South Korea", "y"), "topic"),
        (("a", "How do volcanoes erupt?"), ("b", "how do Volcanoes ... erupt"), "text"),
        (("Trade", "How does Peru's neighbour Chile trade?"), ("Chile", "Describe Chile."), "mention"),
        (("Chile", "Describe its rivers."), ("Peru", "Compare Peru with Chile."), "mention"),
        (("東京タワー", "x"), ("東京タワー", "y"), "topic"),
        (("Россия", "x"), ("РОССИЯ", "y"), "topic"),
    ],
)
def test_overlaps_are_found(training, benchmark, rule):
    kept, dropped = decontaminate(prompts(training, ("Iceland", "Tell me all.")), prompts(benchmark, prefix="b"))
    assert kept["topic"].tolist() == ["Iceland"]
    assert dropped["prompt_id"].tolist() == ["p0"]
    assert dropped["rule"].tolist() == [rule]
    assert dropped["benchmark_prompt_id"].tolist() == ["b0"]
    assert dropped["match"].iloc[0]


def test_shared_templates_are_no_overlap():
    template = "Give a long and detailed overview of the geography of {}, with as many specific facts as you can."
    training = prompts(*((name, template.format(name)) for name in ("Niger", "Austria", "Dominica")))
    benchmark = prompts(*((name, template.format(name)) for name in ("Nigeria", "Australia")), prefix="b")
    kept, dropped = decontaminate(training, benchmark)
    assert len(kept) == 3
    assert dropped.empty


def test_empty_tables():
    table = prompts(("Peru", "Describe Peru."))
    kept, dropped = decontaminate(table, prompts())
    pd.testing.assert_frame_equal(kept, table)
    assert list(dropped.columns) == ["prompt_id", "topic", "rule", "match", "benchmark_prompt_id"]
    kept, dropped = decontaminate(prompts(), table)
    assert kept.empty
    assert dropped.empty


def test_blank_topics_and_texts_match_nothing():
    kept, _ = decontaminate(prompts(("", ""), ("", "😀")), prompts(("", ""), ("", "!"), prefix="b"))
    assert len(kept) == 2


def test_long_texts():
    table = prompts(*((f"name {i}", "Some Words " * 40_000) for i in range(2)), ("", "Ein Langer Name " * 20_000))
    kept, _ = decontaminate(table, prompts(("other thing", "other words " * 40_000), prefix="b"))
    assert len(kept) == 3


def test_longfact_prompts_are_found_in_any_order(external_data):
    files = sorted((external_data / "longfact" / "object_sampled_114").rglob("*.jsonl"))
    texts = [json.loads(line)["prompt"] for file in files for line in file.read_text("utf-8").splitlines()]
    assert texts
    shuffled = [" ".join(random.Random(0).sample(text.split(), len(text.split()))).upper() for text in texts]
    kept, dropped = decontaminate(prompts(*(("", t) for t in shuffled)), prompts(*(("", t) for t in texts)))
    assert kept.empty
    assert len(dropped) == len(texts)
