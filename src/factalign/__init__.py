"""FactAlign: align a language model for long-form factuality, sentence by sentence.

The public face; nothing heavy loads before it is used.
"""

import lazy_loader

__version__ = "0.1.0"

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
