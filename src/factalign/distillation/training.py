"""A small cross-encoder trained on synthetic claims."""

from __future__ import annotations

import json
import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.nn.utils.rnn import pad_sequence
from tqdm import tqdm
from transformers import AutoModelForSequenceClassification, AutoTokenizer, get_linear_schedule_with_warmup

from factalign.base.batching import batches_by_length
from factalign.base.reliability import expected_calibration_error
from factalign.corpora import GENERAL_AIDS, ReadingAids
from factalign.distillation.config import DistillationConfig
from factalign.distillation.grounding import IGNORED, GroundingHead, grounding_targets
from factalign.distillation.synthesis import synthesise_claims
from factalign.retrieval.encoder import BUNDLED, bundled_folder
from factalign.verifiers.entailment.calibration import Calibration, fit_calibration
from factalign.verifiers.entailment.classifiers import best_device, best_dtype
from factalign.verifiers.entailment.verifier import EntailmentVerifier

logger = logging.getLogger(__name__)

MAX_TOKENS = 256
LABELS = {0: "not_supported", 1: "supported"}


def distil(
    passages: pd.DataFrame, output_dir: str | Path, config: DistillationConfig, aids: ReadingAids = GENERAL_AIDS
) -> dict[str, Any]:
    """Make claims of `passages` as in `synthesise_claims` and train a verifier on them.

    Returns:
        What `train_verifier` does.
    """
    return train_verifier(synthesise_claims(passages, config, aids), output_dir, config)


def train_verifier(claims: pd.DataFrame, output_dir: str | Path, config: DistillationConfig) -> dict[str, Any]:
    """Train on the claims of split `train`, calibrate on those of `held_out`, and write a folder for
    `load_verifier("distilled", path=output_dir)`.

    Args:
        claims: A `schemas.SyntheticClaims` table.
        output_dir: Gets weights, tokenizer, configuration, `calibration.json` and `result.json`.
        config: What to start from, and how to train.

    Returns:
        The content of `result.json`: sizes, the last training loss, and on held-out claims the balanced
        accuracy, the expected calibration error and the accuracy by kind of claim.

    Raises:
        ValueError: No such base model, or a split lacks a label.
    """
    torch.manual_seed(config.seed)
    folder = bundled_folder() if config.base_model == BUNDLED else config.base_model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, use_safetensors=True, dtype=torch.float32, id2label=LABELS, label2id={v: k for k, v in LABELS.items()}
    )
    model.config.claim_first = True
    model.get_input_embeddings().requires_grad_(False)  # rare words keep what they meant before
    train = claims[claims["split"] == "train"]
    loss = _train(model, tokenizer, train, config)
    Path(output_dir).mkdir(parents=True, exist_ok=True)
    model.save_pretrained(output_dir)
    tokenizer.save_pretrained(output_dir)
    result = {"train_claims": len(train), "loss": loss, **_calibrate(output_dir, claims[claims["split"] == "held_out"])}
    (Path(output_dir) / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    logger.info("distilled verifier: balanced accuracy %.3f on held-out synthetic claims", result["balanced_accuracy"])
    return result


def _train(model: Any, tokenizer: Any, claims: pd.DataFrame, config: DistillationConfig) -> float:
    """Mean loss over the last tenth of the steps. A claim is shown with the evidence that decides it."""
    rows = list(zip(claims["text"], (e[0] for e in claims["evidence"]), claims["label"] == "supported", strict=True))
    texts, shown = [row[0] for row in rows], [row[1] for row in rows]
    encoded = tokenizer(texts, shown, truncation="longest_first", max_length=MAX_TOKENS, return_offsets_mapping=True)
    targets = [torch.tensor(grounding_targets(encoded, number, *row)) for number, row in enumerate(rows)]
    labels = torch.tensor([int(row[2]) for row in rows])
    del encoded["offset_mapping"]
    device = torch.device(best_device())
    head = GroundingHead(model.config.hidden_size).to(device)
    model.to(device).train()
    lengths = np.array([len(ids) for ids in encoded["input_ids"]])
    batches = [batch for epoch in range(config.epochs) for batch in _batches(lengths, config, epoch)]
    weights = [parameter for module in (model, head) for parameter in module.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=0.01)
    schedule = get_linear_schedule_with_warmup(optimizer, len(batches) // 10, len(batches))
    losses = []
    with tqdm(batches, desc="training the verifier", unit="step", mininterval=5) as bar:
        for chosen in bar:
            columns = {key: [values[row] for row in chosen] for key, values in encoded.items()}
            batch = tokenizer.pad(columns, return_tensors="pt").to(device)
            with torch.autocast(device.type, torch.bfloat16, enabled=best_dtype(device) == torch.bfloat16):
                output = model(**batch, output_hidden_states=True)
            loss = torch.nn.functional.cross_entropy(output.logits.float(), labels[chosen].to(device))
            words = pad_sequence([targets[row] for row in chosen], batch_first=True, padding_value=IGNORED)
            total = loss + head.loss(output.hidden_states, words.to(device))
            total.backward()
            torch.nn.utils.clip_grad_norm_(weights, 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad(set_to_none=True)
            losses.append(loss.item())
            bar.set_postfix(
                loss=f"{np.mean(losses[-20:]):.3f}", words=f"{total.item() - losses[-1]:.3f}", refresh=False
            )
    model.eval()
    return float(np.mean(losses[-max(1, len(losses) // 10) :]))


def _batches(lengths: np.ndarray, config: DistillationConfig, epoch: int) -> list[list[int]]:
    """Batches of an epoch in a random order."""
    rng = np.random.default_rng((config.seed, epoch))
    noisy = lengths + rng.integers(0, 8, size=len(lengths))  # other neighbours in each epoch
    batches = list(batches_by_length(noisy.tolist(), config.batch_tokens, padded=True))
    random.Random(config.seed + epoch).shuffle(batches)
    return batches


def _calibrate(folder: str | Path, claims: pd.DataFrame) -> dict[str, Any]:
    """Fit the calibration as the verifier is used: all evidence of a claim at once."""
    Calibration().save(folder)
    verifier = EntailmentVerifier(folder)
    pairs = [(claim, list(evidence)) for claim, evidence in zip(claims["text"], claims["evidence"], strict=True)]
    logits = np.array([logit for logit, _ in verifier.logits(pairs)])
    supported = (claims["label"] == "supported").to_numpy()
    readable = np.isfinite(logits)
    calibration = fit_calibration(logits[readable], supported[readable])
    calibration.save(folder)
    probability = calibration.probability(logits)
    found = probability >= calibration.threshold
    right = found == supported
    kinds = claims["kind"].to_numpy(dtype=object)
    return {
        "held_out_claims": len(claims),
        "balanced_accuracy": float((right[supported].mean() + right[~supported].mean()) / 2),
        "ece": expected_calibration_error(np.where(found, probability, 1 - probability), right),
        "accuracy_by_kind": {kind: float(right[kinds == kind].mean()) for kind in sorted(set(kinds))},
    }
