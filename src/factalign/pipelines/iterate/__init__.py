from .pipeline import create_pipeline, create_round, policy_names

__all__ = ["create_pipeline", "create_round", "policy_names"]
