"""From characters to tokens: a conversation is rendered once, tokenized once, and everything else is offsets.

Tokenizing the parts by themselves would score role headers as the model's words, and searching for token ids loses
sentences whose first token merges with the text before it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np
from jinja2 import TemplateError
from tokenizers.processors import ByteLevel

from factalign.base.ids import content_hash
from factalign.base.records import RecordError
from factalign.fkto.rows.data import Prompt, Row

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

NO_SENTENCE = -1
PINNED_DATE = "{% macro strftime_now(format) %}{{ date_string }}{% endmacro %}"
"""Before a chat template: what its calls of `strftime_now` return."""


@dataclass(frozen=True, eq=False)
class TokenSequence:
    """A prompt and a completion as tokens.

    Attributes:
        ids: `[length]` int32, prompt and completion.
        start: Index of the first token of the completion; all from there on are scored.
        sentence: `[length - start]` int32, index of the labelled sentence a scored token belongs to, or `NO_SENTENCE`.
        sentences: Indices of the labelled sentences that have their tokens (truncation can cut some off).
        truncated: Whether `max_length` cut the sequence.
        ended: Whether the last scored token is the end of the turn.
        tokenless: Indices of the labelled sentences that have no token of their own, because each of their characters
            shares one with a neighbour; they are not scored.
    """

    ids: np.ndarray
    start: int
    sentence: np.ndarray
    sentences: tuple[int, ...]
    truncated: bool
    ended: bool
    tokenless: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def num_scored(self) -> int:
        """Tokens of the completion."""
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Rendering:
    """A rendered conversation: `text[start:end]` is the completion, `shift` the characters lost at its left end."""

    text: str
    start: int
    end: int
    shift: int


class SpanEncoder:
    """Turns rows into token sequences.

    Args:
        tokenizer: A fast tokenizer (offsets are needed), with a chat template if prompts are conversations.
        max_length: Longer sequences are cut at the end.
        template_kwargs: What the chat template gets besides the messages; with `date_string`, a template that asks for
            the date itself gets this text as well.

    Raises:
        ValueError: The tokenizer is a slow one.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerFast, max_length: int, template_kwargs: Mapping[str, Any] | None = None
    ) -> None:
        if not tokenizer.is_fast:
            raise ValueError(f"{type(tokenizer).__name__} gives no character offsets; a fast tokenizer is needed")
        self.tokenizer = tokenizer
        self.max_length = max_length
        self.template_kwargs = dict(template_kwargs or {})
        # Post-processors may trim white space off the offsets, which leaves tokens of white space without characters.
        self._backend = deepcopy(tokenizer.backend_tokenizer)
        self._backend.post_processor = ByteLevel(trim_offsets=False)
        self._backend.no_truncation()
        self._backend.no_padding()
        self._special = set(tokenizer.all_special_ids) | {
            i for i, token in tokenizer.added_tokens_decoder.items() if token.special
        }
        # Chat templates write the tokens that begin a text themselves; plain text gets them from the tokenizer.
        self._begin = list(takewhile(self._special.__contains__, tokenizer("a").input_ids))
        self._prompts: dict[Prompt, str] = {}

    @property
    def fingerprint(self) -> str:
        """Hash of all that decides how rows become tokens, the limit excepted."""
        return content_hash(
            self._backend.to_str(), self._begin, self.tokenizer.chat_template, self.tokenizer.special_tokens_map
        )

    def encode(self, row: Row, prompt: Prompt | None = None) -> TokenSequence:
        """Tokenize `row`, or its completion after another row's `prompt` (a mismatched pair).

        Raises:
            RecordError: The template refuses the conversation, or it does not keep the completion's text, so that no
                offsets into it exist.
        """
        prompt = row.prompt if prompt is None else prompt
        rendering = self.render(prompt, row.completion, row.name)
        encoding = self._backend.encode(rendering.text, add_special_tokens=False)
        ids = np.asarray(encoding.ids, dtype=np.int32)
        offsets = np.asarray(encoding.offsets, dtype=np.int64).reshape(-1, 2)
        offsets = np.maximum.accumulate(offsets, axis=0)
        begin = self._begin if isinstance(prompt, str) else []
        if begin and ids[: len(begin)].tolist() != begin:
            ids = np.concatenate([np.asarray(begin, dtype=np.int32), ids])
            offsets = np.concatenate([np.zeros((len(begin), 2), dtype=np.int64), offsets])
        start, stop = self._scored(ids, offsets, rendering, row.finished)
        limit = min(stop, self.max_length)
        sentence, sentences, tokenless = self._sentences(row, rendering, offsets[start:stop], max(limit - start, 0))
        return TokenSequence(
            ids=ids[:limit],
            start=min(start, limit),
            truncated=stop > limit,
            ended=row.finished and start < stop <= limit and int(ids[stop - 1]) in self._special,
            sentence=sentence,
            sentences=sentences,
            tokenless=tokenless,
        )

    def render(self, prompt: Prompt, completion: str, name: str) -> Rendering:
        """Apply the chat template once to the whole conversation and find the completion in it."""
        head = self.head(prompt, name)
        if isinstance(prompt, str):
            end_of_text = self.tokenizer.eos_token or ""
            text = head + completion + ("" if completion.endswith(end_of_text) else end_of_text)
            return Rendering(text, len(head), len(head) + len(completion), 0)
        messages = [{"role": role, "content": content} for role, content in (*prompt, ("assistant", completion))]
        text = self._apply_template(messages, name)
        core = completion.strip()
        shift = len(completion) - len(completion.lstrip()) if core else 0
        # Templates may write the whole completion or strip it, and some open the turn differently for generation.
        for floor in (len(head), None) if text.startswith(head) else (None,):
            if floor is None:
                at = text.rfind(core)
            else:
                at = floor + len(text[floor:]) - len(text[floor:].lstrip()) if core else floor
                at = at if text.startswith(core, at) else -1
            if at >= 0:
                break
        else:
            raise RecordError(
                f"{name}: the chat template changes the completion's text, so its sentences cannot be found; "
                f"rendered end: {text[-200:]!r}, completion: {completion[:100]!r}"
            )
        start, end = at, at + len(core)
        if text.startswith(completion, at - shift) and at - shift >= (len(head) if text.startswith(head) else 0):
            start, end, shift = at - shift, at - shift + len(completion), 0
        return Rendering(text, start, end, shift)

    def head(self, prompt: Prompt, name: str) -> str:
        """The text after which the model is asked to go on."""
        if isinstance(prompt, str):
            return prompt
        if prompt not in self._prompts:
            messages = [{"role": role, "content": content} for role, content in prompt]
            self._prompts[prompt] = self._apply_template(messages, name, add_generation_prompt=True)
        return self._prompts[prompt]

    def prompt_ids(self, prompt: Prompt, name: str) -> list[int]:
        """The tokens after which the model is asked to go on."""
        ids = self._backend.encode(self.head(prompt, name), add_special_tokens=False).ids
        begin = self._begin if isinstance(prompt, str) else []
        return ids if ids[: len(begin)] == begin else [*begin, *ids]

    def _apply_template(self, messages: list[dict[str, str]], name: str, **options: Any) -> str:
        if "date_string" in self.template_kwargs:
            options["chat_template"] = PINNED_DATE + self.tokenizer.get_chat_template()
        try:
            return self.tokenizer.apply_chat_template(messages, tokenize=False, **self.template_kwargs, **options)
        except TemplateError as error:
            roles = ", ".join(message["role"] for message in messages)
            raise RecordError(f"{name}: the chat template refuses the roles {roles}: {error}") from error

    def ends_turn(self, sequence: TokenSequence) -> bool:
        """Whether the last token of a sequence is one that ends a turn."""
        return int(sequence.ids[-1]) in self._special

    def _scored(self, ids: np.ndarray, offsets: np.ndarray, rendering: Rendering, finished: bool) -> tuple[int, int]:
        """The scored tokens `[start, stop)`: the completion and, if the model ended it itself, the end of its turn."""
        start = int(np.searchsorted(offsets[:, 1], rendering.start, side="right"))
        start = max(start, 1)  # nothing predicts the very first token
        stop = max(start, int(np.searchsorted(offsets[:, 0], rendering.end, side="left")))
        if finished:
            for i in range(stop, len(ids)):
                if int(ids[i]) in self._special:
                    return start, i + 1
        return start, stop

    def _sentences(
        self, row: Row, rendering: Rendering, offsets: np.ndarray, kept: int
    ) -> tuple[np.ndarray, tuple[int, ...], tuple[int, ...]]:
        """Give each scored token the sentence that holds most of its characters, if any.

        Returns:
            `[kept]` the sentence of each token; the sentences that are scored; those that have no token.
        """
        owner = np.full(len(offsets), NO_SENTENCE, dtype=np.int32)
        share = np.zeros(len(offsets), dtype=np.int64)
        base = rendering.start - rendering.shift
        for index, (begin, end) in enumerate(row.spans):
            begin, end = begin + base, end + base
            first = int(np.searchsorted(offsets[:, 1], begin, side="right"))
            last = int(np.searchsorted(offsets[:, 0], end, side="left"))
            overlap = np.minimum(offsets[first:last, 1], end) - np.maximum(offsets[first:last, 0], begin)
            better = overlap > share[first:last]
            owner[first:last][better] = index
            share[first:last][better] = overlap[better]
        counts = np.bincount(owner[owner >= 0], minlength=len(row.spans))
        # A label speaks of the whole sentence: one that truncation cut is not scored.
        whole = (counts > 0) & (np.bincount(owner[:kept][owner[:kept] >= 0], minlength=len(row.spans)) == counts)
        owner = owner[:kept]
        owner[np.append(~whole, False)[owner]] = NO_SENTENCE  # the last entry is what NO_SENTENCE looks up
        return owner, tuple(np.flatnonzero(whole).tolist()), tuple(np.flatnonzero(counts == 0).tolist())
