"""FactAlign: align a language model for long-form factuality, sentence by sentence."""

__version__ = "0.1.0"
