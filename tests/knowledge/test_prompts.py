import pytest
from pydantic import ValidationError

from factalign.knowledge import PromptConfig, build_prompts
from factalign.schemas import Prompts

TOPICS = [f"Country {number}" for number in range(200)]


def test_counts_and_no_topic_in_two_splits():
    prompts = Prompts.validate(build_prompts(TOPICS, PromptConfig(), seed=1))
    assert prompts["split"].value_counts().to_dict() == {"train": 366, "test": 80, "dev": 40}
    assert prompts.groupby("topic")["split"].nunique().max() == 1
    assert prompts.groupby("split")["topic"].nunique().to_dict() == {"train": 122, "dev": 20, "test": 40}
    for _, split in prompts.groupby("split"):
        assert split["aspect"].value_counts().max() - split["aspect"].value_counts().min() <= 1


def test_the_split_is_seeded_and_ignores_the_order_of_topics():
    prompts = build_prompts(TOPICS, PromptConfig(), seed=1)
    assert prompts.equals(build_prompts(TOPICS[::-1], PromptConfig(), seed=1))
    other = build_prompts(TOPICS, PromptConfig(), seed=2)
    tested = {frozenset(p.loc[p["split"] == "test", "topic"]) for p in (prompts, other)}
    assert len(tested) == 2


def test_prompts_name_their_topic_with_its_article():
    config = PromptConfig(train_topics=3, dev_topics=0, test_topics=0)
    prompts = build_prompts(["The Gambia", "Netherlands", "Ghana"], config, seed=0)
    for topic, messages in zip(prompts["topic"], prompts["messages"], strict=True):
        text = messages[0]["content"]
        expected = {"The Gambia": "the Gambia", "Netherlands": "the Netherlands", "Ghana": " Ghana"}[topic]
        assert expected in text
        assert "{" not in text


def test_bad_configurations():
    with pytest.raises(ValueError, match="= 182, but the corpus has 3 topics"):
        build_prompts(["a", "b", "c"], PromptConfig(), seed=0)
    with pytest.raises(ValueError, match="must differ"):
        build_prompts(["a", "a"], PromptConfig(train_topics=1, dev_topics=0, test_topics=0), seed=0)
    with pytest.raises(ValidationError):
        PromptConfig(test_countries=3)
    with pytest.raises(ValidationError):
        PromptConfig(test_topics=-1)
    none = PromptConfig(train_topics=0, dev_topics=0, test_topics=0)
    assert Prompts.validate(build_prompts([], none, seed=0)).empty
    with pytest.raises(ValueError, match="number of templates"):
        build_prompts(["a"], PromptConfig(train_topics=1, dev_topics=0, test_topics=0, train_prompts_per_topic=16), 0)


def test_many_prompts_of_one_topic_all_differ():
    config = PromptConfig(train_topics=1, dev_topics=0, test_topics=0, train_prompts_per_topic=15)
    assert build_prompts(["Ghana"], config, seed=3)["prompt_id"].is_unique
