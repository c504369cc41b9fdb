"""Sampling with vLLM, on GPUs; an optional dependency that is imported only when an engine is built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from factalign.generation.engines import EngineError, Generation, Message, Sampling, as_messages
from factalign.policies import PolicyHandle, load_policy


class VLLMEngine:
    """vLLM in this process.

    Adapters are merged into a temporary folder first, which lives as long as the engine: vLLM's own adapter
    support is slower.

    Args:
        handle: The policy.
        dtype: Of the weights.
        options: Further arguments of `vllm.LLM`, such as `tensor_parallel_size` or `gpu_memory_utilization`.

    Raises:
        EngineError: vLLM is not installed.
    """

    def __init__(self, handle: PolicyHandle, dtype: str = "bfloat16", **options: Any) -> None:
        try:
            import vllm
        except ImportError as error:
            raise EngineError(
                f"the engine 'vllm' needs vLLM, which cannot be imported ({error}): "
                f"pip install 'factalign[vllm]', or choose the engine 'transformers'"
            ) from error
        model, revision = handle["model"], handle.get("revision")
        if handle["adapters"]:
            self._merged = TemporaryDirectory(prefix="factalign-merged-")
            model, revision = str(_save_merged(handle, dtype, Path(self._merged.name))), None
        self._sampling_params = vllm.SamplingParams
        self._llm = vllm.LLM(model=model, revision=revision, dtype=dtype, trust_remote_code=False, **options)

    def generate(self, conversations: Sequence[Sequence[Message]], sampling: Sampling) -> list[list[Generation]]:
        """See `Engine.generate`; vLLM schedules by itself, so `batch_size` has no effect."""
        if not conversations:
            return []
        # vLLM numbers the samples of a request from its seed, so requests lie `samples` apart.
        parameters = [
            self._sampling_params(
                n=sampling.samples,
                temperature=sampling.temperature,
                top_k=sampling.top_k,
                top_p=sampling.top_p,
                max_tokens=sampling.max_new_tokens,
                seed=sampling.seed + index * sampling.samples,
            )
            for index in range(len(conversations))
        ]
        requests = self._llm.chat([as_messages(conversation) for conversation in conversations], parameters)
        return [
            [_generation(output, len(request.prompt_token_ids or ())) for output in request.outputs]
            for request in requests
        ]


def _generation(output: Any, prompt_tokens: int) -> Generation:
    if output.finish_reason not in ("stop", "length"):
        raise EngineError(f"vLLM ended a response with the reason {output.finish_reason!r}")
    stopped = output.finish_reason == "stop"
    return Generation(output.text, output.finish_reason, max(len(output.token_ids) - stopped, 0), prompt_tokens)


def _save_merged(handle: PolicyHandle, dtype: str, folder: Path) -> Path:
    model, tokenizer = load_policy(handle, dtype)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
