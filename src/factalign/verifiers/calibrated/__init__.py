"""A verifier whose probabilities were fitted to labels of readers, from features that each have a meaning.

`features` reads a claim, `specificity` asks of how many other topics it would hold as well, `regression` turns features
into probabilities. Nothing here learns: `factalign.calibration` does.
"""
