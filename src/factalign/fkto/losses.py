"""The objective, on rewards: no model and no tokens here.

With the reward r(x, y) = Σ_t log π_θ(y_t | x, y_<t) - log π_ref(y_t | x, y_<t), a label s = ±1 and the class weight w,
KTO's loss of one response (Ethayarajh et al., 2024, arXiv 2402.01306, eq. 7-8) is

    w · (1 - σ(β · s · (r - z0))),    z0 = max(0, mean of r over mismatched pairs (x', y)),

with no gradient through z0. fKTO (Huang & Chen, 2024, arXiv 2410.01691) adds the same for every sentence, with r
summed over the sentence's tokens and z0 over the sentences of the mismatched pairs. APO-zero (D'Oosterlinck et al.,
2024, arXiv 2408.06266) is the case z0 = 0.

**Soft labels and weights.** A label is the desirable share p of the evidence and has a weight ω: its loss is

    ω · (p · loss(s = 1) + (1 - p) · loss(s = -1)),

that of two labels with weights ω·p and ω·(1 - p). Sums of ω take the place of numbers of labels, in the mean over the
step and in w 'auto'. z0 knows no ω: it measures how far the policy is from the reference, and a mismatched pair has no
label to be more or less sure of.

**z0 over time.** The mean of a step's few pairs is noisy. With a momentum m,

    a_t = m · a_{t-1} + (1 - m) · mean_t,    a_0 = 0,    z0_t = max(0, a_t / (1 - m^t)),

takes the last 1 / (1 - m) steps together, with the correction of a short past as in Adam (Kingma & Ba, 2015, arXiv
1412.6980). a is not clamped, so that noise around 0 cancels; it trails the policy by as many steps.

**Length.** r of a response or sentence is divided by 1, √n or n, its number of tokens ('none', 'sqrt', 'token'; z0
comes from rewards of the same kind). A sum grows with n, so long sentences saturate σ first and stop learning. n makes
r a mean in nats per token, as in SimPO (Meng et al., 2024, arXiv 2405.14734); √n lies between and would give r the same
variance at all lengths if tokens were independent. β then multiplies a number that is smaller by n or √n: for the same
β·r at a typical length n, take β times n or √n.

**Negative log-likelihood.** KTO may widen margins while it lowers the probability of what it should imitate. The term

    - Σ ω·p · log π_θ(y_t | x, y_<t) / Σ ω·p,    over all scored tokens, the end of the turn too, of labelled responses,

keeps up that of desirable responses (as Pang et al., 2024, arXiv 2404.19733, for DPO; they divide by the length of each
response, here every token counts the same).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import torch
from torch import Tensor

from factalign.fkto.config import Normalisation

logger = logging.getLogger(__name__)

ADVISED_RATIO = (1.0, 4.0 / 3.0)


def segment_sum(values: Tensor, segment: Tensor, size: int) -> Tensor:
    """Sum `values` `[n]` by `segment` `[n]` (indices below `size`; negative ones are left out) to `[size]`."""
    # One slot more takes what belongs nowhere: no mask, so no data-dependent shape.
    slots = torch.where(segment < 0, size, segment)
    return values.new_zeros(size + 1).index_add(0, slots, values)[:size]


def segment_rewards(gain: Tensor, segment: Tensor, size: int, normalisation: Normalisation) -> Tensor:
    """Rewards r of responses or sentences.

    Args:
        gain: `[n]`, log π_θ - log π_ref of tokens, in nats.
        segment: `[n]`, what each token belongs to, negative for nothing.
        size: The number of responses or sentences.
        normalisation: What their sums are divided by.

    Returns:
        `[size]`, in nats, nats per √token or nats per token.
    """
    total = segment_sum(gain, segment, size)
    if normalisation == "none":
        return total
    count = segment_sum(torch.ones_like(gain), segment, size).clamp(min=1)
    return total / (count if normalisation == "token" else count.sqrt())


def kto_losses(rewards: Tensor, labels: Tensor, z0: Tensor, beta: float, weights: tuple[float, float]) -> Tensor:
    """KTO's loss of each response or sentence.

    Args:
        rewards: `[n]`, r.
        labels: `[n]`, the desirable share p: 1 desirable, 0 not, or between.
        z0: Scalar, in the unit of r.
        beta: β.
        weights: (w_D, w_U).

    Returns:
        `[n]` losses.
    """
    share = labels.to(rewards.dtype)
    gain = beta * (rewards - z0.detach())
    desirable = weights[0] * (1 - torch.sigmoid(gain))
    undesirable = weights[1] * (1 - torch.sigmoid(-gain))
    return share * desirable + (1 - share) * undesirable


def nll_sum(logps: Tensor, weights: Tensor) -> Tensor:
    """The numerator of the negative log-likelihood, from `[n]` log-probabilities and what each token counts, ω·p."""
    return -(logps * weights).sum()


def k3(gain: Tensor) -> Tensor:
    """exp(-d) - 1 + d, of d = log π_θ - log π_ref of tokens: never negative, and 0 where both agree.

    Its mean over tokens that π_θ sampled estimates KL(π_θ ‖ π_ref) (Schulman, 2020, "Approximating KL divergence").
    Rows of the data are no such samples: over them it tells how far the two are apart there, and is not that KL.
    """
    return torch.expm1(-gain) + gain


def reference_point(total: Tensor, count: Tensor) -> Tensor:
    """z0 = max(0, total / count) from the summed rewards of mismatched pairs over all ranks; 0 where there are none."""
    return (total / count.clamp(min=1)).clamp(min=0)


def class_weights(
    desirable: float | str, undesirable: float | str, labels: Sequence[tuple[float, float]], level: str
) -> tuple[float, float]:
    """(w_D, w_U), resolved and checked against KTO's advice that w_D·n_D / (w_U·n_U) lies within [1, 4/3].

    The numbers of labels n are sums of their weights. `"auto"` makes that ratio 1 with a mean weight of 1 over all
    labels: w_c = n / (2 n_c).

    Args:
        desirable: w_D, or "auto".
        undesirable: w_U, or "auto".
        labels: (desirable share, weight) of all labels of the level in the data.
        level: "response" or "sentence", for the warning.
    """
    good = sum(label * weight for label, weight in labels)
    bad = sum((1 - label) * weight for label, weight in labels)
    count = good + bad
    if desirable == "auto" or undesirable == "auto":
        if not good or not bad:
            if count:
                logger.warning("all %d %s labels are %s: weights stay 1", len(labels), level, bool(good))
            return 1.0, 1.0
        return count / (2 * good), count / (2 * bad)
    weights = float(desirable), float(undesirable)
    if good and bad:
        ratio = weights[0] * good / (weights[1] * bad)
        low, high = ADVISED_RATIO
        if not low - 1e-6 <= ratio <= high + 1e-6:
            logger.warning(
                "%s weights (%g, %g) with %g desirable and %g undesirable labels give w_D·n_D / (w_U·n_U) = %.2f; "
                "KTO advises [1, 4/3] ('auto' balances)",
                level, *weights, good, bad, ratio,
            )  # fmt: skip
    return weights
