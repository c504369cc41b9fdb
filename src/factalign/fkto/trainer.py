"""`FKTOTrainer`: a `transformers.Trainer` that trains a causal language model with fKTO."""

from __future__ import annotations

import json
import logging
import resource
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from transformers import Trainer, TrainerCallback, TrainingArguments, set_seed
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import PrinterCallback

from factalign.fkto.collate import model_inputs, segments
from factalign.fkto.config import FKTOConfig
from factalign.fkto.data import Row, parse_rows
from factalign.fkto.losses import class_weights, kto_losses, reference_point, segment_sum
from factalign.fkto.models import fingerprint, prepare_model, save_model, set_checkpointing, trunk_states
from factalign.fkto.pairs import Item, Plan
from factalign.fkto.progress import Progress, TrainingLog
from factalign.fkto.reference import ReferenceCache, batches_by_tokens, sequence_key, space_key
from factalign.fkto.spans import NO_SENTENCE, SpanEncoder, TokenSequence
from factalign.fkto.trunk import StateStore

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

logger = logging.getLogger(__name__)

REFERENCE_TOKENS = 4096
FLUSH_SEQUENCES = 512

SUMS = (
    "response_loss", "sentence_loss", "tokens", "first_abs_reward", "first_rows",
    "desirable", "desirable_reward", "undesirable", "undesirable_reward",
    "sentence_desirable", "sentence_desirable_reward", "sentence_undesirable", "sentence_undesirable_reward",
)  # fmt: skip


