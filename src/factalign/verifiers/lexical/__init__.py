"""The lexical verifier: tokens, names, clauses and typed facts, without a model."""
