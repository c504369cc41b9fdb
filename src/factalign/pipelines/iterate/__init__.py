from .pipeline import create_pipeline, create_round

__all__ = ["create_pipeline", "create_round"]
