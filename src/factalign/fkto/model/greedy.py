"""Greedy continuations by a policy that is being trained."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

import torch
from transformers import GenerationConfig

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from factalign.fkto.rows.spans import TokenSequence


def stopping_tokens(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, sequences: Sequence[TokenSequence]
) -> set[int]:
    """What ends a response: by the model's generation config, by the tokenizer, and in the rows of the training."""
    declared = model.generation_config.eos_token_id
    ids = {declared} if isinstance(declared, int) else set(declared or ())
    return (ids | {tokenizer.eos_token_id} | {int(s.ids[-1]) for s in sequences if s.ended}) - {None}


@torch.no_grad()
def greedy(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    stop_ids: Collection[int],
    batch_size: int,
) -> list[list[int]]:
    """The most probable continuation of each prompt, token by token; nothing is drawn, so no random state changes.

    Penalties and the like that the model's generation config asks for are left out: they would hide repetitions.

    Args:
        model: What `preparation.prepare_model` made, not wrapped; left in the mode in which it was.
        prompts: Token ids.
        max_new_tokens: Where a continuation is cut off.
        stop_ids: Tokens that end one.
        batch_size: Prompts at a time.

    Returns:
        Token ids; the last one is of `stop_ids` where a continuation ended by itself.
    """
    pad, stops = min(stop_ids, default=0), set(stop_ids)
    choices = GenerationConfig(
        max_new_tokens=max_new_tokens, min_new_tokens=0, do_sample=False, num_beams=1, repetition_penalty=1.0,
        no_repeat_ngram_size=0, temperature=1.0, top_p=1.0, top_k=50, use_cache=True,
        eos_token_id=sorted(stops) or None, pad_token_id=pad,
    )  # fmt: skip
    compute, training = model.logp_dtype, model.training
    model.eval()
    try:
        result = []
        for begin in range(0, len(prompts), batch_size):
            batch = [torch.tensor(prompt, device=model.device) for prompt in prompts[begin : begin + batch_size]]
            ids = torch.nn.utils.rnn.pad_sequence(batch, batch_first=True, padding_value=pad, padding_side="left")
            lengths = torch.tensor([len(prompt) for prompt in batch], device=model.device)
            mask = (torch.arange(ids.shape[1], device=model.device) >= ids.shape[1] - lengths[:, None]).long()
            with torch.autocast(model.device.type, dtype=compute, enabled=compute != torch.float32):
                found = model.generate(input_ids=ids, attention_mask=mask, generation_config=choices)
            result += [_ended(row, stops) for row in found[:, ids.shape[1] :].tolist()]
        return result
    finally:
        model.train(training)


def _ended(ids: list[int], stops: set[int]) -> list[int]:
    """`ids` up to the first of `stops`; what follows is padding."""
    end = next((i for i, token in enumerate(ids) if token in stops), len(ids))
    return ids[: end + 1]
