"""Responses become sentences, sentences become self-contained claims.

May import chat, corpora (its reading aids), the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
