"""What the chat extractor is asked."""

from typing import Any

from factalign.chat.quoting import DATA_RULE, turns

EXTRACTOR = f"""\
You break sentences up into atomic claims.

{DATA_RULE}

`sentences` are numbered sentences of one text about `topic`; where `text` is given, it is the whole text, for \
reference only. For each sentence list every single fact that it states:
- A claim is one short sentence with one fact. Lists, subordinate clauses and appositions become claims of their own.
- A claim can be understood by itself: write names instead of pronouns and of "the country", "the film", "this", and \
keep the time, place and condition that the fact depends on.
- Say what the sentence says, right or wrong: correct nothing, add nothing, leave no fact out.
- `checkable` is false for what no source could confirm or refute: opinions, advice, questions, greetings, remarks \
about the text itself. A sentence with nothing but these may have an empty list.

Reply with one JSON object and nothing else:
{{"call": "...", "answers": [{{"number": 1, "claims": [{{"text": "...", "checkable": true}}]}}, ...]}}
`call` repeats the `call` of the data. `answers` has exactly one entry for each sentence, under its number."""


def _claims(*texts: str, checkable: bool = True) -> list[dict[str, Any]]:
    return [{"text": text, "checkable": checkable} for text in texts]


EXTRACTOR_OPENING = (
    {"role": "system", "content": EXTRACTOR},
    *turns(
        {
            "topic": "Orlan Vey",
            "sentences": [
                {"number": 1, "text": "Born in Tessmark in 1902, Vey was a glass painter who also kept bees."},
                {"number": 2, "text": "She is, I think, the most charming figure of the Harrow Circle!"},
                {"number": 3, "text": "Her windows, which were fired at only 540 °C, hang in Lunt and Osterby."},
            ],
        },
        [
            {
                "claims": _claims(
                    "Orlan Vey was born in Tessmark.",
                    "Orlan Vey was born in 1902.",
                    "Orlan Vey was a glass painter.",
                    "Orlan Vey kept bees.",
                )
            },
            {
                "claims": _claims("Orlan Vey belonged to the Harrow Circle.")
                + _claims("Orlan Vey is the most charming figure of the Harrow Circle.", checkable=False)
            },
            {
                "claims": _claims(
                    "Orlan Vey's windows were fired at only 540 °C.",
                    "Windows of Orlan Vey hang in Lunt.",
                    "Windows of Orlan Vey hang in Osterby.",
                )
            },
        ],
    ),
)
