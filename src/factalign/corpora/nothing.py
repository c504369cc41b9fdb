"""No corpus at all: for retrievers that find passages elsewhere."""

from __future__ import annotations

from typing import ClassVar

import pandas as pd

from factalign.corpora.general import GENERAL_AIDS, GENERAL_PROMPTS
from factalign.corpora.protocol import PromptTemplates, ReadingAids
from factalign.schemas import Passages, empty


class NoCorpus:
    """No passages."""

    prompts: ClassVar[PromptTemplates] = GENERAL_PROMPTS
    aids: ClassVar[ReadingAids] = GENERAL_AIDS

    def passages(self) -> pd.DataFrame:
        """See `Corpus.passages`."""
        return empty(Passages)
