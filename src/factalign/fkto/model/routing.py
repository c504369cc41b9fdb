"""The load-balancing loss of mixtures of experts (Fedus et al., 2021, arXiv 2101.03961, eq. 4-6).

For E experts, of which each token takes the k best, over all tokens t and layers l that are run,

    E · Σ_e f_e · P_e,    f_e = mean over (t, l) of [e is among the k of t],    P_e = mean over (t, l) of softmax_e,

which is k when all experts are used alike. Transformers computes it; padding does not count there, and a packed row has
none, so both layouts give the same.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def load_balancing(model: PreTrainedModel) -> Callable[[tuple[Tensor, ...], Tensor | None], Tensor]:
    """The loss as a function of the routers' logits, `[tokens, experts]` of each layer, and of the padding mask.

    Raises:
        ValueError: The model has no experts, or balances them in another way.
    """
    experts, chosen = getattr(model, "num_experts", None), getattr(model, "num_experts_per_tok", None)
    modules = (sys.modules[kind.__module__] for kind in type(model).__mro__)
    formula = next((f for m in modules if (f := getattr(m, "load_balancing_loss_func", None))), None)
    if formula is None or not experts or not chosen:
        raise ValueError(
            f"{type(model).__name__} is no mixture of experts with a load-balancing loss: set router_loss_weight to 0"
        )

    def loss(logits: tuple[Tensor, ...], mask: Tensor | None) -> Tensor:
        return formula(tuple(layer.float() for layer in logits), experts, chosen, mask)

    return loss
