"""People's labels of claims that policies made: a blinded sheet, how far readers agree, and corrected results.

May import the analysis, the base and the tables.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
