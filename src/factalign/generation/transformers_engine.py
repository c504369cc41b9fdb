"""Sampling with `transformers`, in this process."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from tqdm import tqdm

from factalign.generation.decoding import decode_batch, speed_up
from factalign.generation.engines import Generation, Message, Sampling, as_messages
from factalign.policies import PolicyHandle, load_policy


class TransformersEngine:
    """Batched generation with a `transformers` model.

    Args:
        handle: The policy; its adapters are merged before sampling.
        dtype: Of the weights.
        device: As PyTorch names it; the GPU if there is one by default.
    """

    def __init__(self, handle: PolicyHandle, dtype: str = "bfloat16", device: str | None = None) -> None:
        self.model, self.tokenizer = load_policy(handle, dtype)
        self.model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        speed_up(self.model)
        if self.tokenizer.chat_template is None:
            raise ValueError(
                f"policy {handle['policy_id']!r} ({handle['model']}) has no chat template: choose a model that was "
                f"tuned on conversations, or save a chat_template.jinja beside its tokenizer"
            )

    def generate(self, conversations: Sequence[Sequence[Message]], sampling: Sampling) -> list[list[Generation]]:
        """See `Engine.generate`.

        The random numbers of a response depend on the seed, its place and `max_new_tokens` only, never on its
        batch; in bfloat16 the logits still vary with the batch's shape, so a result repeats exactly only
        with the same `batch_size`.

        Raises:
            ValueError: A prompt and `max_new_tokens` do not fit into the model's context.
        """
        prompts = [self._encode(conversation) for conversation in conversations]
        self._check_lengths(prompts, sampling.max_new_tokens)
        samples, generator = sampling.samples, torch.Generator().manual_seed(sampling.seed)
        uniforms = torch.rand(len(prompts) * samples, sampling.max_new_tokens, generator=generator)
        # Longest first: where memory does not suffice, it shows in the first batch.
        rows = sorted(range(len(uniforms)), key=lambda row: (-len(prompts[row // samples]), row))
        stop_ids = torch.tensor(sorted(self._stop_ids()), dtype=torch.long, device=self.model.device)
        results: dict[int, Generation] = {}
        with tqdm(total=len(rows), unit="response", desc="sampling", mininterval=1) as bar:
            made = 0

            def on_progress(finished: int, new: int) -> None:
                nonlocal made
                made += new
                bar.set_postfix_str(f"{made / max(bar.format_dict['elapsed'], 1e-9):.0f} tokens/s", refresh=False)
                bar.update(finished)

            for start in range(0, len(rows), sampling.batch_size):
                batch = rows[start : start + sampling.batch_size]
                continuations = decode_batch(
                    self.model,
                    [prompts[row // samples] for row in batch],
                    uniforms[batch],
                    sampling,
                    stop_ids=stop_ids,
                    on_progress=on_progress,
                )
                for row, token_ids in zip(batch, continuations, strict=True):
                    results[row] = self._decode(token_ids, len(prompts[row // samples]))
        return [[results[prompt * samples + sample] for sample in range(samples)] for prompt in range(len(prompts))]

    def _encode(self, conversation: Sequence[Message]) -> list[int]:
        encoding = self.tokenizer.apply_chat_template(
            as_messages(conversation), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        return list(encoding["input_ids"])

    def _decode(self, token_ids: list[int], prompt_tokens: int = 0) -> Generation:
        stopped = token_ids[-1] in self._stop_ids()
        kept = token_ids[:-1] if stopped else token_ids
        text = self.tokenizer.decode(kept, skip_special_tokens=True)
        return Generation(text, "stop" if stopped else "length", len(kept), prompt_tokens)

    def _stop_ids(self) -> set[int]:
        """What ends a response by the model's generation config, and the tokenizer's end of a turn."""
        declared = self.model.generation_config.eos_token_id
        ids = {declared} if isinstance(declared, int) else set(declared or ())
        return ids | {self.tokenizer.eos_token_id} - {None}

    def _check_lengths(self, prompts: Sequence[Sequence[int]], max_new_tokens: int) -> None:
        context = getattr(self.model.config, "max_position_embeddings", None)
        for index, prompt in enumerate(prompts):
            if context is not None and len(prompt) + max_new_tokens > context:
                raise ValueError(
                    f"conversation {index} has {len(prompt)} tokens; with max_new_tokens={max_new_tokens} it "
                    f"exceeds the model's context of {context} tokens: shorten the prompt or lower "
                    f"max_new_tokens"
                )
