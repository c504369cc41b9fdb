"""Batched decoding: the token loop, the choice of the next token, the key-value cache.

Made for speed on CPUs without giving up generality: the model's own forward runs every step. What is saved
lies around it: prompts are read once for all their samples, tokens are drawn with one uniform number a row
instead of one exponential a logit, finished rows leave the batch, and attention reads contiguous keys and
values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import AttentionInterface, AttentionMaskInterface, DynamicCache, PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from factalign.generation.engines import Sampling

_GROUPED = "factalign_grouped"
_CACHE_STEP = 32
_DROP_FRACTION = 1 / 8


def candidate_distribution(logits: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor | None]:
    """The distribution that temperature, then top-k, then top-p leave of `logits` [rows, vocabulary].

    The same as `transformers`' warpers in this order, but that of equal logits at rank k exactly k stay.

    Returns:
        Probabilities [rows, candidates] and the candidates' token ids of the same shape, most probable
        first; or, where nothing restricts the candidates, probabilities over the vocabulary and None.
    """
    logits = logits.float()
    vocabulary, top_k, top_p = logits.shape[-1], sampling.top_k, sampling.top_p
    if not 0 < top_k < vocabulary and top_p == 1.0:
        return _softmax(logits, logits.amax(-1, keepdim=True), sampling.temperature), None
    values, token_ids = logits.topk(top_k if 0 < top_k < vocabulary else vocabulary)
    probabilities = _softmax(values, values[:, :1], sampling.temperature)
    if top_p < 1.0:
        before = probabilities.cumsum(-1) - probabilities
        outside = before >= top_p
        outside[:, 0] = False
        probabilities = probabilities.masked_fill(outside, 0.0)
        probabilities /= probabilities.sum(-1, keepdim=True)
    return probabilities, token_ids


def _softmax(logits: Tensor, largest: Tensor, temperature: float) -> Tensor:
    """Tempered softmax; the largest logit goes first, or a tiny temperature would overflow."""
    return ((logits - largest) / temperature).softmax(-1)


def draw(probabilities: Tensor, uniform: Tensor) -> Tensor:
    """Inverse-CDF sampling: indices [rows] from `probabilities` [rows, n] and `uniform` [rows] in [0, 1).

    An entry of probability zero is never drawn.

    Raises:
        FloatingPointError: A probability is not a number.
    """
    cumulative = probabilities.cumsum(-1)
    total = cumulative[:, -1:]
    if not total.isfinite().all():
        raise FloatingPointError("the model's logits are not finite: its weights or its dtype are not usable")
    threshold = torch.minimum(uniform[:, None] * total, torch.nextafter(total, torch.zeros_like(total)))
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(-1)


def next_tokens(logits: Tensor, uniform: Tensor, sampling: Sampling) -> Tensor:
    """Token ids [rows] chosen from `logits` [rows, vocabulary]; a temperature of 0 takes the largest logit."""
    if sampling.temperature == 0:
        return logits.float().argmax(-1)
    probabilities, token_ids = candidate_distribution(logits, sampling)
    drawn = draw(probabilities, uniform)
    return drawn if token_ids is None else token_ids.gather(1, drawn[:, None]).squeeze(1)


class RoomyLayer(DynamicLayer):
    """A cache layer that grows by `_CACHE_STEP` positions at a time and hands out its contiguous buffer.

    Appending copies one position instead of all of them; the attention mask hides those not yet written.
    """

    def __init__(self) -> None:
        super().__init__()
        self.keys: Tensor | None = None
        self.values: Tensor | None = None
        self.length = 0

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Append states [rows, heads, new, dim]; return the buffers [rows, heads, room, dim].

        The first states come back as they are: a prompt is read without spare positions.
        """
        start, self.length = self.length, self.length + key_states.shape[-2]
        keys, values = self.keys, self.values
        if keys is None or values is None:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            keys, values = key_states[..., :0, :], value_states[..., :0, :]
        if self.length > keys.shape[-2]:
            room = self.room(self.length)
            keys, values = _padded(keys, room), _padded(values, room)
        keys[..., start : self.length, :] = key_states
        values[..., start : self.length, :] = value_states
        self.keys, self.values = keys, values
        return (keys, values) if start else (key_states, value_states)

    @staticmethod
    def room(length: int) -> int:
        """Positions in the buffers when `length` of them are used."""
        return -(-length // _CACHE_STEP) * _CACHE_STEP

    def get_seq_length(self) -> int:
        """Positions written so far."""
        return self.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length of what `update` will return for `query_length` more positions, and its offset."""
        return (self.room(self.length + query_length) if self.length else query_length), 0


def _padded(states: Tensor, room: int) -> Tensor:
    """`states` [rows, heads, length, dim], then zeros (NaN would pass through a mask) up to `room`."""
    return torch.nn.functional.pad(states, (0, 0, 0, room - states.shape[-2]))


def grouped_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """Attention of one new position per row, heads that share a key grouped into one matrix product.

    On CPUs 2-3 times as fast as `scaled_dot_product_attention`, to which every other shape goes.

    Shapes:
        query [rows, heads, 1, dim], key and value [rows, key heads, length, dim] to [rows, 1, heads, dim].
    """
    unusual = any(kwargs.get(name) is not None for name in ("softcap", "position_bias", "s_aux", "cache"))
    shared_mask = attention_mask is None or attention_mask.shape[1] == 1
    if query.shape[2] != 1 or unusual or not shared_mask:
        return sdpa_attention_forward(module, query, key, value, attention_mask, **kwargs)
    rows, heads, _, dim = query.shape
    scaling = kwargs.get("scaling") or dim**-0.5
    scores = (query.reshape(rows, key.shape[1], -1, dim) @ key.transpose(2, 3)).float() * scaling
    if attention_mask is not None:
        scores = scores.masked_fill(~attention_mask, float("-inf"))
    weights = scores.softmax(-1).to(query.dtype)
    return (weights @ value).reshape(rows, 1, heads, value.shape[-1]), None


AttentionInterface.register(_GROUPED, grouped_attention)
AttentionMaskInterface.register(_GROUPED, sdpa_mask)


def speed_up(model: PreTrainedModel) -> None:
    """Let `model` decode with `grouped_attention` where that is faster: on a CPU, in place of SDPA."""
    if model.device.type == "cpu" and model.config._attn_implementation == "sdpa":
        model.set_attn_implementation(_GROUPED)


def _new_cache(model: PreTrainedModel) -> Cache:
    """The model's own kind of cache; where all its layers see everything, one of `RoomyLayer`s."""
    cache = DynamicCache(config=model.config)
    if all(type(layer) is DynamicLayer for layer in cache.layers):
        cache.layers = [RoomyLayer() for _ in cache.layers]
    return cache


def _mask_length(cache: Cache, known: int, new: int) -> int:
    """Positions that a forward pass's mask describes: `known` in all, `new` among them, and spare ones."""
    layer = cache.layers[0]
    return layer.get_mask_sizes(new)[0] if isinstance(layer, RoomyLayer) else known


@torch.inference_mode()
def decode_batch(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    uniforms: Tensor,
    sampling: Sampling,
    *,
    stop_ids: Tensor,
    on_progress: Callable[[int, int], None] = lambda finished, tokens: None,
) -> list[list[int]]:
    """Continue every row of `prompts` (token ids) until a stop token or `uniforms.shape[1]` new tokens.

    Args:
        model: A causal language model.
        prompts: One a row; equal prompts are read once.
        uniforms: Random numbers [rows, max_new_tokens] in [0, 1).
        sampling: Its temperature, top-k and top-p: see `next_tokens`.
        stop_ids: Tokens that end a row, 1-D.
        on_progress: Called after every step with the rows that finished in it and the tokens it made.

    Returns:
        The new token ids of every row; the stop token is the last one where the row reached one.
    """
    device, max_new_tokens = model.device, uniforms.shape[1]
    unique = {prompt: index for index, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    width = max(map(len, unique))
    cache = _new_cache(model)
    mask = torch.zeros(len(unique), RoomyLayer.room(width + max_new_tokens), dtype=torch.long, device=device)
    input_ids = torch.zeros(len(unique), width, dtype=torch.long, device=device)
    for prompt, index in unique.items():
        input_ids[index, width - len(prompt) :] = torch.tensor(prompt, device=device)
        mask[index, width - len(prompt) : width] = 1

    def forward(tokens: Tensor, positions: Tensor, known: int) -> Tensor:
        output = model(
            input_ids=tokens,
            attention_mask=mask[:, : _mask_length(cache, known, tokens.shape[1])],
            position_ids=positions,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        last: Tensor = output.logits[:, -1]
        return last

    logits = forward(input_ids, (mask[:, :width].cumsum(-1) - 1).clamp(min=0), width)
    spread = torch.tensor([unique[tuple(prompt)] for prompt in prompts], device=device)
    cache.batch_select_indices(spread)
    logits, mask = logits[spread], mask[spread]

    uniforms = uniforms.to(device)
    tokens = torch.zeros(len(prompts), max_new_tokens, dtype=torch.long, device=device)
    lengths = torch.full((len(prompts),), max_new_tokens, device=device)
    rows = torch.arange(len(prompts), device=device)
    done = torch.zeros(len(prompts), dtype=torch.bool, device=device)
    running = len(prompts)
    for step in range(max_new_tokens):
        chosen = next_tokens(logits, uniforms[rows, step], sampling)
        tokens[rows, step] = chosen
        ends = torch.isin(chosen, stop_ids) & ~done
        lengths[rows[ends]] = step + 1
        done |= ends
        before, running = running, int((~done).sum())
        is_last = step + 1 == max_new_tokens
        on_progress(before if is_last else before - running, before)
        if is_last or running == 0:
            break
        if len(rows) - running >= _DROP_FRACTION * len(rows):
            keep = (~done).nonzero().squeeze(1)
            cache.batch_select_indices(keep)
            rows, chosen, mask, done = rows[keep], chosen[keep], mask[keep], done[keep]
        mask[:, width + step] = 1
        logits = forward(chosen[:, None], mask.sum(-1, keepdim=True) - 1, width + step + 1)
    return [row[:length] for row, length in zip(tokens.tolist(), lengths.tolist(), strict=True)]
