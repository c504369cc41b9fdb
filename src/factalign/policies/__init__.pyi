from .conversion import convert_gguf
from .handles import PolicyError, PolicyHandle, make_handle, model_fingerprint, validate_handle
from .loading import load_policy

__all__ = [
    "PolicyError",
    "PolicyHandle",
    "convert_gguf",
    "load_policy",
    "make_handle",
    "model_fingerprint",
    "validate_handle",
]
