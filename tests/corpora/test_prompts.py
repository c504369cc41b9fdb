import re

import pytest
from pydantic import ValidationError

from factalign.corpora import GENERAL_PROMPTS, PromptConfig, build_prompts, read_prompts
from factalign.corpora.factbook.wording import PROMPTS
from factalign.schemas import Prompts

TOPICS = [f"Country {number}" for number in range(200)]


def test_counts_and_no_topic_in_two_splits():
    prompts = Prompts.validate(build_prompts(TOPICS, PromptConfig(split_seed=1)))
    assert prompts["split"].value_counts().to_dict() == {"train": 366, "test": 80, "dev": 40}
    assert prompts.groupby("topic")["split"].nunique().max() == 1
    assert prompts.groupby("split")["topic"].nunique().to_dict() == {"train": 122, "dev": 20, "test": 40}
    for _, split in prompts.groupby("split"):
        assert split["aspect"].value_counts().max() - split["aspect"].value_counts().min() <= 1


def test_the_split_is_seeded_and_ignores_the_order_of_topics():
    prompts = build_prompts(TOPICS, PromptConfig(split_seed=1))
    assert prompts.equals(build_prompts(TOPICS[::-1], PromptConfig(split_seed=1)))
    other = build_prompts(TOPICS, PromptConfig(split_seed=2))
    tested = {frozenset(p.loc[p["split"] == "test", "topic"]) for p in (prompts, other)}
    assert len(tested) == 2


def test_prompts_name_their_topic_with_its_article():
    config = PromptConfig(train_topics=3, dev_topics=0, test_topics=0)
    prompts = build_prompts(["The Gambia", "Netherlands", "Ghana"], config, PROMPTS)
    for topic, messages in zip(prompts["topic"], prompts["messages"], strict=True):
        text = messages[0]["content"]
        expected = {"The Gambia": "the Gambia", "Netherlands": "the Netherlands", "Ghana": " Ghana"}[topic]
        assert expected in text
        assert "{" not in text


def test_other_topics_are_asked_about_as_they_are_and_not_as_countries():
    templates = [template for ways in GENERAL_PROMPTS.aspects.values() for template in ways]
    assert all("{topic}" in template for template in templates)
    text = " ".join(templates).lower()
    assert not [word for word in ("countr", "geograph", "govern", "econom", "capital", "population") if word in text]
    config = PromptConfig(train_topics=1, dev_topics=0, test_topics=0, train_prompts_per_topic=15)
    prompts = build_prompts(["The Lord of the Rings"], config)
    assert prompts["messages"].map(lambda messages: "The Lord of the Rings" in messages[0]["content"]).all()
    assert prompts["prompt_id"].is_unique


def test_bad_configurations():
    with pytest.raises(ValueError, match="= 182, but the corpus has 3 topics"):
        build_prompts(["a", "b", "c"], PromptConfig())
    with pytest.raises(ValueError, match="must differ"):
        build_prompts(["a", "a"], PromptConfig(train_topics=1, dev_topics=0, test_topics=0))
    with pytest.raises(ValidationError):
        PromptConfig(test_countries=3)
    with pytest.raises(ValidationError):
        PromptConfig(test_topics=-1)
    none = PromptConfig(train_topics=0, dev_topics=0, test_topics=0)
    assert Prompts.validate(build_prompts([], none)).empty
    with pytest.raises(ValueError, match="number of templates"):
        build_prompts(["a"], PromptConfig(train_topics=1, dev_topics=0, test_topics=0, train_prompts_per_topic=16))


def test_many_prompts_of_one_topic_all_differ():
    config = PromptConfig(train_topics=1, dev_topics=0, test_topics=0, train_prompts_per_topic=15)
    assert build_prompts(["Ghana"], config)["prompt_id"].is_unique


def test_prompts_of_ones_own(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text(
        '{"prompt": "Who was Ada Lovelace?", "topic": "Ada Lovelace", "split": "train"}\n\n'
        '{"messages": [{"role": "user", "content": "And Hypatia?"}], "split": "test", "prompt_id": "007"}\n',
        encoding="utf-8",
    )
    prompts = Prompts.validate(read_prompts(str(path)))
    assert prompts["split"].tolist() == ["train", "test"]
    assert prompts["prompt_id"].tolist()[1] == "007"
    assert prompts["messages"][0] == [{"role": "user", "content": "Who was Ada Lovelace?"}]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("[]", "line 2: must be a JSON object"),
        ('{"prompt": "x"}', "line 2: field 'split' must be one of train, dev, test, got None"),
        ('{"split": "train"}', "line 2: needs one of the fields 'prompt' and 'messages'"),
        ('{"prompt": 3, "split": "train"}', "line 2: field 'prompt' must be text that is not empty, got 3"),
        ('{"prompt": "x", "split": "train", "topc": "x"}', "line 2: unknown field 'topc'; valid: "),
        ('{"prompt": "a", "split": "train", "prompt_id": "1"}', "line 2: prompt_id '1' was on line 1 already"),
    ],
)
def test_a_bad_line_of_prompts_is_named(tmp_path, line, message):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "a", "split": "train", "prompt_id": "1"}\n' + line, encoding="utf-8")
    with pytest.raises(ValueError, match=re.escape(f"{path}, {message}")):
        read_prompts(str(path))


def test_a_missing_or_empty_file_of_prompts_is_named(tmp_path):
    with pytest.raises(ValueError, match="no such file of prompts"):
        read_prompts(str(tmp_path / "absent.jsonl"))
    (tmp_path / "empty.jsonl").touch()
    with pytest.raises(ValueError, match=r"empty\.jsonl: no prompts"):
        read_prompts(str(tmp_path / "empty.jsonl"))


def test_a_line_separator_inside_a_prompt_is_no_end_of_line(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text('{"prompt": "one\u2028two", "split": "train"}\n', encoding="utf-8")
    assert read_prompts(str(path))["messages"][0][0]["content"] == "one\u2028two"
