from .protocol import RETRIEVERS, Hit, Retriever, load_retriever

__all__ = [
    "RETRIEVERS",
    "Hit",
    "Retriever",
    "load_retriever",
]
