"""`FKTOTrainer`: a `transformers.Trainer` that trains a causal language model with fKTO."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate.utils.memory import clear_device_cache
from huggingface_hub import upload_folder
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, set_seed
from transformers.trainer_callback import PrinterCallback
from transformers.trainer_utils import SchedulerType

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.greedy import stopping_tokens
from factalign.fkto.model.loading import open_policy
from factalign.fkto.model.selfcheck import check_start
from factalign.fkto.model.setup import set_up
from factalign.fkto.model.trunk import StateStore
from factalign.fkto.objective import Objective
from factalign.fkto.precompute import Precomputation, open_cache, sequences_of_run
from factalign.fkto.rows.batches import Batches, MicroBatch, StepBatch
from factalign.fkto.rows.data import Row, parse_rows
from factalign.fkto.rows.held_out import HeldOut
from factalign.fkto.rows.plan import Items, PlanLoader, PlanSampler
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import SpanEncoder
from factalign.fkto.rows.template_check import template_warnings
from factalign.fkto.run.arguments import training_arguments
from factalign.fkto.run.best import Patience, outcome
from factalign.fkto.run.card import write_card
from factalign.fkto.run.checkpoints import Checkpoints, run_identity
from factalign.fkto.run.monitor import Metrics
from factalign.fkto.run.progress import Progress, TrainingLog
from factalign.fkto.run.results import resources, write_result
from factalign.fkto.run.samples import Samples
from factalign.fkto.run.sharding import check_optimizer, prepare_fsdp
from factalign.fkto.run.warmup import count_from_one

if TYPE_CHECKING:
    from peft import PeftConfig, PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


class FKTOTrainer(Trainer):
    """Trains `model` on labelled rows; see `losses` for the objective and `FKTOConfig` for the choices.

    The reference is the policy as it is handed over. What is trained is prepared here: hand over a plain causal
    language model, or a `PeftModel` whose one adapter is to be trained on (with method `lora`; the reference has the
    adapter as it was).

    Args:
        model: The policy, or its folder or name on the Hugging Face hub (safetensors only; no code of its own is run).
        tokenizer: Its fast tokenizer; None takes the one that lies with a model that is named.
        rows: `Row`s, or mappings in one of the formats of `data` and `pairs`.
        config: The choices.
        output_dir: Gets checkpoints, `training_log.jsonl`, `evaluation_log.jsonl`, and from `save_result` the weights.
        seed: Decides the order, the mismatched pairs and the adapter's first weights.
        eval_rows: Rows for `evaluate`.
        callbacks: More `TrainerCallback`s.
        peft_config: The adapter to train with method `lora`, instead of the settings `lora_*` and `use_dora`; of the
            kinds in `adapters.KINDS`.
        ref_model: The reference, where it is not the policy as handed over: a model with the same tokenizer, or its
            folder or name. It is let go when its log-probabilities are known.

    Raises:
        PolicyError: A model that is named cannot be read.
        RecordError: A row cannot be trained on.
        ValueError: Model, rows and configuration do not fit each other.
    """

    loss_is_scaled_for_ga = True
    lr_scheduler: torch.optim.lr_scheduler.LRScheduler | None

    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str | Path,
        tokenizer: PreTrainedTokenizerFast | None,
        rows: Iterable[Row] | Iterable[Mapping[str, Any]],
        config: FKTOConfig,
        output_dir: str | Path,
        *,
        seed: int = 0,
        eval_rows: Iterable[Row] | Iterable[Mapping[str, Any]] | None = None,
        callbacks: Sequence[TrainerCallback] = (),
        peft_config: PeftConfig | None = None,
        ref_model: PreTrainedModel | str | Path | None = None,
    ) -> None:
        if config.eval_steps and eval_rows is None:
            raise ValueError("eval_steps needs rows to evaluate (eval_rows, --eval-data)")
        check_optimizer(config.optimizer)
        model, tokenizer = open_policy(model, tokenizer, config)
        judged = None if eval_rows is None else parse_rows(eval_rows)
        self.folder = Path(output_dir)
        encoder = SpanEncoder(tokenizer, config.max_length, config.chat_template_kwargs)
        self._store = RowStore(parse_rows(rows), encoder, config.max_bad_rows)
        self.rows, self.counts = self._store.rows, self._store.counts
        for warning in template_warnings(encoder, self.rows):
            logger.warning(warning)
        self._objective = Objective(config, self._store)
        set_seed(seed)
        setup = set_up(model, tokenizer, config, self._store.sequences, peft_config, ref_model)
        self.config = config = setup.config
        model, trunk = setup.model, setup.trunk
        args = training_arguments(config, self.folder, seed)
        self.references = open_cache(setup.reference, self.folder, args.device)
        # With a reference of its own, r at the start is whatever it is.
        self._given_reference = setup.reference if setup.explicit else None
        self._start_tolerance = math.inf if setup.explicit else config.start_tolerance
        self._checkpoints = Checkpoints(
            self.folder,
            run_identity(self.rows, encoder.fingerprint, setup.identity, config, seed, args.world_size, judged),
        )
        self._states = StateStore(
            int(config.trunk_cache_gib * 2**30), self.folder / f"trunk_states.{args.process_index}.bin"
        )
        self.plan = self._store.plan(config, seed, args.process_index, args.world_size)
        self._held_out = None if judged is None else HeldOut(judged, encoder, self.references, config, self.plan)
        self._referenced = False
        args.gradient_accumulation_steps = self.plan.accumulation
        self._batches = Batches(self._store, self.references, None if trunk is None else self._states, config)
        self._precomputation = Precomputation(self._batches, self.references, trunk, self._states, config.packing)
        self._metrics = Metrics(config.beta, config.sentence_beta, args.device)
        self._logged_step = 0
        self._began = time.monotonic()
        logs = {"loss": self.folder / "training_log.jsonl"}
        if self._held_out is not None:
            logs["eval_loss"] = self.folder / "evaluation_log.jsonl"
        self._samples = None
        if config.sample_steps:
            asked = self.rows if self._held_out is None else self._held_out.rows
            stop_ids = stopping_tokens(model, tokenizer, self._store.sequences)
            self._samples = Samples(config, encoder, asked, stop_ids, self.folder / "samples_log.jsonl")
        self._patience = None if config.early_stopping_patience is None else Patience(config.early_stopping_patience)
        own = filter(None, [self._objective.moving_z0, self._samples, self._patience])
        super().__init__(
            model=model,
            args=args,
            train_dataset=Items(len(self.rows)),
            eval_dataset=None if self._held_out is None else Items(0),
            data_collator=self._batches.collate,
            processing_class=tokenizer,
            callbacks=[TrainingLog(logs), Progress(), *own, *callbacks],
        )
        self.remove_callback(PrinterCallback)
        if self._samples is not None and self._sharded:
            raise ValueError("sample_steps: a policy whose weights are sharded (FSDP, DeepSpeed) cannot be sampled")
        if setup.explicit and self._sharded:
            raise ValueError("ref_model: where ranks share the policy's weights, the reference can only be the policy")

    def get_train_dataloader(self) -> DataLoader:
        """The plan's micro-batches; it is rank-aware already, so accelerate does not shard it again."""
        return PlanLoader(
            self.train_dataset,
            batch_sampler=PlanSampler(self.plan),
            collate_fn=self.data_collator,
            num_workers=self.args.dataloader_num_workers,
            prefetch_factor=self.args.dataloader_prefetch_factor,
            persistent_workers=self.args.dataloader_persistent_workers,
        )

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The schedule of `config.scheduler`, whose warm-up begins above 0 (see `warmup`)."""
        is_new = self.lr_scheduler is None
        scheduler = super().create_scheduler(num_training_steps, optimizer)
        # This one counts from 1 itself.
        if is_new and self.args.lr_scheduler_type != SchedulerType.COSINE_WARMUP_WITH_MIN_LR:
            self.lr_scheduler = scheduler = count_from_one(scheduler, self.args.get_warmup_steps(num_training_steps))
        return scheduler

    # ---- Reference ----

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train; continues from the newest complete checkpoint in the output folder if `config.resume` says so.

        Raises:
            ValueError: The checkpoint belongs to another run (other rows, weights or settings), or there is none though
                `resume_from_checkpoint` is True.
        """
        if resume_from_checkpoint is True or (resume_from_checkpoint is None and self.config.resume):
            newest = self._checkpoints.newest()
            if newest is None and resume_from_checkpoint is True:
                raise ValueError(f"{self.folder} holds no complete checkpoint")
            resume_from_checkpoint = newest
        elif isinstance(resume_from_checkpoint, str):
            self._checkpoints.check(resume_from_checkpoint)
        if not self._sharded:
            # Before a checkpoint is loaded: the reference is the policy as it was handed over.
            self._compute_given_references()
            self._compute_references(self.model)
        self._began = time.monotonic()
        self._metrics.start_clock()
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    @property
    def _sharded(self) -> bool:
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader, resume_from_checkpoint: str | None
    ) -> tuple[nn.Module, DataLoader]:
        prepare_fsdp(self.model, self.accelerator, getattr(torch, self.config.dtype))
        model, loader = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        if self._sharded:
            needed = sequences_of_run(self._store, self.plan, self.config)
            if self._held_out is not None:
                needed |= self._held_out.sequences
            if resume_from_checkpoint is not None and self.references.missing(needed):
                raise ValueError(
                    f"{resume_from_checkpoint}: a sharded run can only continue with its reference cache, and "
                    f"{self.references.folder} lacks entries"
                )
            self._compute_references(model)
        return model, loader

    def _compute_given_references(self) -> None:
        """Fill the reference cache by the `ref_model`, for training and evaluation, and let go of the model."""
        if self._given_reference is None:
            return
        model, config = self._given_reference.model.to(self.args.device), self._given_reference.config
        batches = Batches(self._store, self.references, None, config)
        computation = Precomputation(batches, self.references, None, self._states, config.packing)
        needed = sequences_of_run(self._store, self.plan, self.config)
        needed |= {} if self._held_out is None else self._held_out.sequences
        computation.run(model, needed, self.accelerator, self._prepare_inputs, sharded=False)
        self._given_reference = None
        del model
        clear_device_cache(garbage_collection=True)

    def _compute_references(self, model: nn.Module) -> None:
        """Fill the reference cache, and with method `layers` the trunk states, for all sequences of the run."""
        needed = sequences_of_run(self._store, self.plan, self.config)
        self._precomputation.run(model, needed, self.accelerator, self._prepare_inputs, sharded=self._sharded)
        self._compute_eval_references(model)

    def _compute_eval_references(self, model: nn.Module) -> None:
        if self._held_out is None or self._referenced:
            return
        computation = Precomputation(self._held_out.batches, self.references, None, self._states, self.config.packing)
        needed = self._held_out.sequences
        computation.run(model, needed, self.accelerator, self._prepare_inputs, sharded=self._sharded)
        self._referenced = True

    # ---- The step ----

    def _prepare_input(self, data: Any) -> Any:
        """Tensors go to the device as they are: with DeepSpeed, transformers would round references to its type."""
        return data.to(self.args.device) if isinstance(data, Tensor) else super()._prepare_input(data)

    def get_batch_samples(
        self, epoch_iterator: Iterator[MicroBatch], num_batches: int, device: torch.device
    ) -> tuple[list[StepBatch], None]:
        """Collect the micro-batches of a step, with z0 and the counts of the whole step over all ranks."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        return self._step(batches, device), None

    def _step(self, batches: list[MicroBatch], device: torch.device, *, evaluating: bool = False) -> list[StepBatch]:
        sums = torch.zeros(len(batches), 8, dtype=torch.float64, device=device)
        for own, batch in zip(sums, batches, strict=True):
            own[:4] = self._objective.counts(batch)
            if self.config.uses_kl:
                own[4:] = self._mismatched(batch, device)
        return self._objective.step(batches, self.accelerator.reduce(sums, reduction="sum"), evaluating=evaluating)

    @torch.no_grad()
    def _mismatched(self, batch: MicroBatch, device: torch.device) -> Tensor:
        """`Objective.mismatched` of the pairs of a micro-batch; zeros where there are none."""
        pairs = batch["pairs"]
        if pairs is None and self.args.world_size == 1:
            return torch.zeros(4, device=device)
        # Wrapped models may communicate in forward: without pairs, the rows keep this rank in step with the others.
        side = self._prepare_inputs(batch["rows"] if pairs is None else pairs)
        self.model_wrapped.eval()
        sums = self._objective.mismatched(self.model_wrapped, side)
        return torch.zeros_like(sums) if pairs is None else sums

    def compute_loss(
        self,
        model: nn.Module,
        inputs: StepBatch,
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss.

        Raises:
            FloatingPointError: The loss is not finite; the message names the rows.
            ValueError: Policy and reference disagree before the first update.
        """
        logps, entropies, router = self._objective.logps(model, inputs["rows"])
        rewards, sentences = self._objective.rewards(logps, inputs["rows"])
        if self.state.global_step == 0:
            check_start(rewards.detach(), self._start_tolerance, inputs["names"])
        terms = self._objective.terms(inputs, logps, rewards, sentences, router)
        loss = self._objective.loss(terms, self.state.global_step)
        if not torch.isfinite(loss):
            response, sentence, nll, router_loss = (term.item() for term in terms)
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()} (response {response}, sentence "
                f"{sentence}, log-likelihood {nll}, routers {router_loss}); rows: {', '.join(inputs['names'])}; "
                f"a lower learning rate may help"
            )
        self._metrics.add(inputs, rewards, sentences, terms, self.state.global_step)
        self._metrics.add_tokens(inputs, logps, entropies)
        # Gradients are averaged over ranks, the losses are normalised over them: undo the average.
        return loss * self.args.world_size

    # ---- Evaluation ----

    @torch.no_grad()
    def evaluate(
        self, eval_dataset: None = None, ignore_keys: list[str] | None = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """The numbers of the training log, on `eval_rows`: losses, rewards and margins as of one step over all of them.

        Training goes on as if there had been no evaluation.

        Raises:
            ValueError: There are no `eval_rows`, or a sharded policy has not begun to train.
        """
        if self._held_out is None or eval_dataset is not None:
            raise ValueError("evaluate() judges the eval_rows that the trainer is made with")
        if self._sharded and not self._referenced:
            raise ValueError("a sharded policy can be evaluated after its training has begun")
        self._compute_given_references()
        self._compute_eval_references(self.model)
        metrics = Metrics(self.config.beta, self.config.sentence_beta, self.args.device)
        batches = self._step(self._held_out.micro_batches(), self.args.device, evaluating=True)
        self.model_wrapped.eval()
        for batch in batches:
            inputs = self._prepare_inputs(batch)
            logps, entropies, router = self._objective.logps(self.model_wrapped, inputs["rows"])
            rewards, sentences = self._objective.rewards(logps, inputs["rows"])
            terms = self._objective.terms(inputs, logps, rewards, sentences, router)
            metrics.add(inputs, rewards, sentences, terms, step=1)
            metrics.add_tokens(inputs, logps, entropies)
        row = metrics.row(1, self._over_ranks)
        # A schedule may use one term by turns: here both count.
        factors = [max(turns) for turns in zip(self._objective.factors(0), self._objective.factors(1), strict=True)]
        row["loss"] = factors[0] * row["response_loss"] + factors[1] * row["sentence_loss"]
        row["loss"] += self.config.nll_weight * row["nll_loss"]
        row["loss"] += self.config.router_loss_weight * row.get("router_loss", 0.0)
        found = {f"{metric_key_prefix}_{name}": value for name, value in row.items()}
        if self.config.best_metric and found.get(self.config.best_metric) is None:
            raise ValueError(f"best_metric {self.config.best_metric}: the eval_rows lack a class that this needs")
        self.log(found)
        self.control: TrainerControl = self.callback_handler.on_evaluate(self.args, self.state, self.control, found)
        return found

    # ---- Logging ----

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the objective's own numbers, over all ranks, to a training log row."""
        if "loss" in logs:
            steps = self.state.global_step - max(self._logged_step, self._initial_global_step)
            logs.update(self._metrics.row(steps, self._over_ranks))
            logs["rows_truncated"] = self.counts["rows_truncated"]
            self._logged_step = self.state.global_step
            if self._samples is not None:
                logs.update(self._samples.new_numbers())
        super().log(logs, start_time)

    def _over_ranks(self, values: Tensor) -> Tensor:
        return self.accelerator.reduce(values, reduction="sum")

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not estimated: the inherited formula knows neither packing nor cached trunks."""
        return 0

    # ---- Results ----

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        if self.args.should_save:
            self._checkpoints.begin(self.state.global_step)
        super()._save_checkpoint(model, trial)
        if self.args.should_save and self.config.save_total_limit is not None:
            self._checkpoints.drop(keep=self.config.save_total_limit, best=self.state.best_global_step)

    def save_result(self) -> dict[str, Any]:
        """Write `adapter/` or `model/`, with a model card, and `result.json` to the output folder, and drop checkpoints
        of this run.

        Returns:
            What `result.json` holds: kind, path, counts, the last log row, seconds, peak memory, configuration.
        """
        kind = "adapter" if self.config.method == "lora" else "model"
        unwrapped = self.accelerator.unwrap_model(self.model)
        state = self.accelerator.get_state_dict(self.model_wrapped) if self._sharded else None
        self._states.close()
        rows = [row for row in self.state.log_history if "loss" in row]
        result = {
            "kind": kind,
            "path": kind,
            **self.counts,
            "steps": self.state.global_step,
            "ranks": self.args.world_size,
            **resources(self._began),
            "abs_reward_at_start": self._metrics.abs_reward_at_start,
            "references_cached": self.references.hits,
            "references_computed": self.references.computed,
            "class_weights": self._objective.weights,
            "sentence_class_weights": self._objective.sentence_weights,
            **outcome(self.state, self.config.best_metric, self._patience, self._samples),
            "last": rows[-1] if rows else None,
            "last_evaluation": next((row for row in reversed(self.state.log_history) if "eval_loss" in row), None),
            "config": self.config.model_dump(),
            "seed": self.args.seed,
            "versions": {name: version(name) for name in ("torch", "transformers", "accelerate", "peft")},
        }
        self.accelerator.wait_for_everyone()  # another rank may still be loading the best checkpoint
        if self.is_world_process_zero():
            write_result(self.folder, result, unwrapped, self.processing_class, state)
            write_card(
                self.folder / kind,
                result,
                unwrapped.config._name_or_path,
                self._checkpoints.identity["config"] | {"learning_rate": self.config.effective_learning_rate},
                [label for label, _ in self._store.labels],
                [label for label, _ in self._store.sentence_labels],
                self.state.log_history,
            )
            self._checkpoints.drop()
        self.accelerator.wait_for_everyone()
        if self.args.push_to_hub:
            self.push_to_hub()
        return result

    def push_to_hub(
        self,
        commit_message: str | None = None,
        blocking: bool = True,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        **_: Any,
    ) -> Any:
        """Upload what `save_result` has written to the hub; the arguments are those of transformers.

        Raises:
            ValueError: There is nothing yet.
        """
        folder = self.folder / ("adapter" if self.config.method == "lora" else "model")
        if not self.is_world_process_zero():
            return None
        if not folder.is_dir():
            raise ValueError(f"{folder} is missing: save_result() writes what push_to_hub() uploads")
        if self.hub_model_id is None:
            self.init_hf_repo(token=token, private=private)
        return upload_folder(  # type: ignore[call-overload]  # of which there is one for each value of run_as_future
            repo_id=self.hub_model_id,
            folder_path=folder,
            commit_message=commit_message or f"fKTO, {self.state.global_step} steps",
            token=token,
            run_as_future=not blocking,
            revision=revision or self.args.hub_revision,
        )