class _Items(Dataset):
    """Hands the plan's items through to the collator, which knows the sequences."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, item: Item) -> Item:
        return item


class _PlanSampler:
    """The plan as a batch sampler: one list of items a micro-batch."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.epoch = 0

    def __len__(self) -> int:
        return self.plan.micro_batches_per_epoch

    def __iter__(self) -> Iterator[list[Item]]:
        return self.plan.micro_batches(self.epoch)

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`; called here when a resumed epoch has wrapped the sampler."""
        self.epoch = epoch


class _PlanLoader(DataLoader):
    """A data loader whose order follows the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Take the order of `epoch`."""
        self.batch_sampler.set_epoch(epoch)


class FKTOTrainer(Trainer):
    """Trains `model` on labelled rows; see `losses` for the objective and `FKTOConfig` for the choices.

    The reference is the policy as it is handed over. What is trained is prepared here: hand over a plain causal
    language model, not one with adapters.

    Args:
        model: The policy.
        tokenizer: Its fast tokenizer.
        rows: `Row`s, or mappings in one of the formats of `data.parse_row`.
        config: The choices.
        output_dir: Gets checkpoints, `training_log.jsonl`, and from `save_result` the trained weights.
        seed: Decides the order, the mismatched pairs and the adapter's first weights.
        callbacks: More `TrainerCallback`s.

    Raises:
        RowError: A row cannot be trained on.
        ValueError: Model, rows and configuration do not fit each other.
    """

    loss_is_scaled_for_ga = True

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerFast,
        rows: Iterable[Row | Mapping[str, Any]],
        config: FKTOConfig,
        output_dir: str | Path,
        *,
        seed: int = 0,
        callbacks: Sequence[TrainerCallback] = (),
    ) -> None:
        self.config = config
        self.folder = Path(output_dir)
        self._encoder = SpanEncoder(tokenizer, config.max_length)
        self._encode_rows(parse_rows(rows))
        self._weights = class_weights(
            config.desirable_weight, config.undesirable_weight,
            [row.label for row in self.rows if row.label is not None], "response",
        )  # fmt: skip
        self._sentence_weights = class_weights(
            config.sentence_desirable_weight, config.sentence_undesirable_weight,
            [row.sentence_labels[i] for row, s in zip(self.rows, self._sequences, strict=True) for i in s.sentences],
            "sentence",
        )  # fmt: skip
        set_seed(seed)
        cached = config.reference_cache_dir is not None
        weights_hash = fingerprint(model) if cached else ""
        model, self._trunk = prepare_model(model, config)
        args = self._arguments(seed)
        space = space_key(
            weights_hash, config.dtype, config.method, str(config.packing), str(config.load_in_4bit),
            str(config.train_layers if self._trunk else ""), args.device.type,
            torch.__version__, transformers.__version__,
        )  # fmt: skip
        folder = self.folder.parent / "reference_cache" if config.reference_cache_dir == "auto" else None
        if cached and folder is None:
            folder = Path(str(config.reference_cache_dir))
        self.references = ReferenceCache(folder, space)
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
        args.gradient_accumulation_steps = self.plan.accumulation
        self._sums = torch.zeros(len(SUMS), dtype=torch.float64)
        self._points: list[tuple[float, float]] = []
        self._window_began = self._began = time.monotonic()
        super().__init__(
            model=model,
            args=args,
            train_dataset=_Items(len(self.rows)),
            data_collator=self._collate,
            processing_class=tokenizer,
            callbacks=[TrainingLog(self.folder / "training_log.jsonl"), Progress(), *callbacks],
        )
        self.remove_callback(PrinterCallback)

    # ---- Rows and sequences ----

    def _encode_rows(self, rows: list[Row]) -> None:
        encoded = [(row, self._encoder.encode(row)) for row in rows]
        kept = [(row, s) for row, s in encoded if s.num_scored and (row.label is not None or s.sentences)]
        for row, s in encoded:
            if not s.num_scored:
                logger.warning("%s: prompt takes all %d tokens of max_length, row left out", row.name, len(s))
        if not kept:
            raise ValueError(f"none of the {len(rows)} rows has a label and a completion within max_length")
        self.rows = [row for row, _ in kept]
        self._sequences = [s for _, s in kept]
        self._pairs: dict[tuple[int, int], TokenSequence] = {}
        self.counts = {
            "rows": len(kept),
            "rows_left_out": len(rows) - len(kept),
            "rows_truncated": sum(s.truncated for s in self._sequences),
            "response_labels": sum(row.label is not None for row in self.rows),
            "sentences": sum(len(s.sentences) for s in self._sequences),
            "sentences_cut_off": sum(len(r.spans) - len(s.sentences) for r, s in kept),
            "tokens": sum(len(s) for s in self._sequences),
        }

    def _pair(self, partner: int, row: int) -> TokenSequence:
        """The mismatched pair: the prompt of `partner` before the completion of `row`."""
        if (partner, row) not in self._pairs:
            self._pairs[partner, row] = self._encoder.encode(self.rows[row], self.rows[partner].prompt)
        return self._pairs[partner, row]

    def _kl_sequences(self, items: Iterable[Item]) -> list[tuple[int, TokenSequence]]:
        pairs = [(item.row, self._pair(item.partner, item.row)) for item in items if item.partner is not None]
        return [(row, s) for row, s in pairs if s.num_scored]

    def _inputs(self, sequences: Sequence[TokenSequence]) -> dict[str, Any]:
        inputs = model_inputs(sequences, self.config.packing)
        if self._trunk is not None:
            states = [self._states.get(sequence_key(s)) for s in sequences]
            inputs["trunk_states"] = (
                torch.cat(states)[None] if self.config.packing else nn.utils.rnn.pad_sequence(states, batch_first=True)
            )
        return inputs

    def _side(self, rows: Sequence[int], sequences: Sequence[TokenSequence]) -> dict[str, Any]:
        """Tensors of a micro-batch's rows, or of its mismatched pairs."""
        of_row, of_sentence, sentences = segments(sequences)
        return {
            "inputs": self._inputs(sequences),
            "reference": torch.cat([torch.from_numpy(self.references[sequence_key(s)]) for s in sequences]),
            "of_row": of_row,
            "of_sentence": of_sentence,
            "size": len(sequences),
            "longest": max(len(s) for s in sequences),
            "sentence_labels": torch.tensor(
                [self.rows[rows[i]].sentence_labels[index] for i, index in sentences], dtype=torch.bool
            ),
            "sentence_share": self._sentence_shares(sequences, sentences),
        }

    def _sentence_shares(self, sequences: Sequence[TokenSequence], sentences: list[tuple[int, int]]) -> Tensor:
        """What each sentence counts in the mean: 1, or 1 / (sentences of its response)."""
        if self.config.sentence_reduction == "sentence":
            return torch.ones(len(sentences))
        return torch.tensor([1.0 / len(sequences[i].sentences) for i, _ in sentences])

    def _collate(self, items: Sequence[Item]) -> dict[str, Any]:
        rows = [item.row for item in items]
        sequences = [
            s if item.counts else replace(s, sentences=(), sentence=s.sentence * 0 + NO_SENTENCE)
            for item in items
            for s in (self._sequences[item.row],)
        ]
        labels = [self.rows[item.row].label if item.counts else None for item in items]
        pairs = self._kl_sequences(items)
        return {
            "rows": self._side(rows, sequences),
            "pairs": self._side([row for row, _ in pairs], [s for _, s in pairs]) if pairs else None,
            "labelled": torch.tensor([i for i, label in enumerate(labels) if label is not None], dtype=torch.long),
            "labels": torch.tensor([label for label in labels if label is not None], dtype=torch.bool),
            "counting": torch.tensor([i for i, item in enumerate(items) if item.counts], dtype=torch.long),
            "tokens": sum(len(self._sequences[item.row]) for item in items if item.counts),
            "names": [self.rows[row].name for row in rows],
        }

    def get_train_dataloader(self) -> DataLoader:
        """The plan's micro-batches; it is rank-aware already, so accelerate does not shard it again."""
        return _PlanLoader(self.train_dataset, batch_sampler=_PlanSampler(self.plan), collate_fn=self._collate)

    # ---- Reference ----

    def train(self, resume_from_checkpoint: str | bool | None = None, **kwargs: Any) -> Any:
        """Train; continues from the newest complete checkpoint in the output folder if `config.resume` says so."""
        if resume_from_checkpoint is None and self.config.resume:
            resume_from_checkpoint = self._newest_checkpoint()
        if not self._sharded:
            # Before a checkpoint is loaded: the reference is the policy as it was handed over.
            self._compute_references(self.model)
        self._window_began = self._began = time.monotonic()
        return super().train(resume_from_checkpoint=resume_from_checkpoint, **kwargs)

    def _newest_checkpoint(self) -> str | None:
        """The newest complete checkpoint: the state is what a checkpoint gets last, a killed run may not get there."""
        complete = (path.parent for path in self.folder.glob(f"checkpoint-*/{TRAINER_STATE_NAME}"))
        steps = {int(number): path for path in complete if (number := path.name.removeprefix("checkpoint-")).isdigit()}
        return str(steps[max(steps)]) if steps else None

    @property
    def _sharded(self) -> bool:
        return self.is_fsdp_enabled or self.is_deepspeed_enabled

    def _prepare_for_training(
        self, max_steps: int, train_dataloader: DataLoader, resume_from_checkpoint: str | None
    ) -> tuple[nn.Module, DataLoader]:
        model, loader = super()._prepare_for_training(max_steps, train_dataloader, resume_from_checkpoint)
        if self._sharded:
            if resume_from_checkpoint is not None and self._lacking():
                raise ValueError(
                    f"{resume_from_checkpoint}: a sharded run can only continue with its reference cache, and "
                    f"{self.references.folder} lacks entries"
                )
            self._compute_references(model)
        return model, loader

    def _needed(self) -> dict[str, TokenSequence]:
        """All sequences of this rank's share of the run."""
        steps = self.plan.steps_per_epoch * self.config.epochs
        steps = min(steps, self.config.max_steps or steps)
        needed: dict[str, TokenSequence] = {}
        for epoch in range(-(-steps // self.plan.steps_per_epoch)):
            left = (steps - epoch * self.plan.steps_per_epoch) * self.plan.accumulation
            for number, items in enumerate(self.plan.micro_batches(epoch)):
                if number >= left:
                    break
                for s in (
                    *(self._sequences[item.row] for item in items),
                    *(s for _, s in self._kl_sequences(items)),
                ):
                    needed[sequence_key(s)] = s
        return needed

    def _lacking(self) -> set[str]:
        return self.references.missing(self._needed())

    @torch.no_grad()
    def _compute_references(self, model: nn.Module) -> None:
        """Fill the reference cache, and with method `layers` the trunk states, for all sequences of the run."""
        needed = self._needed()
        lacking = self.references.missing(needed)
        work = [(k, s) for k, s in needed.items() if k in lacking or (self._trunk and k not in self._states)]
        groups = batches_by_tokens([s for _, s in work], REFERENCE_TOKENS)
        rounds = len(groups)
        if self._sharded:
            rounds = int(self.accelerator.gather(torch.tensor([rounds], device=self.args.device)).max())
            # Sharded forward passes are collective: a rank without work of its own repeats something.
            groups += [[0]] * (rounds - len(groups))
            work = work or [next(iter(needed.items()))]
        model.eval()
        entries = {}
        quiet = not (self.is_world_process_zero() and sys.stderr.isatty())
        for group in tqdm(groups, desc="reference", disable=quiet, unit="batch"):
            keys, sequences = [work[i][0] for i in group], [work[i][1] for i in group]
            if self._trunk is not None:
                self._compute_trunk(model, keys, sequences)
            if not self._sharded and lacking.isdisjoint(keys):
                continue
            logps = model(**self._prepare_inputs(self._inputs(sequences))).cpu()
            for key, part in zip(keys, logps.split([s.num_scored for s in sequences]), strict=True):
                entries[key] = part.clone().numpy()
            if len(entries) >= FLUSH_SEQUENCES:
                self.references.add(entries)
                entries = {}
        self.references.add(entries)

    def _compute_trunk(self, model: nn.Module, keys: Sequence[str], sequences: Sequence[TokenSequence]) -> None:
        new = [(k, s) for k, s in zip(keys, sequences, strict=True) if k not in self._states]
        if not new or self._trunk is None:
            return
        lengths = [len(s) for _, s in new]
        inputs = self._prepare_inputs(model_inputs([s for _, s in new], self.config.packing))
        states = trunk_states(self.accelerator.unwrap_model(model), self._trunk, inputs)
        rows = (
            states[0].split(lengths) if self.config.packing else [r[:n] for r, n in zip(states, lengths, strict=True)]
        )
        for (key, _), row in zip(new, rows, strict=True):
            self._states.put(key, row)

    # ---- The step ----

    def get_batch_samples(
        self, epoch_iterator: Iterator[dict[str, Any]], num_batches: int, device: torch.device
    ) -> tuple[list[dict[str, Any]], None]:
        """Collect the micro-batches of a step, with z0 and the counts of the whole step over all ranks."""
        batches, _ = super().get_batch_samples(epoch_iterator, num_batches, device)
        share = torch.zeros(len(batches), 6, dtype=torch.float64, device=device)
        for number, batch in enumerate(batches):
            share[number, 0] = len(batch["labels"])
            share[number, 1] = batch["rows"]["sentence_share"].sum()
            if self.config.uses_kl:
                share[number, 2:] = self._mismatched(batch, device)
        share = self.accelerator.reduce(share, reduction="sum")
        total = share.sum(0)
        for number, batch in enumerate(batches):
            kl = (total if self.config.kl_scope == "step" else share[number]).float()
            batch["num_labels"], batch["num_sentences"] = total[:2].clamp(min=1).float()
            batch["z0"] = reference_point(kl[2], kl[3])
            batch["z0_sentence"] = reference_point(kl[4], kl[5])
        return batches, None

    @torch.no_grad()
    def _mismatched(self, batch: dict[str, Any], device: torch.device) -> Tensor:
        """(sum, count) of the rewards of a micro-batch's mismatched pairs, and of their sentences."""
        pairs = batch.pop("pairs")
        if pairs is None and self.args.world_size == 1:
            return torch.zeros(4, device=device)
        # Wrapped models may communicate in forward: without pairs, the rows keep this rank in step with the others.
        side = self._prepare_inputs(pairs or batch["rows"])
        self.model_wrapped.eval()
        rewards, sentences = self._rewards(self.model_wrapped, side)
        if pairs is None:
            return torch.zeros(4, device=device)
        share = side["sentence_share"]
        return torch.stack([rewards.sum(), rewards.new_tensor(len(rewards)), (sentences * share).sum(), share.sum()])

    def _rewards(self, model: nn.Module, side: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """R of the sequences and of their labelled sentences."""
        set_checkpointing(model, side["longest"] > self.config.checkpoint_activations_above)
        gain = model(**side["inputs"]) - side["reference"]
        return (
            segment_sum(gain, side["of_row"], side["size"]),
            segment_sum(gain, side["of_sentence"], len(side["sentence_labels"])),
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """This micro-batch's share of the step's loss.

        Raises:
            FloatingPointError: The loss is not finite; the message names the rows.
        """
        side, labels = inputs["rows"], inputs["labels"]
        rewards, sentences = self._rewards(model, side)
        labelled = rewards[inputs["labelled"]]
        response = kto_losses(labelled, labels, inputs["z0"], self.config.beta, self._weights)
        sentence = side["sentence_share"] * kto_losses(
            sentences,
            side["sentence_labels"],
            inputs["z0_sentence"],
            self.config.sentence_beta,
            self._sentence_weights,
        )
        response, sentence = response.sum() / inputs["num_labels"], sentence.sum() / inputs["num_sentences"]
        response_factor, sentence_factor = self._factors()
        loss = response_factor * response + sentence_factor * sentence
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"step {self.state.global_step + 1}: the loss is {loss.item()} (response {response.item()}, sentence "
                f"{sentence.item()}); rows: {', '.join(inputs['names'])}; a lower learning rate may help"
            )
        self._record(
            inputs,
            rewards.detach(),
            labelled.detach(),
            sentences.detach(),
            response.detach(),
            sentence.detach(),
        )
        # Gradients are averaged over ranks, the losses are normalised over them: undo the average.
        return loss * self.args.world_size

    def _factors(self) -> tuple[float, float]:
        """(λ, λ_s) of the current step; alternating, each is 0 by turns."""
        factors = (
            self.config.response_weight if self.config.uses_responses else 0.0,
            self.config.sentence_weight if self.config.uses_sentences else 0.0,
        )
        if self.config.schedule == "joint" or 0.0 in factors:
            return factors
        return (factors[0], 0.0) if self.state.global_step % 2 == 0 else (0.0, factors[1])

    # ---- Logging ----

    def _record(
        self,
        inputs: dict[str, Any],
        rewards: Tensor,
        labelled: Tensor,
        sentences: Tensor,
        response_loss: Tensor,
        sentence_loss: Tensor,
    ) -> None:
        counting, first = rewards[inputs["counting"]], int(self.state.global_step == 0)
        good, good_sentences = inputs["labels"], inputs["rows"]["sentence_labels"]
        self._sums += torch.stack(
            [
                value.double().cpu()
                for value in (
                    response_loss, sentence_loss, torch.tensor(inputs["tokens"]),
                    first * counting.abs().sum(), torch.tensor(first * len(counting)),
                    good.sum(), labelled[good].sum(), (~good).sum(), labelled[~good].sum(),
                    good_sentences.sum(), sentences[good_sentences].sum(),
                    (~good_sentences).sum(), sentences[~good_sentences].sum(),
                )
            ]
        )  # fmt: skip
        self._points.append((float(inputs["z0"]), float(inputs["z0_sentence"])))

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the objective's own numbers, over all ranks, to a training log row."""
        if "loss" in logs:
            since = max(self._logged_step, self._initial_global_step)
            logs.update(self._window(steps=self.state.global_step - since))
            self._logged_step = self.state.global_step
        super().log(logs, start_time)

    _logged_step = 0

    def _window(self, steps: int) -> dict[str, Any]:
        sums = self.accelerator.reduce(self._sums.to(self.args.device), reduction="sum").tolist()
        total = dict(zip(SUMS, sums, strict=True))
        now = time.monotonic()
        row: dict[str, Any] = {
            "response_loss": total["response_loss"] / steps,
            "sentence_loss": total["sentence_loss"] / steps,
            "z0": sum(z for z, _ in self._points) / max(len(self._points), 1),
            "z0_sentence": sum(z for _, z in self._points) / max(len(self._points), 1),
        }
        for prefix, beta in (("", self.config.beta), ("sentence_", self.config.sentence_beta)):
            means: dict[str, float | None] = {}
            for name in ("desirable", "undesirable"):
                count = total[f"{prefix}{name}"]
                means[name] = beta * total[f"{prefix}{name}_reward"] / count if count else None
                row[f"{prefix}reward_{name}"] = means[name]
                row[f"{prefix}num_{name}"] = int(count)
            good, bad = means["desirable"], means["undesirable"]
            row[f"{prefix}margin"] = None if good is None or bad is None else good - bad
        if total["first_rows"]:
            self.abs_reward_at_start = total["first_abs_reward"] / total["first_rows"]
            row["abs_reward_at_start"] = self.abs_reward_at_start
        row["tokens"] = int(total["tokens"])
        row["tokens_per_second"] = total["tokens"] / max(now - self._window_began, 1e-9)
        row["rows_truncated"] = self.counts["rows_truncated"]
        self._sums.zero_()
        self._points.clear()
        self._window_began = now
        return row

    abs_reward_at_start: float | None = None

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not estimated: the inherited formula knows neither packing nor cached trunks."""
        return 0

    # ---- Results ----

    def save_result(self) -> dict[str, Any]:
        """Write `adapter/` or `model/` and `result.json` to the output folder, and drop checkpoints and trunk states.

        Returns:
            What `result.json` holds: kind, path, counts, the last log row, seconds, peak memory, configuration.
        """
        kind = "adapter" if self.config.method == "lora" else "model"
        unwrapped = self.accelerator.unwrap_model(self.model)
        state = self.accelerator.get_state_dict(self.model_wrapped) if self._sharded else None
        self._states.close()
        rows = [row for row in self.state.log_history if "loss" in row]
        usage = resource.getrusage(resource.RUSAGE_SELF)
        result = {
            "kind": kind,
            "path": kind,
            **self.counts,
            "steps": self.state.global_step,
            "ranks": self.args.world_size,
            "seconds": time.monotonic() - self._began,
            "cpu_seconds": usage.ru_utime + usage.ru_stime,
            "peak_memory_gib": usage.ru_maxrss / 2**20,
            "peak_gpu_memory_gib": torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else None,
            "abs_reward_at_start": self.abs_reward_at_start,
            "references_cached": self.references.hits,
            "references_computed": self.references.computed,
            "class_weights": self._weights,
            "sentence_class_weights": self._sentence_weights,
            "last": rows[-1] if rows else None,
            "config": self.config.model_dump(),
            "seed": self.args.seed,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }
        if self.is_world_process_zero():
            if kind == "adapter":
                unwrapped.save_pretrained(self.folder / kind, state_dict=state)
            else:
                save_model(unwrapped, self.processing_class, self.folder / kind, state or unwrapped.state_dict())
            for checkpoint in self.folder.glob("checkpoint-*"):
                shutil.rmtree(checkpoint)
            (self.folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
        self.accelerator.wait_for_everyone()
        return result

    def _arguments(self, seed: int) -> TrainingArguments:
        config = self.config
        return TrainingArguments(
            output_dir=str(self.folder),
            per_device_train_batch_size=config.micro_batch_size,
            num_train_epochs=config.epochs,
            max_steps=config.max_steps or -1,
            learning_rate=config.effective_learning_rate,
            lr_scheduler_type=config.scheduler,
            warmup_steps=config.warmup_ratio,
            optim=config.optimizer,
            weight_decay=config.weight_decay,
            max_grad_norm=config.max_grad_norm,
            logging_steps=config.logging_steps,
            logging_nan_inf_filter=False,
            save_strategy="steps" if config.save_steps else "no",
            save_steps=config.save_steps or 500,
            save_total_limit=config.save_total_limit,
            report_to=config.report_to or "none",
            seed=seed,
            use_cpu=not torch.cuda.is_available(),
            ddp_find_unused_parameters=False,
            ddp_broadcast_buffers=False,
            disable_tqdm=True,
            remove_unused_columns=False,
        )
