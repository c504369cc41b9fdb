"""Asking a chat model about many items: several a call, in order, from the cache, within the budget."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple

from tqdm import tqdm

from factalign.base.ids import content_hash, derive_seed
from factalign.chat.budget import Ledger, Tokens
from factalign.chat.cache import AnswerCache
from factalign.chat.config import ChatConfig
from factalign.chat.quoting import quote
from factalign.chat.replies import ReplyError, read_reply
from factalign.chat.tasks import Task
from factalign.generation import ENGINES, Engine, EngineError, Generation, Sampling
from factalign.generation.engines import Message, stream

logger = logging.getLogger(__name__)
RETRY_TEMPERATURE = 0.5  # at 0, a model would repeat its malformed reply
_TRANSPORT = {"api_key_env", "attempts", "pause", "requests_per_minute", "timeout"}  # no answer depends on these
_SILENCE = 4  # calls of a round, all without a reply: then the server is gone
_BYTES_PER_TOKEN = 3  # an estimate on the safe side, for budgets


class _Call(NamedTuple):
    keys: list[str]
    messages: list[Message]
    mark: str


class ChatClient:
    """A chat model for one task.

    Args:
        config: See `ChatConfig`.
        task: What is asked.

    Raises:
        ValueError: Options that no engine takes.
        CacheError: The cache cannot be used.
    """

    def __init__(self, config: ChatConfig, task: Task[Any, Any]) -> None:
        ENGINES.check(config.engine)
        self._config, self._task = config, task
        self._cache = AnswerCache(config.cache)
        self._engine: Engine | None = None
        self.ledger = Ledger(task.stage, config.model, config.budget, config.prices)
        self._handle = _handle(config)
        if config.engine.name == "openai":  # costs nothing, and shows wrong options at once
            self._load_engine()
        options = {name: value for name, value in config.engine.options.items() if name not in _TRANSPORT}
        self.identity = content_hash(
            *(config.engine.name, self._handle["policy_id"], options, config.temperature, config.structured_output),
            *(list(task.opening), task.reply.model_json_schema()),
        )

    def answer(self, items: Sequence[Any]) -> list[Any | None]:
        """The value of each item (`Task.accept`), None where no valid answer could be had.

        A call whose reply is malformed, or that failed, is made again with half as many items, until
        `attempts` are used up. Equal items are asked about once. When the budget is reached, or when nobody
        replies, the rest is left unasked; valid answers are in the cache by then.
        """
        keys = [content_hash(self.identity, self._task.key(item)) for item in items]
        by_key = dict(zip(keys, items, strict=True))
        values = self._cache.get(by_key)
        self.ledger.items += len(by_key)
        self.ledger.cached_items += len(values)
        for attempt in range(self._config.attempts):
            pending = {key: item for key, item in by_key.items() if key not in values}
            if not pending or not self._ask(pending, attempt, values):
                break
        missing = len(by_key) - len(values)
        self.ledger.failed_items += missing
        if missing:
            logger.warning("%s: %d of %d items have no answer", self._task.stage, missing, len(by_key))
        return [values.get(key) for key in keys]

    def _ask(self, pending: Mapping[str, Any], attempt: int, values: dict[str, Any]) -> bool:
        """Ask about all pending items once, and add what is answered to `values`; False to ask no more."""
        calls = list(self._calls(pending, attempt))
        needs = [self._need(call.messages) for call in calls]
        silent = len(calls) >= _SILENCE
        problems: list[str] = []
        done = 0
        with tqdm(total=len(calls), unit="call", desc=self._task.stage, mininterval=1) as bar:
            while done < len(calls):
                number, cap = self.ledger.affordable(needs[done:])
                if not number:
                    self._warn_of_budget(cap, len(calls) - done)
                    break
                for call, reply in self._stream(calls[done : done + number], attempt):
                    silent = silent and isinstance(reply, EngineError)
                    try:
                        found = self._read(call, pending, reply)
                    except (EngineError, ReplyError) as error:
                        problems.append(str(error))
                        self.ledger.failed_calls += 1
                    else:
                        self._cache.put(found)
                        values.update(found)
                    bar.update()
                done += number
        if problems:
            logger.warning("%s: %d calls failed; the last: %.300s", self._task.stage, len(problems), problems[-1])
        return done == len(calls) and not silent

    def _warn_of_budget(self, cap: str, unasked: int) -> None:
        logger.warning(
            "%s: the budget for %s (%s) is reached; %d calls are left unasked. Raise budget.%s and run again: "
            "what was answered is in the cache",
            *(self._task.stage, cap, getattr(self._config.budget, cap), unasked, cap),
        )

    def _calls(self, pending: Mapping[str, Any], attempt: int) -> Iterator[_Call]:
        for _, neighbours in groupby(pending, key=lambda key: self._task.group(pending[key])):
            group = list(neighbours)
            size = max(min(self._task.per_call, len(group)) >> attempt, 1)
            for start in range(0, len(group), size):
                keys = group[start : start + size]
                if self._task.shuffled:
                    random.Random(derive_seed(self._config.seed, attempt, keys)).shuffle(keys)
                text, mark = quote(self._task.data([pending[key] for key in keys]))
                yield _Call(keys, [*self._task.opening, {"role": "user", "content": text}], mark)

    def _need(self, messages: Sequence[Message]) -> Tokens:
        size = sum(len(message["content"].encode()) for message in messages)
        return Tokens(size // _BYTES_PER_TOKEN + 1, self._config.max_new_tokens)

    def _stream(self, calls: Sequence[_Call], attempt: int) -> Iterator[tuple[_Call, Generation | EngineError]]:
        conversations = [call.messages for call in calls]
        seeds = [derive_seed(self._config.seed, attempt, call.keys) for call in calls]
        started = time.monotonic()
        for index, reply in stream(self._load_engine(), conversations, seeds, self._sampling(attempt)):
            self.ledger.calls += 1
            if isinstance(reply, Generation):
                self.ledger.input_tokens += reply.prompt_tokens
                self.ledger.output_tokens += reply.num_tokens
            self.ledger.seconds += time.monotonic() - started
            started = time.monotonic()
            yield calls[index], reply

    def _sampling(self, attempt: int) -> Sampling:
        temperature, form = self._config.temperature, None
        if self._config.structured_output:
            schema = {"name": "reply", "strict": True, "schema": self._task.reply.model_json_schema()}
            form = {"type": "json_schema", "json_schema": schema}
        return Sampling(
            max_new_tokens=self._config.max_new_tokens,
            temperature=max(temperature, RETRY_TEMPERATURE) if attempt else temperature,
            top_k=0,
            batch_size=self._config.batch_size,
            response_format=form,
        )

    def _read(self, call: _Call, items: Mapping[str, Any], reply: Generation | EngineError) -> dict[str, Any]:
        if isinstance(reply, EngineError):
            raise reply
        answers = read_reply(reply.text, self._task.reply, call.mark, len(call.keys))
        return dict(zip(call.keys, self._task.accept([items[key] for key in call.keys], answers), strict=True))

    def _load_engine(self) -> Engine:
        if self._engine is None:
            self._engine = ENGINES.build(self._config.engine, handle=self._handle)
        return self._engine


def _handle(config: ChatConfig) -> Any:
    """A server knows its model by name; other engines by its weights."""
    if config.engine.name == "openai":
        return {"policy_id": config.model, "model": config.model, "adapters": []}
    from factalign.policies import make_handle

    return make_handle(config.model, revision=config.revision)
