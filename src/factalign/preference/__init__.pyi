from .config import PreferenceConfig
from .decontamination import decontaminate
from .rows import build_preferences, summarise_preferences

__all__ = [
    "PreferenceConfig",
    "build_preferences",
    "decontaminate",
    "summarise_preferences",
]
