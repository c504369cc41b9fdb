"""Against TRL's KTOTrainer on identical pairs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import PreTrainedTokenizerFast

from factalign.fkto.rows.batches import model_inputs

from .conftest import make_model, make_rows
from .test_trainer import make_trainer

trl = pytest.importorskip("trl", minversion="1.16.0", reason="the peer trl is not installed")
datasets = pytest.importorskip("datasets", reason="the peer trl needs datasets")


def perturb(model: torch.nn.Module) -> None:
    torch.manual_seed(5)
    for _, parameter in sorted(model.named_parameters()):
        parameter.data += 0.02 * torch.randn_like(parameter)


@pytest.mark.parametrize(
    ("ours", "theirs"), [("fkto", "kto"), ("kto", "kto"), ("apo_zero_unpaired", "apo_zero_unpaired")]
)
def test_without_the_sentence_term_loss_and_gradients_are_trls(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path, ours: str, theirs: str
) -> None:
    weights = {"desirable_weight": 1.3, "undesirable_weight": 0.8}
    trainer = make_trainer(
        tokenizer, tmp_path / "ours", make_rows(6), loss_type=ours, sentence_weight=0.0, response_weight=1.0, beta=0.2,
        micro_batch_size=6, start_tolerance=1e3, **weights,
    )  # fmt: skip
    trainer._compute_references(trainer.model)
    perturb(trainer.model)
    loader = iter(trainer.get_train_dataloader())
    (batch,), _ = trainer.get_batch_samples(loader, 1, torch.device("cpu"))
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()

    (items,) = trainer.plan.micro_batches(0)

    def padded(sequences: list[Any], prefix: str) -> dict[str, Any]:
        inputs = model_inputs(sequences, packing=False)
        scored = [[int(i >= s.start) for i in range(inputs["input_ids"].shape[1])] for s in sequences]
        mask = inputs["attention_mask"]
        return {
            f"{prefix}input_ids": inputs["input_ids"],
            f"{prefix}attention_mask": mask,
            f"{prefix}completion_mask": torch.tensor(scored) * mask,
        }

    labels = torch.tensor([trainer.rows[item.row].label for item in items])
    inputs = {**padded([trainer._store.sequences[item.row] for item in items], ""), "label": labels}
    if theirs == "kto":
        inputs |= padded([trainer._store.pair(item.partner, item.row) for item in items], "KL_")
    peer = trl.KTOTrainer(
        model=make_model(len(tokenizer)),
        ref_model=make_model(len(tokenizer)),
        args=trl.KTOConfig(
            str(tmp_path / "trl"), beta=0.2, loss_type=theirs, bf16=False, use_cpu=True, report_to="none",
            per_device_train_batch_size=6, gradient_checkpointing=False, **weights,
        ),
        train_dataset=datasets.Dataset.from_list(
            [{k: row[k] for k in ("prompt", "completion", "label")} for row in make_rows(6)]
        ),
        processing_class=tokenizer,
    )  # fmt: skip
    perturb(peer.model)
    expected = peer._compute_loss(peer.model, inputs, return_outputs=False)
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)
    if theirs == "kto":
        assert batch["z0"].item() > 0
    theirs_by_name = dict(peer.model.named_parameters())
    assert any(p.grad.abs().max() > 1e-3 for p in trainer.model.parameters())
    for name, parameter in trainer.model.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs_by_name[name].grad, atol=1e-5, rtol=1e-5)
