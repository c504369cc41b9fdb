"""`FKTOTrainer`: a `transformers.Trainer` that trains a causal language model with fKTO."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainerCallback, TrainerControl, set_seed
from transformers.trainer_callback import PrinterCallback

from factalign.fkto.config import FKTOConfig
from factalign.fkto.model.preparation import cast_model, model_hash, prepare_model
from factalign.fkto.model.selfcheck import SelfCheck, check_start
from factalign.fkto.model.trunk import StateStore
from factalign.fkto.objective import Objective
from factalign.fkto.precompute import Precomputation, open_cache, sequences_of_run
from factalign.fkto.rows.batches import Batches, MicroBatch, StepBatch
from factalign.fkto.rows.data import Row, parse_rows
from factalign.fkto.rows.held_out import HeldOut
from factalign.fkto.rows.plan import Items, Plan, PlanLoader, PlanSampler
from factalign.fkto.rows.row_store import RowStore
from factalign.fkto.rows.spans import SpanEncoder
from factalign.fkto.rows.template_check import template_warnings
from factalign.fkto.run.arguments import training_arguments
from factalign.fkto.run.checkpoints import Checkpoints, run_identity
from factalign.fkto.run.monitor import Metrics
from factalign.fkto.run.progress import Progress, TrainingLog
from factalign.fkto.run.ranks import from_main
from factalign.fkto.run.results import resources, write_result
from factalign.fkto.run.sharding import check_optimizer, prepare_fsdp

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)


class FKTOTrainer(Trainer):
    """Trains `model` on labelled rows; see `losses` for the objective and `FKTOConfig` for the choices.

    The reference is the policy as it is handed over. What is trained is prepared here: hand over a plain causal
    language model, not one with adapters.

    Args:
        model: The policy.
        tokenizer: Its fast tokenizer.
        rows: `Row`s, or mappings in one of the formats of `data.parse_row`.
        config: The choices.
        output_dir: Gets checkpoints, `training_log.jsonl`, `evaluation_log.jsonl`, and from `save_result` the weights.
        seed: Decides the order, the mismatched pairs and the adapter's first weights.
        eval_rows: Rows for `evaluate`.
        callbacks: More `TrainerCallback`s.

    Raises:
        RecordError: A row cannot be trained on.
        ValueError: Model, rows and configuration do not fit each other.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        rows: Iterable[Row] | Iterable[Mapping[str, Any]],
        config: FKTOConfig,
        output_dir: str | Path,
        *,
        seed: int = 0,
        eval_rows: Iterable[Row] | Iterable[Mapping[str, Any]] | None = None,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        if getattr(model, "peft_config", None):
            raise ValueError(
                f"{type(model).__name__} holds adapters: hand over model.merge_and_unload(), or the base model alone "
                f"with method 'lora', which adds an adapter of its own"
            )
        if config.eval_steps and eval_rows is None:
            raise ValueError("eval_steps needs rows to evaluate (eval_rows, --eval-data)")
        check_optimizer(config.optimizer)
        self.folder = Path(output_dir)
        encoder = SpanEncoder(tokenizer, config.max_length, config.chat_template_kwargs)
        self._store = RowStore(parse_rows(rows), encoder, config.max_bad_rows)
        self.rows, self.counts = self._store.rows, self._store.counts
        for warning in template_warnings(encoder, self.rows):
            logger.warning(warning)
        self._objective = Objective(config, self._store)
        set_seed(seed)
        handed_over = from_main(lambda: model_hash(model))
        cast_model(model, config)
        check = SelfCheck(model, self._store.sequences, config.selfcheck_tolerance)
        model, trunk = prepare_model(model, config)
        self.config = config = check.settle(model, trunk, config)
        args = training_arguments(config, self.folder, seed)
        self.references = open_cache(config, self.folder, handed_over, model.config._attn_implementation, args.device)
        self._checkpoints = Checkpoints(
            self.folder, run_identity(self.rows, encoder.fingerprint, handed_over, config, seed, args.world_size)
        )
        self._states = StateStore(
            int(config.trunk_cache_gib * 2**30), self.folder / f"trunk_states.{args.process_index}.bin"
        )
        self.plan = Plan(
            prompts=[row.prompt for row in self.rows],
            batch_size=config.batch_size,
            micro_batch_size=config.micro_batch_size,
            seed=seed,
            with_pairs=config.uses_kl,
            rank=args.process_index,
            world_size=args.world_size,
        )
        self._held_out = (
            None if eval_rows is None else HeldOut(parse_rows(eval_rows), encoder, self.references, config, self.plan)
        )
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
        moving = [] if self._objective.moving_z0 is None else [self._objective.moving_z0]
        super().__init__(
            model=model,
            args=args,
            train_dataset=Items(len(self.rows)),
            eval_dataset=None if self._held_out is None else Items(0),
            data_collator=self._batches.collate,
            processing_class=tokenizer,
            callbacks=[TrainingLog(logs), Progress(), *moving, *callbacks],
        )
        self.remove_callback(PrinterCallback)

    def get_train_dataloader(self) -> DataLoader:
        """The plan's micro-batches; it is rank-aware already, so accelerate does not shard it again."""
        return PlanLoader(self.train_dataset, batch_sampler=PlanSampler(self.plan), collate_fn=self.data_collator)

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
        sums = torch.zeros(len(batches), 7, dtype=torch.float64, device=device)
        for own, batch in zip(sums, batches, strict=True):
            own[:3] = self._objective.counts(batch)
            if self.config.uses_kl:
                own[3:] = self._mismatched(batch, device)
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
        logps, entropies = self._objective.logps(model, inputs["rows"])
        rewards, sentences = self._objective.rewards(logps, inputs["rows"])
        if self.state.global_step == 0:
            check_start(rewards.detach(), self.config.start_tolerance, inputs["names"])
        terms = self._objective.terms(inputs, logps, rewards, sentences)
        loss = self._objective.loss(terms, self.state.global_step)
        if not torch.isfinite(loss):
            response, sentence, nll = (term.item() for term in terms)
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()} (response {response}, sentence "
                f"{sentence}, log-likelihood {nll}); rows: {', '.join(inputs['names'])}; a lower learning rate may help"
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
        self._compute_eval_references(self.model)
        metrics = Metrics(self.config.beta, self.config.sentence_beta, self.args.device)
        batches = self._step(self._held_out.micro_batches(), self.args.device, evaluating=True)
        self.model_wrapped.eval()
        for batch in batches:
            inputs = self._prepare_inputs(batch)
            logps, entropies = self._objective.logps(self.model_wrapped, inputs["rows"])
            rewards, sentences = self._objective.rewards(logps, inputs["rows"])
            metrics.add(inputs, rewards, sentences, self._objective.terms(inputs, logps, rewards, sentences), step=1)
            metrics.add_tokens(inputs, logps, entropies)
        row = metrics.row(1, self._over_ranks)
        # A schedule may use one term by turns: here both count.
        factors = [max(turns) for turns in zip(self._objective.factors(0), self._objective.factors(1), strict=True)]
        row["loss"] = factors[0] * row["response_loss"] + factors[1] * row["sentence_loss"]
        row["loss"] += self.config.nll_weight * row["nll_loss"]
        found = {f"{metric_key_prefix}_{name}": value for name, value in row.items()}
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
            self._checkpoints.drop(keep=self.config.save_total_limit)

    def save_result(self) -> dict[str, Any]:
        """Write `adapter/` or `model/` and `result.json` to the output folder, and drop checkpoints of this run.

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
            "last": rows[-1] if rows else None,
            "last_evaluation": next((row for row in reversed(self.state.log_history) if "eval_loss" in row), None),
            "config": self.config.model_dump(),
            "seed": self.args.seed,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }
        if self.is_world_process_zero():
            write_result(self.folder, result, unwrapped, self.processing_class, state)
            self._checkpoints.drop()
        self.accelerator.wait_for_everyone()
        return result
