"""The parameters of the project: one frozen model for every top-level key of `parameters.yml`.

Kedro builds the models from the annotations of the nodes; `check_parameters` sees the whole file, so that a key that
belongs to nothing is an error as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator

from factalign import audit, corpora, extraction, generation, retrieval, verifiers
from factalign.base.registry import Choice
from factalign.base.validation import explain
from factalign.calibration import CalibrationConfig
from factalign.corpora import PromptConfig
from factalign.distillation import DistillationConfig
from factalign.fkto import FKTOConfig
from factalign.generation import SamplingConfig
from factalign.preference import PreferenceConfig


class _Parameters(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


# Names are looked up where they are written, so that the error names the key. The registries are imported by then only.
CorpusChoice = Annotated[Choice, AfterValidator(lambda choice: corpora.CORPORA.check(choice))]
ExtractorChoice = Annotated[Choice, AfterValidator(lambda choice: extraction.EXTRACTORS.check(choice))]
VerifierChoice = Annotated[Choice, AfterValidator(lambda choice: verifiers.VERIFIERS.check(choice))]
LabelledKind = Annotated[str, AfterValidator(lambda kind: audit.LABELLED.check(kind))]


def _check_engine(sampling: SamplingConfig) -> SamplingConfig:
    generation.ENGINES.check(sampling.engine)
    return sampling


CheckedSampling = Annotated[SamplingConfig, AfterValidator(_check_engine)]


class PolicySource(_Parameters):
    """Where the base policy comes from.

    `gguf_package`: the file `file` of the installed package `package`, converted to safetensors.
    `hub`: the hub name or the folder `model` (safetensors), with `adapters` (folders) merged into it in order.
    """

    kind: Literal["gguf_package", "hub"]
    package: str | None = None
    file: str | None = None
    model: str | None = None
    revision: str | None = None
    adapters: tuple[str, ...] = ()

    def model_post_init(self, context: Any) -> None:
        """Each kind needs its own keys; what would not be used is refused."""
        needed = {"gguf_package": ("package", "file"), "hub": ("model",)}[self.kind]
        if missing := [key for key in needed if getattr(self, key) is None]:
            raise ValueError(f"a policy of kind {self.kind!r} needs {', '.join(missing)}")
        unused = [key for key in ("model", "revision", "adapters") if getattr(self, key)]
        if unused and self.kind == "gguf_package":
            raise ValueError(f"a policy of kind {self.kind!r} takes no {', '.join(unused)}; the kind 'hub' does")


class RetrieverConfig(Choice):
    """Which retriever finds evidence, and how many passages a claim is judged against."""

    passages_per_claim: Annotated[int, Field(ge=1)] = 20

    @field_validator("name")
    @classmethod
    def _is_known(cls, name: str) -> str:
        return retrieval.RETRIEVERS.check(name)


class EvaluationConfig(_Parameters):
    """How a response is assessed. `k` is the K of F1@K: the number of supported claims that counts as complete."""

    extractor: ExtractorChoice = Choice(name="clause")
    verifier: VerifierChoice = Choice(name="lexical")
    k: Annotated[int, Field(ge=1)] = 4


class EvaluateFileConfig(_Parameters):
    """Responses to evaluate: a file (`evaluation.read_responses` says of what), and how they are summed up.

    `gamma` is the number of facts below which `factscore` pays for brevity, null for no penalty.
    """

    path: str
    gamma: Annotated[int, Field(ge=1)] | None = 10
    resamples: Annotated[int, Field(ge=100)] = 5000


class NamedFile(_Parameters):
    """A file and what reports call it."""

    name: str
    path: str


class LabelledSet(NamedFile):
    """A file of labelled claims, and of which kind it is (`audit.load_labelled`)."""

    kind: LabelledKind = "claims"


class AuditConfig(_Parameters):
    """What verifiers and claim extractors are audited against, and what a verifier must reach to be trained with.

    Attributes:
        claims: Labelled claims.
        verifiers: Verifiers to compare with that of `evaluation`, which is always audited.
        facts: Files of people's atomic facts in the format of FActScore, for the extractors.
        extractors: Claim extractors to audit; none without `facts`.
        match_threshold: The similarity from which on a claim says what a fact says.
        resamples: Of the bootstrap behind the intervals.
        required: Whether `iterate` refuses, rather than warns, where the verifier was not audited or not good enough.
        min_youden_j: What the lower bound of its Youden's J (both recalls less 1) must reach, in every set.
    """

    claims: tuple[LabelledSet, ...] = ()
    verifiers: tuple[VerifierChoice, ...] = ()
    facts: tuple[NamedFile, ...] = ()
    extractors: tuple[ExtractorChoice, ...] = (Choice(name="sentence"), Choice(name="clause"))
    match_threshold: Annotated[float, Field(gt=0, le=1)] = 0.7
    resamples: Annotated[int, Field(ge=100)] = 2000
    required: bool = False
    min_youden_j: Annotated[float, Field(ge=0, le=1)] = 0.3


class AnnotateConfig(_Parameters):
    """The annotation sheet of the benchmarks' claims, and what people made of it.

    Attributes:
        claims_per_policy: How many claims of each policy are drawn.
        passages: How many of a claim's passages the sheet shows.
        seed: Of the draw and the order, apart from that of the run.
        sheets: Filled sheets (`annotation.read_filled`), each by the name of its reader.
        resamples: Of the bootstrap behind the intervals of agreement.
    """

    claims_per_policy: Annotated[int, Field(ge=2)] = 100
    passages: Annotated[int, Field(ge=1)] = 8
    seed: int = 0
    sheets: tuple[NamedFile, ...] = ()
    resamples: Annotated[int, Field(ge=100)] = 2000

    @field_validator("sheets")
    @classmethod
    def _are_of_several_readers(cls, sheets: tuple[NamedFile, ...]) -> tuple[NamedFile, ...]:
        names = [sheet.name for sheet in sheets]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two sheets are named {twice[0]!r}; each reader has one")
        return sheets


class BenchmarkConfig(_Parameters):
    """How policies are compared: the held-out split and the bootstrap behind the intervals."""

    split: Literal["dev", "test"] = "test"
    resamples: Annotated[int, Field(ge=100)] = 5000


class TrainingConfig(_Parameters):
    """The accelerate profile that starts the trainer, and what it trains with."""

    accelerate_config: Path
    fkto: FKTOConfig = FKTOConfig()

    @field_validator("accelerate_config")
    @classmethod
    def _is_there(cls, profile: Path) -> Path:
        if not profile.is_file():
            valid = sorted(str(path) for path in profile.parent.glob("*.yaml"))
            raise ValueError(f"no file {profile}; valid: {', '.join(valid) or 'none there'}")
        return profile


class Parameters(_Parameters):
    """Everything that `parameters.yml` may hold."""

    seed: int
    iterations: int
    staging_dir: str
    policy: PolicySource
    corpus: CorpusChoice
    prompts: PromptConfig
    retriever: RetrieverConfig
    sampling: CheckedSampling
    evaluation: EvaluationConfig
    evaluate_file: EvaluateFileConfig
    audit: AuditConfig
    annotate: AnnotateConfig
    calibration: CalibrationConfig
    distillation: DistillationConfig
    preference: PreferenceConfig
    training: TrainingConfig
    benchmark_sampling: CheckedSampling
    benchmark: BenchmarkConfig


def check_parameters(parameters: Mapping[str, Any]) -> Parameters:
    """Check all parameters of a run.

    Raises:
        ValueError: A key is unknown or a value is not valid, such as a name that no registry holds or an accelerate
            profile that does not exist; one line names each key and what is wrong with it.
    """
    raw = {key: _plain(value) for key, value in parameters.items()}
    try:
        return Parameters.model_validate(raw)
    except ValidationError as error:
        lines = [f"  {line}" for line in explain(error, Parameters)]
        raise ValueError("invalid parameters in conf/:\n" + "\n".join(lines)) from None


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    return value
