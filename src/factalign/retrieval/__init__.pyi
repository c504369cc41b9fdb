from .protocol import RETRIEVERS, Hit, Retriever, open_retriever

__all__ = [
    "RETRIEVERS",
    "Hit",
    "Retriever",
    "open_retriever",
]
