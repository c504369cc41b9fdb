"""The parameters of a training run, checked before anything is loaded."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from factalign.fkto.argument_names import check_names

Normalisation = Literal["none", "sqrt", "token"]

BestMetric = Literal[
    "eval_loss", "eval_response_loss", "eval_sentence_loss", "eval_nll_loss", "eval_margin", "eval_sentence_margin",
    "eval_reward_desirable", "eval_reward_undesirable", "eval_sentence_reward_desirable",
    "eval_sentence_reward_undesirable",
]  # fmt: skip

LEARNING_RATES = {"layers": 8e-5, "lora": 5e-4, "full": 5e-6}

ClassWeight = PositiveFloat | Literal["auto"]


class FKTOConfig(BaseModel):
    """Everything that decides what is trained and how; paths and the seed are given to the trainer."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # The objective
    loss_type: Literal["fkto", "kto", "apo_zero_unpaired"] = Field(
        "fkto",
        description="fkto: response and sentence terms around z0; kto: the response term alone; "
        "apo_zero_unpaired: both terms with z0 fixed at 0, so no mismatched pairs are needed",
    )
    beta: PositiveFloat = Field(0.1, description="β of the response term")
    sentence_beta: PositiveFloat = Field(0.1, description="β of the sentence term")
    reward_normalisation: Normalisation = Field(
        "none",
        description="r of a response or sentence of n tokens, and z0, divided by 1 (none), √n (sqrt) or n (token), so "
        "that long ones do not saturate first; β must grow by that factor to keep β·r at a typical n",
    )
    response_weight: NonNegativeFloat = Field(0.3, description="λ, the factor of the response term")
    sentence_weight: NonNegativeFloat = Field(1.0, description="λ_s, the factor of the sentence term")
    nll_weight: NonNegativeFloat = Field(
        0.0,
        description="factor of the mean of -log π(token) over the step's tokens of desirable responses (the end of the "
        "turn too): supervised fine-tuning on them; logged as nll_loss even where the factor is 0",
    )
    router_loss_weight: NonNegativeFloat = Field(
        0.0,
        description="factor of the load-balancing loss of a mixture of experts (transformers: router_aux_loss_coef), a "
        "mean over the step's tokens and the layers that are run; logged as router_loss where it is not 0",
    )
    desirable_weight: ClassWeight = Field(
        1.0, description="w_D of responses; 'auto' balances the classes and keeps the mean weight at 1"
    )
    undesirable_weight: ClassWeight = Field(1.0, description="w_U of responses, or 'auto'")
    sentence_desirable_weight: ClassWeight = Field(1.0, description="w_D of sentences, or 'auto'")
    sentence_undesirable_weight: ClassWeight = Field(1.0, description="w_U of sentences, or 'auto'")
    sentence_reduction: Literal["sentence", "response"] = Field(
        "sentence",
        description="sentence: mean over all sentences of the optimizer step; "
        "response: mean over the sentences of a response, then over responses",
    )
    schedule: Literal["joint", "alternating"] = Field(
        "joint", description="joint: both terms in every step; alternating: responses and sentences by turns"
    )
    kl_scope: Literal["micro", "step"] = Field(
        "step",
        description="z0 from the mismatched pairs of the whole optimizer step, or of each micro-batch (over all ranks)",
    )
    z0_momentum: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="m: z0 as a moving average that keeps this share of its past in every step; 0: of the step alone; "
        "needs kl_scope 'step'",
    )

    # What is trained
    method: Literal["lora", "full", "layers"] = Field(
        "lora",
        description="lora: low-rank adapters; full: all weights; layers: the top `train_layers` layers",
    )
    train_layers: PositiveInt = Field(10, description="method 'layers': how many of the top layers are trained")
    lora_rank: PositiveInt = Field(16, description="method 'lora': rank r")
    lora_alpha: PositiveFloat = Field(32.0, description="method 'lora': the update is scaled by alpha / rank")
    lora_dropout: float = Field(0.0, ge=0, lt=1, description="method 'lora': dropout before the adapter")
    lora_targets: str | list[str] = Field("all-linear", description="method 'lora': module names, as in peft")
    lora_modules_to_save: list[str] | None = Field(
        None,
        description="method 'lora': modules trained as a whole beside the adapters and saved with them, such as "
        "embed_tokens and lm_head; where a model has one matrix for both, it stays one",
    )
    use_dora: bool = Field(
        False, description="method 'lora': weights split into magnitude and direction (DoRA, arXiv 2402.09353)"
    )
    load_in_4bit: bool = Field(False, description="method 'lora': NF4-quantized base (QLoRA; bitsandbytes and a GPU)")

    # Optimization
    learning_rate: PositiveFloat | None = Field(
        None, description=f"None takes the default of the method: {LEARNING_RATES}"
    )
    batch_size: PositiveInt = Field(16, description="rows of one optimizer step, over all ranks")
    micro_batch_size: PositiveInt = Field(4, description="rows of one forward and backward pass on one rank")
    micro_batch_tokens: PositiveInt | None = Field(
        None,
        description="instead of micro_batch_size: tokens of one pass on one rank, with padding; the rows of a step are "
        "dealt by length, and every step of the run takes as many passes; a longer row has a pass of its own",
    )
    epochs: PositiveInt = Field(1, description="passes over the rows, each with new mismatched pairs")
    max_steps: PositiveInt | None = Field(
        None, description="optimizer steps to take, over as many epochs as that needs; None: `epochs` decides"
    )
    warmup_ratio: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the steps in which the learning rate rises to its peak; the first is above 0",
    )
    scheduler: str = Field("linear", description="learning-rate schedule, a name that transformers knows")
    optimizer: str = Field("adamw_torch_fused", description="optimizer, a name that transformers knows")
    weight_decay: NonNegativeFloat = Field(0.0, description="decoupled weight decay")
    max_grad_norm: NonNegativeFloat = Field(1.0, description="gradients are clipped to this norm; 0 never clips")

    # Sequences and compute
    max_length: PositiveInt = Field(2048, description="tokens of prompt and completion; the rest is cut off")
    max_bad_rows: float = Field(
        0.05,
        ge=0,
        le=1,
        description="share of rows that may be left out, or lose a sentence, because the chat template or the "
        "tokenizer does not keep their text; more of them stop the run",
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description='what the chat template gets besides the messages, such as {"enable_thinking": false}; '
        "date_string pins the date that some templates write, which otherwise changes the text every day",
    )
    packing: bool = Field(True, description="concatenate a micro-batch instead of padding it")
    dtype: Literal["bfloat16", "float32"] = Field(
        "bfloat16", description="compute type; trained weights and log-probabilities are float32 either way"
    )
    checkpoint_activations_above: PositiveInt | None = Field(
        None,
        description="micro-batches of more tokens, over all their rows and with their padding, recompute activations "
        "in backward, which saves memory and costs time; None: none does",
    )
    selfcheck_tolerance: PositiveFloat | None = Field(
        None,
        description="how far the trainer's log-probabilities may be from the untouched model's before the run pads "
        "instead of packing, or else refuses: mean nats per token; None: 0.0005 (0.15 with load_in_4bit)",
    )
    start_tolerance: PositiveFloat = Field(
        2.0,
        description="mean |r| of a micro-batch of the first step, in nats, above which the run ends: policy and "
        "reference are still the same function then; not asked where the reference is another model (ref_model)",
    )
    logit_chunk: PositiveInt = Field(256, description="positions whose logits exist at the same time")
    trunk_cache_gib: NonNegativeFloat = Field(
        4.0, description="method 'layers': memory for trunk states; what exceeds it goes to disk"
    )
    reference_cache_dir: str | None = Field(
        "auto",
        description="where reference log-probabilities are kept; auto: beside the output folder; None: nowhere",
    )

    # Logging and checkpoints
    logging_steps: PositiveInt = Field(1, description="optimizer steps between two log rows")
    eval_steps: PositiveInt | None = Field(
        None, description="optimizer steps between two evaluations of the held-out rows; None: none while training"
    )
    sample_steps: PositiveInt | None = Field(
        None,
        description="optimizer steps between two times that the policy answers some prompts (of the held-out rows if "
        "there are any), for samples_log.jsonl; before the first step it does, too; None: never",
    )
    sample_prompts: PositiveInt = Field(8, description="how many prompts are answered, greedily")
    sample_max_new_tokens: PositiveInt = Field(256, description="where an answer is cut off")
    stop_distinct_2_below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="end the training when the mean distinct-2 of the answers falls below this share of what it was "
        "before the first step; None: never",
    )
    stop_length_change_above: float | None = Field(
        None,
        gt=1,
        description="end the training when the answers' mean length is more than this factor above or below what it "
        "was before the first step; None: never",
    )
    save_steps: PositiveInt | None = Field(None, description="optimizer steps between two checkpoints; None: none")
    save_total_limit: PositiveInt | None = Field(1, description="checkpoints to keep while training; None: all")
    best_metric: BestMetric | None = Field(
        None,
        description="the result is the checkpoint with the best of this number of the evaluations (losses and rewards "
        "of undesirable ones: the lowest; else the highest); needs eval_steps equal to save_steps; None: the last step",
    )
    early_stopping_patience: PositiveInt | None = Field(
        None, description="end after this many evaluations without a better best_metric; None: never"
    )
    resume: bool = Field(
        True,
        description="continue from this run's newest checkpoint in the output folder, and refuse to start if it holds "
        "those of other runs only; false: start anew",
    )
    report_to: list[str] = Field(default_factory=list, description="trackers, as in transformers (tensorboard, wandb)")
    training_arguments: dict[str, JsonValue] = Field(
        default_factory=dict,
        description='more transformers.TrainingArguments, such as {"adam_beta2": 0.95, "push_to_hub": true}; those '
        "that another setting decides are refused",
    )

    @model_validator(mode="after")
    def _check(self) -> FKTOConfig:
        if self.micro_batch_tokens is None and self.batch_size < self.micro_batch_size:
            raise ValueError(
                f"batch_size {self.batch_size} is smaller than micro_batch_size {self.micro_batch_size}; "
                f"batch_size counts the rows of a whole optimizer step"
            )
        if not self.uses_responses and not self.uses_sentences and not self.nll_weight:
            raise ValueError(
                "response_weight, sentence_weight and nll_weight leave nothing to train on "
                "(loss_type kto has no sentences)"
            )
        for weights in (
            (self.desirable_weight, self.undesirable_weight),
            (self.sentence_desirable_weight, self.sentence_undesirable_weight),
        ):
            if (weights[0] == "auto") != (weights[1] == "auto"):
                raise ValueError("class weights: both numbers of a level are 'auto', or neither is")
        if self.z0_momentum and self.kl_scope != "step":
            raise ValueError(f"z0_momentum needs kl_scope 'step', not {self.kl_scope!r}")
        if self.sample_steps is None and (self.stop_distinct_2_below or self.stop_length_change_above):
            raise ValueError("stop_distinct_2_below and stop_length_change_above need sample_steps")
        if self.load_in_4bit and self.method != "lora":
            raise ValueError(f"load_in_4bit needs method 'lora', not {self.method!r}")
        if self.best_metric and (self.eval_steps is None or self.eval_steps != self.save_steps):
            raise ValueError(
                f"best_metric needs a checkpoint of every evaluation: eval_steps and save_steps must be the same, "
                f"not {self.eval_steps} and {self.save_steps}"
            )
        if self.early_stopping_patience and not self.best_metric:
            raise ValueError("early_stopping_patience needs best_metric, which says what is better")
        if self.training_arguments:
            check_names(self.training_arguments)
        return self

    @property
    def uses_responses(self) -> bool:
        """Whether the response term has a share in the loss."""
        return self.response_weight > 0

    @property
    def uses_sentences(self) -> bool:
        """Whether the sentence term has a share in the loss."""
        return self.sentence_weight > 0 and self.loss_type != "kto"

    @property
    def uses_kl(self) -> bool:
        """Whether z0 is estimated from mismatched pairs."""
        return self.loss_type != "apo_zero_unpaired"

    @property
    def greater_is_better(self) -> bool | None:
        """Whether `best_metric` should rise; None without one."""
        if self.best_metric is None:
            return None
        return not (self.best_metric.endswith("_loss") or self.best_metric.endswith("_undesirable"))

    @property
    def effective_learning_rate(self) -> float:
        """`learning_rate`, or the default of the method."""
        return LEARNING_RATES[self.method] if self.learning_rate is None else self.learning_rate
