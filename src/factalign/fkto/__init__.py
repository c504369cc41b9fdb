"""fKTO: KTO on whole responses and on their sentences (Huang & Chen, 2024, arXiv 2410.01691).

The formulas, z0 among them, are in `losses`; `objective` applies them to a micro-batch, `trainer` puts all together. In
`rows`, `data` reads rows, `spans` finds their sentences among the tokens, `plan` decides which rows and mismatched
pairs meet when, and `batches` makes tensors of them. `model` holds the forward pass to log-probabilities, `reference`
and `precompute` those of the policy before its first step, `run` what is around a training.

`FKTOConfig` and `FKTOTrainer` load when they are first
used. May import policies and the base.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
