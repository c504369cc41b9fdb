"""Engines, and the responses sampled with them.

An *engine* turns conversations into texts; with one of them `sample_responses` turns a prompt table into a response
table.

May import policies, the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
