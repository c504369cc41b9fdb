"""The policy in training: what is trained, the forward pass to log-probabilities, attention over packed rows."""
