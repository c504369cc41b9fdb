"""Nodes of the knowledge pipeline."""

from __future__ import annotations

import logging

from factalign.base.heavy import pd
from factalign.base.registry import Choice
from factalign.corpora import PromptConfig
from factalign.parameters import BenchmarkConfig, RetrieverConfig
from factalign.pipelines.staging import staging_folder

logger = logging.getLogger(__name__)


def read_corpus(corpus: Choice) -> pd.DataFrame:
    """The passages of the chosen corpus."""
    from factalign.corpora import read_passages

    passages = read_passages(corpus)
    logger.info("%d passages about %d topics", len(passages), passages["title"].nunique())
    return passages


def index_passages(passages: pd.DataFrame, retriever: RetrieverConfig, staging_dir: str) -> str:
    """Build the index of the chosen retriever in a folder to publish."""
    from factalign.retrieval import RETRIEVERS

    folder = staging_folder(staging_dir, "index")
    RETRIEVERS.build(retriever).build(passages, folder)
    return folder


def write_prompts(passages: pd.DataFrame, prompts: PromptConfig, corpus: Choice) -> pd.DataFrame:
    """Prompts about the topics of the corpus, split by topic; or the user's own."""
    from factalign.corpora import CORPORA, build_prompts, read_prompts, topics

    if prompts.path:
        return read_prompts(prompts.path)
    return build_prompts(topics(passages), prompts, CORPORA.build(corpus).prompts)


def split_prompts(prompts: pd.DataFrame, benchmark: BenchmarkConfig) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Training prompts without any that touch the benchmark, and the benchmark's prompts."""
    from factalign.preference import decontaminate

    held_out = prompts[prompts["split"] == benchmark.split]
    train, dropped = decontaminate(prompts[prompts["split"] == "train"], held_out)
    for row in dropped.itertuples():
        logger.info("dropped the training prompt about %s: it matches the benchmark (%s)", row.topic, row.match)
    logger.info("%d training prompts, %d benchmark prompts (%s)", len(train), len(held_out), benchmark.split)
    return train.reset_index(drop=True), held_out.reset_index(drop=True)
