"""Scores become training rows: labels, balance, and prompts kept off the benchmark.

May import the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
