"""A chat model as a worker, for the judge and the extractor: asked in batches, answered from a cache, held to a budget.

May import generation, policies, the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
