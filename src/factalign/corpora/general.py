"""Prompt templates and reading aids for topics of any kind."""

from __future__ import annotations

from factalign.corpora.protocol import PromptTemplates, ReadingAids

GENERAL_PROMPTS = PromptTemplates(
    {
        "overview": (
            "Could you give me a detailed overview of {topic}, with as many specific facts as you can?",
            "I know almost nothing about {topic}. Please introduce the subject to me in detail.",
            "Write an encyclopedic article about {topic}.",
        ),
        "background": (
            "Tell me the history of {topic} in detail, with names and dates.",
            "What is the background of {topic}? Please go into detail.",
            "Describe the origins of {topic} and the most important events since then.",
        ),
        "characteristics": (
            "Describe in detail what characterizes {topic}.",
            "What sets {topic} apart? Please explain it with specific facts.",
            "Which features of {topic} should one know about, and how do they belong together?",
        ),
        "significance": (
            "Why is {topic} important? Please give a detailed answer.",
            "What is {topic} best known for? Be as specific as possible.",
            "Explain the influence of {topic}, with concrete examples.",
        ),
        "details": (
            "What are the most important facts about {topic}: names, dates, places and numbers?",
            "I know the basics about {topic}. Which specific details should I know as well?",
            "Please write a long answer about {topic} that consists of facts that can be checked.",
        ),
    }
)

# Few nouns, and none that often begins a name: what "the university of Paris" says is not said of the topic.
GENERAL_AIDS = ReadingAids(
    nouns=(
        *("album", "band", "book", "city", "company", "film", "novel"),
        *("organisation", "organization", "song", "species"),
    ),
    restarts=("company", "film", "novel", "species"),
    attributes=("area", "budget", "capacity", "height", "length", "population", "revenue", "wingspan"),
)
