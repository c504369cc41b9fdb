"""The entailment verifier: a sequence classifier reads each claim against each piece of evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from functools import cached_property, lru_cache
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import torch

from factalign.base.batching import batches_by_length
from factalign.base.ids import content_hash
from factalign.base.text import split_sentences, well_formed, with_topic
from factalign.verifiers import Pair, Passage, Verdict
from factalign.verifiers.entailment.calibration import load_calibration
from factalign.verifiers.entailment.classifiers import Classifier, supported_index
from factalign.verifiers.entailment.windows import cut_windows, most_alike

VERSION = 2
SPECIAL_TOKENS = 4  # the most that a tokenizer puts around and between two texts


class EntailmentVerifier:
    """Judges by the piece of evidence that supports the claim most, as MiniCheck does (Tang et al. 2024).

    A passage longer than a window is read in windows of whole sentences. A claim is `supported` if the
    largest calibrated P(supported) over all windows reaches the threshold, else `not_supported`; without
    evidence, or if it is too long to be read whole, it is `not_supported`. `irrelevant` is never said.
    A claim of several sentences is worth what its weakest sentence is, so that nothing said after a false
    sentence can lift it; and a sentence without a word in common with a window is not supported by it.

    Making one reads the configuration and the calibration; the weights are loaded when the first claim is judged.

    Args:
        model: Folder or hub name of a classifier of (evidence, claim) or (claim, evidence) pairs, in
            safetensors. `calibration.json` in the folder is read.
        supported_label: The label that means "supported", where the model's names do not tell.
        claim_first: Whether the claim goes before its evidence; by default only where the folder's
            `config.json` says so (`"claim_first": true`).
        threshold: P(supported) from which a claim is supported; by default that of the calibration, else 0.5.
        temperature: Divides logits; by default what the calibration says, else 1.
        window_tokens: Length of evidence windows.
        max_windows: How many windows are read for a claim: those that share most words with it.
        batch_tokens: Tokens per forward pass, padding included.
        dtype: Of the weights: `"auto"` is bfloat16 where the device multiplies it fast, else float32.
        device: Of PyTorch; `"auto"` is a GPU where there is one.
        revision: Of a hub model.

    Raises:
        ValueError: No such model, one that is no classifier, or labels that name no support. The first claim raises
            it for weights that cannot be read or have no trained head.
    """

    def __init__(
        self,
        model: str | Path,
        *,
        supported_label: str | None = None,
        claim_first: bool | None = None,
        threshold: float | None = None,
        temperature: float | None = None,
        window_tokens: int = 128,
        max_windows: int = 8,
        batch_tokens: int = 4096,
        dtype: str = "auto",
        device: str = "auto",
        revision: str | None = None,
    ) -> None:
        self._classifier = Classifier(str(model), revision, dtype, device)
        config = self._classifier.config
        self._supported = supported_index(config.id2label, supported_label, model)
        self._claim_first = bool(getattr(config, "claim_first", False)) if claim_first is None else claim_first
        calibration = load_calibration(model)
        if temperature is not None:
            calibration = replace(calibration, scale=1 / temperature if temperature else 0.0, offset=0.0)
        if threshold is not None:
            calibration = replace(calibration, threshold=threshold)
        self.calibration = calibration
        self._window_tokens, self._max_windows, self._batch_tokens = window_tokens, max_windows, batch_tokens
        longest = getattr(config, "max_position_embeddings", 512)
        self._claim_tokens = min(longest, 512) - window_tokens - SPECIAL_TOKENS
        if self._claim_tokens < window_tokens // 4 or max_windows < 1:
            raise ValueError(
                f"{model}: it reads {longest} tokens, too few for windows of {window_tokens} beside a claim "
                f"(window_tokens), or max_windows is below 1"
            )
        self._cut = lru_cache(maxsize=50_000)(self._cut_text)

    @cached_property
    def verifier_id(self) -> str:
        """See `Verifier.verifier_id`: names the model, and a hash of its files and the settings."""
        settings = (
            self._supported,
            self._claim_first,
            asdict(self.calibration),
            self._window_tokens,
            self._max_windows,
        )
        digest = content_hash(self._classifier.fingerprint, settings)[:12]
        return f"entailment-{VERSION}-{Path(self._classifier.name).name}-{digest}"

    def verify(self, pairs: Sequence[Pair]) -> list[Verdict]:
        """See `Verifier.verify`. Pairs are read in batches of equal length; texts that recur are read once."""
        verdicts = []
        for probability, index in self.probabilities(pairs):
            supported = probability >= self.calibration.threshold
            confidence = probability if supported else 1 - probability
            verdicts.append(Verdict("supported" if supported else "not_supported", round(confidence, 4), index))
        return verdicts

    def probabilities(self, pairs: Sequence[Pair]) -> list[tuple[float, int | None]]:
        """For each pair the calibrated P(supported), and the position of the evidence that decided it."""
        found = self.logits(pairs)
        values = self.calibration.probability(np.array([logit for logit, _ in found]))
        return [(float(value), index) for value, (_, index) in zip(values, found, strict=True)]

    def logits(self, pairs: Sequence[Pair]) -> list[tuple[float, int | None]]:
        """For each pair the largest logit of "supported" over its windows, that of its weakest sentence, -inf
        where nothing could be read; and the position of that window's evidence.
        """
        units = [
            [list(self._units(sentence, evidence)) for sentence in self._sentences(claim)] for claim, evidence in pairs
        ]
        every = (text for sentences in units for row in sentences for text, _ in row)
        texts = {text: number for number, text in enumerate(dict.fromkeys(every))}
        scores = self._score(list(texts))
        nothing: tuple[float, int | None] = (float("-inf"), None)

        def strongest(row: list[tuple[tuple[str, str], int]]) -> tuple[float, int | None]:
            return max(((float(scores[texts[text]]), index) for text, index in row), key=itemgetter(0), default=nothing)

        return [min(map(strongest, sentences), key=itemgetter(0), default=nothing) for sentences in units]

    def _sentences(self, claim: str) -> list[str]:
        """What a claim says, sentence by sentence; nothing if it is too long to be read whole."""
        claim = well_formed(claim[: 20 * self._claim_tokens + 1])  # more than can be read; keeps this linear
        tokens = self._classifier.tokenizer(claim, add_special_tokens=False, verbose=False)["input_ids"]
        if len(tokens) > self._claim_tokens:
            return []
        return [claim[start:end] for start, end in split_sentences(claim)]

    def _units(self, sentence: str, evidence: Sequence[str | Passage]) -> Iterator[tuple[tuple[str, str], int]]:
        """(sentence, window) to read, and the position of each window's evidence."""
        cut = [(window, index) for index, item in enumerate(evidence) for window in self._cut(_text(item))]
        for position in most_alike(sentence, [window for window, _ in cut], self._max_windows):
            window, index = cut[position]
            yield (sentence, window), index

    def _cut_text(self, text: str) -> tuple[str, ...]:
        return tuple(cut_windows(text, self._classifier.tokenizer, self._window_tokens))

    def _score(self, texts: list[tuple[str, str]]) -> np.ndarray:
        """Logit of "supported" against all other labels for each (claim, window)."""
        tokenizer, network = self._classifier.tokenizer, self._classifier.network
        scores = np.zeros(len(texts))
        if not texts:
            return scores
        first, second = zip(*(pair if self._claim_first else pair[::-1] for pair in texts), strict=True)
        encoded = tokenizer(list(first), list(second), verbose=False)
        lengths = [len(ids) for ids in encoded["input_ids"]]
        for rows in batches_by_length(lengths, self._batch_tokens, padded=True):
            columns = {key: [values[row] for row in rows] for key, values in encoded.items()}
            batch = tokenizer.pad(columns, return_tensors="pt").to(self._classifier.device)
            with torch.inference_mode():
                logits = network(**batch).logits.float()
                others = torch.cat([logits[:, : self._supported], logits[:, self._supported + 1 :]], dim=1)
                scores[rows] = (logits[:, self._supported] - others.logsumexp(dim=1)).cpu().numpy()
        return scores


def load_distilled(path: str | Path, **options: Any) -> EntailmentVerifier:
    """The verifier that `train_verifier` of distillation wrote to `path`; options as those of `EntailmentVerifier`."""
    return EntailmentVerifier(path, **options)


def _text(item: str | Passage) -> str:
    return well_formed(item if isinstance(item, str) else with_topic(item.text, item.title))
