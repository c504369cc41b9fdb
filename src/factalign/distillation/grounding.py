"""Which words of a claim its evidence bears out: a label for every word teaches a small model to compare texts
with far fewer claims than one label for each claim.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from factalign.base.text import WORD, stem, stems

IGNORED = -1.0


class GroundingHead(torch.nn.Module):
    """Tells for each token of the claim whether the evidence bears it out; used while training, then dropped.

    It reads the layer before the last, so that the last one can gather what it tells into the verdict.

    Args:
        hidden_size: Of the encoder.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(hidden_size, 1)

    def loss(self, hidden_states: tuple[torch.Tensor, ...], targets: torch.Tensor) -> torch.Tensor:
        """Mean binary cross-entropy over labelled tokens; 0 if there are none.

        Args:
            hidden_states: Of all layers, [rows, tokens, hidden_size] each.
            targets: [rows, tokens]: 1 borne out, 0 not, `IGNORED` no label.
        """
        labelled = targets != IGNORED
        logits = self.linear(hidden_states[-2].float()).squeeze(-1)
        total = binary_cross_entropy_with_logits(logits[labelled], targets[labelled], reduction="sum")
        return total / labelled.sum().clamp(min=1)


def grounding_targets(encoding: Any, row: int, claim: str, evidence: str, supported: bool) -> list[float]:
    """The target of each token of one (claim, evidence) pair; the claim comes first.

    All words of a supported claim are borne out. Of another, those that the evidence has not are not; what
    the rest are nobody knows.
    """
    known = set() if supported else set(stems(evidence))
    wrong = [m.span() for m in WORD.finditer(claim) if not supported and stem(m.group()) not in known]
    targets = [IGNORED] * len(encoding["input_ids"][row])
    spans = zip(encoding.sequence_ids(row), encoding["offset_mapping"][row], strict=True)
    for position, (sequence, (start, end)) in enumerate(spans):
        if sequence == 0 and supported:
            targets[position] = 1.0
        elif sequence == 0 and any(low < end and start < high for low, high in wrong):
            targets[position] = 0.0
    return targets
