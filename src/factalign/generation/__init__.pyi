from .config import SamplingConfig
from .engines import ENGINES, Engine, EngineError, Generation, Sampling
from .sampling import drop_unfinished_sentence, sample_responses

__all__ = [
    "ENGINES",
    "Engine",
    "EngineError",
    "Generation",
    "Sampling",
    "SamplingConfig",
    "drop_unfinished_sentence",
    "sample_responses",
]
