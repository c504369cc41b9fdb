"""The tables that travel between pipelines: columns, types and rules.

Every table is flat, one row a thing, joined by ids that are hashes of content (`factalign.base.ids`). The catalog names
these models under `validator:`, so a table is checked when it is saved and again when it is loaded.
"""

from __future__ import annotations

from typing import Any, Optional

import pandas as pd
import pandera.pandas as pa
from pandera.typing import Series

SPLITS = ("train", "dev", "test")
FINISH_REASONS = ("stop", "length")
READER_LABELS = ("telling", "trivial", "false", "nothing")
LABELS = ("supported", "not_supported", "irrelevant", "failed")


class Table(pa.DataFrameModel):
    """Base of all tables: no missing column, no surplus column, values coerced to the declared type."""

    class Config:
        strict = True
        coerce = True


class Prompts(Table):
    """One question. `topic` is the entity asked about (retrieval is restricted to its passages); `aspect` the theme."""

    prompt_id: Series[str] = pa.Field(unique=True)
    messages: Series[object]
    topic: Series[str]
    aspect: Series[str]
    source: Series[str]
    split: Series[str] = pa.Field(isin=SPLITS)

    @pa.check("messages", element_wise=True)
    def is_conversation(cls, messages: Any) -> bool:
        """Every message has a role and content."""
        return len(messages) > 0 and all({"role", "content"} <= set(message) for message in messages)


class Passages(Table):
    """The unit of the knowledge corpus. `title` is its topic, `field` its place in the source.

    `aliases` is a JSON list of the title's other names; `facts` a JSON list of typed facts (`corpora.facts`).
    """

    passage_id: Series[str] = pa.Field(unique=True)
    title: Series[str]
    field: Series[str]
    text: Series[str] = pa.Field(str_length={"min_value": 1})
    aliases: Series[str]
    facts: Series[str]


class Responses(Table):
    """One answer of one policy to one prompt."""

    response_id: Series[str] = pa.Field(unique=True)
    prompt_id: Series[str]
    sample_index: Series[int] = pa.Field(ge=0)
    text: Series[str]
    finish_reason: Series[str] = pa.Field(isin=FINISH_REASONS)
    num_tokens: Series[int] = pa.Field(ge=0)
    policy_id: Series[str]
    seed: Series[int]


class Sentences(Table):
    """`text` equals `responses.text[start:end]`: offsets count characters (code points)."""

    sentence_id: Series[str] = pa.Field(unique=True)
    response_id: Series[str]
    index: Series[int] = pa.Field(ge=0)
    start: Series[int] = pa.Field(ge=0)
    end: Series[int] = pa.Field(gt=0)
    text: Series[str] = pa.Field(str_length={"min_value": 1})


class Claims(Table):
    """A self-contained atomic statement. `duplicate_of` names the first claim of the response that says the same."""

    claim_id: Series[str] = pa.Field(unique=True)
    sentence_id: Series[str]
    response_id: Series[str]
    text: Series[str]
    duplicate_of: Series[str] = pa.Field(nullable=True)


class Evidence(Table):
    """The passages retrieved for a claim, best first (`rank` counts from 0).

    A claim whose evidence could not be looked up has one row, without a passage.
    """

    claim_id: Series[str]
    rank: Series[int] = pa.Field(ge=0)
    passage_id: Series[str] = pa.Field(nullable=True)
    score: Series[float] = pa.Field(nullable=True)


class Verdicts(Table):
    """One verdict a claim. `passage_id` is the passage that decided it, where there is one."""

    claim_id: Series[str] = pa.Field(unique=True)
    label: Series[str] = pa.Field(isin=LABELS)
    confidence: Series[float] = pa.Field(ge=0, le=1)
    passage_id: Series[str] = pa.Field(nullable=True)
    verifier_id: Series[str]


