"""Verifiers: each judges claims against passages.

`lexical` reads words and typed facts, `entailment` asks a cross-encoder, `llm` (in `judge/`) a chat model, `ensemble`
several of them.

May import chat, corpora (their typed facts), the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
