"""The evaluator: evidence, verdicts and scores of responses, from whatever wrote them.

Composes extraction, retrieval, verifiers and corpora, and hands its tables to analysis for the page.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
