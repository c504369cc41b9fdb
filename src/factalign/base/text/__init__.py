"""Text of untrusted origin: characters, words and stems, sentences, Markdown. One definition of each, used by all."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
