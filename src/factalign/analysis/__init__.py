"""What a person reads: estimates with intervals, figures, and the pages of a run, an evaluation, an audit.

Takes tables and dicts. May import the base alone.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
