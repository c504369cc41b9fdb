"""Verifiers and claim extractors against what people labelled: agreement with intervals, and the gate before training.

May import evaluation and all below it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
