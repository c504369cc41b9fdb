"""A verifier of one's own corpus: synthetic claims, a small cross-encoder trained on them, its calibration.

May import verifiers, extraction, retrieval, corpora, the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
