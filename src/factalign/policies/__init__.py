"""Policies on disk: handles that name them, loading with adapters merged, conversion from GGUF.

May import the base alone; sampling and training both load their models here.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
