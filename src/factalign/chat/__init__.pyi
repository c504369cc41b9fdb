from .budget import costs_of
from .cache import AnswerCache, CacheError
from .client import ChatClient
from .config import ChatConfig
from .tasks import Task

__all__ = [
    "AnswerCache",
    "CacheError",
    "ChatClient",
    "ChatConfig",
    "Task",
    "costs_of",
]
