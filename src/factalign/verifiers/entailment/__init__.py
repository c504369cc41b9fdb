"""The entailment verifier: a sequence classifier over windows of evidence, calibrated."""
