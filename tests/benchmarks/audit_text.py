"""Offline verifiers on free text that people labelled, with `distilled` taught the evidence texts of the same sets.

`FACTALIGN_EXTERNAL_DATA=<folder> python -m tests.benchmarks.audit_text --output <folder>` makes synthetic claims of the
evidence texts of WiCE and Factcheck-GPT, trains `distilled` on them (unless the folder holds it already) and prints the
audit of `lexical`, `distilled` and their ensemble. Claims and labels of the two sets have no part in the training.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

import pandas as pd

from factalign.analysis import format_audit
from factalign.audit import audit_table, judge_labelled, load_labelled
from factalign.distillation import DistillationConfig, distil, passages_from_evidence
from factalign.retrieval import RETRIEVERS
from factalign.verifiers import load_verifier

SETS = {"wice": "wice_claim_dev.jsonl", "factcheck": "factcheck_gpt_stance_dev.jsonl"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="folder of the distilled verifier")
    parser.add_argument("--claims", type=int, default=DistillationConfig().claims, help="synthetic claims to train on")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic claims and the training")
    options = parser.parse_args()
    folder = Path(os.environ["FACTALIGN_EXTERNAL_DATA"]) / "verifier"
    labelled = pd.concat([load_labelled(kind, kind, str(folder / file)) for kind, file in SETS.items()])
    passages = passages_from_evidence(labelled["evidence"])
    if not (options.output / "config.json").is_file():
        distil(passages, options.output, DistillationConfig(claims=options.claims, seed=options.seed))
    lexical, distilled = load_verifier("lexical"), load_verifier("distilled", path=options.output)
    verifiers = [lexical, distilled, load_verifier("ensemble", members=[lexical, distilled])]
    retriever = RETRIEVERS.build("bm25")  # every claim brings its evidence, so nothing is searched for
    with tempfile.TemporaryDirectory() as index:
        retriever.build(passages, index)
        judgements = judge_labelled(labelled, verifiers, passages, retriever, k=1)
    sys.stdout.write(format_audit(audit_table(labelled, judgements)) + "\n")


if __name__ == "__main__":
    main()
