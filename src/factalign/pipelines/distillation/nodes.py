"""Nodes of the distillation pipeline."""

from __future__ import annotations

import logging

from factalign.base.heavy import pd
from factalign.base.registry import Choice
from factalign.distillation import DistillationConfig
from factalign.pipelines.staging import staging_folder

logger = logging.getLogger(__name__)


def make_claims(passages: pd.DataFrame, distillation: DistillationConfig, corpus: Choice) -> pd.DataFrame:
    """Labelled claims, made of the passages by rule."""
    from factalign.corpora import CORPORA
    from factalign.distillation import synthesise_claims

    claims = synthesise_claims(passages, distillation, CORPORA.build(corpus).aids)
    for count in claims.groupby(["split", "label"]).size().reset_index(name="claims").itertuples():
        logger.info("%d synthetic claims are %s (%s)", count.claims, count.label, count.split)
    return claims


def train_verifier(claims: pd.DataFrame, distillation: DistillationConfig, staging_dir: str) -> str:
    """Train and calibrate the verifier in a folder to publish."""
    from factalign import distillation as library

    folder = staging_folder(staging_dir, "verifier")
    library.train_verifier(claims, folder, distillation)
    return folder