class SyntheticClaims(Table):
    """Labelled claims made from passages by rule. `evidence` lists texts: first the one that decides, then others.

    `kind` is how the claim came about; no `topic` is in two splits.
    """

    claim_id: Series[str] = pa.Field(unique=True)
    topic: Series[str]
    text: Series[str] = pa.Field(str_length={"min_value": 1})
    label: Series[str] = pa.Field(isin=("supported", "not_supported"))
    kind: Series[str]
    split: Series[str] = pa.Field(isin=("train", "held_out"))
    evidence: Series[object]


class LabelledClaims(Table):
    """Claims with the right label, to audit verifiers with; one that is left out of the audit has none.

    `given_label` is that of the source. The claim is judged against what is retrieved under `topic` or, where there is
    none, against the texts of `evidence`. Claims of one `group` hang together: they are resampled together.
    """

    claim_id: Series[str] = pa.Field(unique=True)
    labelled_set: Series[str]
    text: Series[str]
    evidence: Series[object]
    topic: Series[str]
    label: Series[str] = pa.Field(isin=LABELS[:3], nullable=True)
    given_label: Series[str]
    group: Series[str]


class Judgements(Table):
    """The verdicts of several verifiers on labelled claims."""

    claim_id: Series[str]
    verifier_id: Series[str]
    label: Series[str] = pa.Field(isin=LABELS)
    confidence: Series[float] = pa.Field(ge=0, le=1)


class AnnotationKey(Table):
    """What an annotation sheet does not tell: all distinct claims of every policy, and which of them were drawn.

    Claims of one `group` (a topic) hang together: errors are estimated over groups.
    """

    item_id: Series[str] = pa.Field(unique=True)
    policy: Series[str]
    claim_id: Series[str]
    verdict: Series[str] = pa.Field(isin=LABELS)
    group: Series[str]
    drawn: Series[bool]


class SheetItems(Table):
    """The claims that people read. `evidence` lists `{title, text}` of the passages retrieved, best first."""

    item_id: Series[str] = pa.Field(unique=True)
    prompt: Series[str]
    sentence: Series[str]
    claim: Series[str]
    evidence: Series[object]


class Annotations(Table):
    """What people said of the claims of a sheet."""

    item_id: Series[str]
    reader: Series[str]
    label: Series[str] = pa.Field(isin=READER_LABELS)


class SentenceLabels(Table):
    """Sentences of answers that readers judged (docs/labels.md): how many distinct assertions are true and telling, and
    how many false; `response[start:end]` is the sentence. No topic is in both splits.
    """

    sentence_id: Series[str] = pa.Field(unique=True)
    response_id: Series[str]
    split: Series[str] = pa.Field(isin=("train", "dev"))
    topic: Series[str] = pa.Field(str_length={"min_value": 1})
    policy: Optional[Series[str]]  # noqa: UP045 - pandera reads no other spelling
    temperature: Optional[Series[float]]  # noqa: UP045
    prompt: Series[str]
    response: Series[str]
    index: Series[int] = pa.Field(ge=0)
    start: Series[int] = pa.Field(ge=0)
    end: Series[int] = pa.Field(gt=0)
    text: Series[str] = pa.Field(str_length={"min_value": 1})
    num_telling: Series[int] = pa.Field(ge=0)
    num_false: Series[int] = pa.Field(ge=0)
    second_num_telling: Optional[Series[pd.Int64Dtype]] = pa.Field(ge=0, nullable=True)  # noqa: UP045
    second_num_false: Optional[Series[pd.Int64Dtype]] = pa.Field(ge=0, nullable=True)  # noqa: UP045


class ClaimLabels(Table):
    """Claims of these sentences that readers judged (docs/labels.md)."""

    claim_id: Series[str] = pa.Field(unique=True)
    sentence_id: Series[str]
    response_id: Series[str]
    text: Series[str] = pa.Field(str_length={"min_value": 1})
    label: Series[str] = pa.Field(isin=READER_LABELS)
    second_label: Optional[Series[str]] = pa.Field(isin=READER_LABELS, nullable=True)  # noqa: UP045


