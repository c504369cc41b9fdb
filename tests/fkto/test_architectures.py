"""No architecture of transformers trains on wrong log-probabilities: each is right packed, right padded, or refused."""

from __future__ import annotations

import pytest

from tests.benchmarks.architectures import ARCHITECTURES, RIGHT, Result, examine, page

PACKED = {"cohere", "gemma2", "gemma3_text", "gpt_oss", "gpt2", "granite", "llama", "mistral", "olmo2", "phi", "qwen2",
          "qwen3", "qwen3_moe"}  # fmt: skip
PADDED = {"bloom", "falcon", "falcon_h1", "lfm2", "mamba2", "nemotron", "nemotron_h", "stablelm"}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_right_or_refused(name: str) -> None:
    result = examine(name)
    assert result.largest is None or result.largest < RIGHT, result
    assert (result.largest is None) == bool(result.reason)
    if name in PACKED | PADDED:
        assert result.layout == ("packed" if name in PACKED else "padded"), result


def test_the_page_has_a_line_for_each_and_counts_them() -> None:
    results = [Result("llama", "packed", 1e-7), Result("odd", "refused", reason="a | b")]
    text = page(results)
    assert "1 packed, 0 padded, 1 refused, 0 skipped" in text
    assert "| llama | packed | 1.0e-07 |  |" in text and "| odd | refused |  | a \\| b |" in text
