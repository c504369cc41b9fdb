"""A verifier of one's own corpus: synthetic claims, a small cross-encoder trained on them, its calibration."""

from __future__ import annotations

from factalign.lazy import lazy_exports

_EXPORTS = {
    "DistillationConfig": "config",
    "distil": "training",
    "train_verifier": "training",
    "passages_from_evidence": "synthesis",
    "synthesise_claims": "synthesis",
}
__all__ = ["DistillationConfig", "distil", "passages_from_evidence", "synthesise_claims", "train_verifier"]

__getattr__ = lazy_exports(__name__, _EXPORTS)