class CalibrationFeatures(Table):
    """Labelled claims with their features: `verifiers.calibrated.features.ClaimFeatures`, and those of
    `calibration.features.CONTEXT`. `kind` is the claim without its topic and its numbers.
    """

    claim_id: Series[str] = pa.Field(unique=True)
    sentence_id: Series[str]
    response_id: Series[str]
    label: Series[str] = pa.Field(isin=READER_LABELS)
    split: Series[str] = pa.Field(isin=("train", "dev"))
    topic: Series[str]
    kind: Series[str]
    lexical_label: Series[str] = pa.Field(isin=LABELS[:3])
    lexical_confidence: Series[float] = pa.Field(ge=0, le=1)
    duplicate_of: Series[str] = pa.Field(nullable=True)

    class Config:
        strict = False


class ResponseScores(Table):
    """Counts exclude duplicate claims. `precision` and what rests on it are missing where no claim was judged."""

    response_id: Series[str] = pa.Field(unique=True)
    prompt_id: Series[str]
    num_sentences: Series[int] = pa.Field(ge=0)
    num_claims: Series[int] = pa.Field(ge=0)
    num_duplicates: Series[int] = pa.Field(ge=0)
    num_supported: Series[int] = pa.Field(ge=0)
    num_not_supported: Series[int] = pa.Field(ge=0)
    num_irrelevant: Series[int] = pa.Field(ge=0)
    num_failed: Series[int] = pa.Field(ge=0)
    precision: Series[float] = pa.Field(ge=0, le=1, nullable=True)
    recall_at_k: Series[float] = pa.Field(ge=0, le=1)
    f1_at_k: Series[float] = pa.Field(ge=0, le=1)
    coverage: Series[float] = pa.Field(ge=0, le=1)
    num_tokens: Series[int] = pa.Field(ge=0)
    num_words: Series[int] = pa.Field(ge=0)
    distinct_2: Series[float] = pa.Field(ge=0, le=1, nullable=True)


class SentenceScores(Table):
    """`supported_share` is supported / (supported + not_supported), missing where nothing was judged."""

    sentence_id: Series[str] = pa.Field(unique=True)
    response_id: Series[str]
    num_supported: Series[int] = pa.Field(ge=0)
    num_not_supported: Series[int] = pa.Field(ge=0)
    num_failed: Series[int] = pa.Field(ge=0)
    supported_share: Series[float] = pa.Field(ge=0, le=1, nullable=True)
    is_repetition: Series[bool]


class Costs(Table):
    """What one stage asked of a chat model. An item is what a call asks several of: a claim to judge, a sentence to
    decompose; `cached_items` were answered by earlier runs, `failed_items` by nobody. Money is in the currency of the
    prices.
    """

    stage: Series[str]
    model: Series[str]
    calls: Series[int] = pa.Field(ge=0)
    failed_calls: Series[int] = pa.Field(ge=0)
    items: Series[int] = pa.Field(ge=0)
    cached_items: Series[int] = pa.Field(ge=0)
    failed_items: Series[int] = pa.Field(ge=0)
    input_tokens: Series[int] = pa.Field(ge=0)
    output_tokens: Series[int] = pa.Field(ge=0)
    seconds: Series[float] = pa.Field(ge=0)
    money: Series[float] = pa.Field(ge=0)
    num_responses: Series[int] = pa.Field(ge=0)
    num_claims: Series[int] = pa.Field(ge=0)
    calls_per_response: Series[float] = pa.Field(ge=0, nullable=True)
    calls_per_claim: Series[float] = pa.Field(ge=0, nullable=True)
    money_per_response: Series[float] = pa.Field(ge=0, nullable=True)
    money_per_claim: Series[float] = pa.Field(ge=0, nullable=True)


def empty(table: type[Table]) -> pd.DataFrame:
    """A valid table with no rows."""
    return table.validate(pd.DataFrame({name: [] for name in table.to_schema().columns}))
