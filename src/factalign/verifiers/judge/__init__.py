"""The chat judge: its prompt, and the verifier that asks it."""
