"""What a chat template does that makes training differ from the use of the model, found out on one row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from factalign.base.records import RecordError
from factalign.fkto.rows.data import Row
from factalign.fkto.rows.spans import SpanEncoder

SHOWN = 80
"""Characters of a context that a message shows."""


def template_warnings(encoder: SpanEncoder, rows: Iterable[Row]) -> Iterator[str]:
    """What to tell the user, judged by the first conversation that the template takes; nothing if there is none."""
    for row in rows:
        if isinstance(row.prompt, str) or not row.finished or not row.completion.strip():
            continue
        try:
            rendering, sequence = encoder.render(row.prompt, row.completion, row.name), encoder.encode(row)
        except RecordError:
            continue
        asked, trained = encoder.head(row.prompt, row.name).rstrip(), rendering.text[: rendering.start].rstrip()
        if asked != trained:
            yield (
                f"{row.name}: the chat template has the model trained after {trained[-SHOWN:]!r}, but asked after "
                f'{asked[-SHOWN:]!r}; chat_template_kwargs may make them equal (such as {{"enable_thinking": false}})'
            )
        if not sequence.truncated and not encoder.ends_turn(sequence):
            yield (
                f"{row.name}: no token of the chat template ends the response, which goes on with "
                f"{rendering.text[rendering.end :][:SHOWN]!r}; the model does not learn when to stop"
            )
        template = encoder.tokenizer.get_chat_template()
        if "strftime_now" in template and "date_string" not in encoder.template_kwargs:
            yield (
                "the chat template writes the date of today, so that tomorrow the same rows are other text and their "
                'references are computed anew; chat_template_kwargs {"date_string": "…"} pins it'
            )
        return
