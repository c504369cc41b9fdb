"""Kedro datasets whose saves are all or nothing: a killed run leaves no artifact that looks finished."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
