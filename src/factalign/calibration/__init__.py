"""A verifier's probabilities, fitted to labels of readers and measured on topics that the fit did not see.

May import evaluation, verifiers, extraction, retrieval, corpora, the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
