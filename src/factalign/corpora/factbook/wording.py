"""How prompts ask about countries, and how answers speak of them."""

from __future__ import annotations

from factalign.corpora.protocol import PromptTemplates, ReadingAids

_WITH_ARTICLE = frozenset(
    (
        *("Republic", "Union", "States", "Kingdom", "Emirates", "Islands", "Holy"),
        *("Netherlands", "Philippines", "Maldives", "Comoros", "Seychelles"),
    )
)


def in_sentence(country: str) -> str:
    """The country as it stands inside a sentence, with its article."""
    if country.startswith("The "):
        return f"the {country[4:]}"
    return f"the {country}" if _WITH_ARTICLE & set(country.split()) else country


PROMPTS = PromptTemplates(
    {
        "overview": (
            "Could you give me a detailed overview of {topic}, with as many specific facts as you can?",
            "I know almost nothing about {topic}. Please introduce it to me in detail.",
            "Write an encyclopedic introduction to {topic}.",
        ),
        "geography": (
            "Describe the geography of {topic}: where it lies, what it borders, its land and its climate.",
            "Please explain in detail where {topic} is located and what its terrain and neighbors are.",
            "What should I know about the physical geography of {topic}? Be as specific as possible.",
        ),
        "people": (
            "Tell me about the people of {topic}: population, ethnic groups, languages and religions.",
            "Who lives in {topic}? Describe its population and society in detail.",
            "Please describe the demographics of {topic} with specific facts.",
        ),
        "government": (
            "Explain how {topic} is governed: its form of government, its capital and its institutions.",
            "Describe the political system of {topic} and the international organizations it belongs to.",
            "What are the main facts about the government of {topic}? Please go into detail.",
        ),
        "economy": (
            "Describe the economy of {topic}: its main industries, products and trade.",
            "What does {topic} produce and export? Please give a detailed answer.",
            "Please explain the economy of {topic} with as many specific facts as you can.",
        ),
    },
    in_sentence,
)

AIDS = ReadingAids(
    nouns=("country", "nation", "state", "island", "territory", "republic", "kingdom"),
    restarts=("country",),
    attributes=("population", "capital", "area", "coastline", "majority", "economy", "gdp"),
)
