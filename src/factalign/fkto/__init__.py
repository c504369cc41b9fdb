"""fKTO: KTO on whole responses and on their sentences (Huang & Chen, 2024, arXiv 2410.01691).

`FKTOConfig` and `FKTOTrainer` load when they are first used. May import policies and the base.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
