"""Small tokenizers of both families with the usual chat templates, and a tiny random Llama."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

# Models this small only lose by sharing their work.
torch.set_num_threads(1)

SPECIAL = [
    "<|endoftext|>", "<s>", "</s>", "<|im_start|>", "<|im_end|>", "<|begin_of_text|>", "<|start_header_id|>",
    "<|end_header_id|>", "<|eot_id|>", "<start_of_turn>", "<end_of_turn>", "<|user|>", "<|assistant|>", "<|system|>",
    "<|end|>", "[INST]", "[/INST]",
]  # fmt: skip

TEMPLATES = {
    "chatml": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "chatml_system": "{% if messages[0].role != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}{% endif %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    "llama3": "{{ '<|begin_of_text|>' }}{% for m in messages %}"
    "{{ '<|start_header_id|>' + m.role + '<|end_header_id|>\n\n'"
    " + m.content | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\n\n' }}{% endif %}",
    "gemma": "{{ '<s>' }}{% for m in messages %}{{ '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role)"
    " + '\n' + m.content | trim + '<end_of_turn>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<start_of_turn>model\n' }}{% endif %}",
    "phi3": "{% for m in messages %}{{ '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% else %}{{ '<|endoftext|>' }}{% endif %}",
    "mistral": "{{ '<s>' }}{% for m in messages %}{% if m.role == 'assistant' %}{{ ' ' + m.content | trim + '</s>' }}"
    "{% else %}{{ '[INST] ' + m.content + ' [/INST]' }}{% endif %}{% endfor %}",
    "thinking": "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n<think>\n\n</think>\n\n' }}{% endif %}",
}

CORPUS = [
    "The capital of Austria is Vienna. It lies on the Danube and has about two million people.",
    "Tell me about Austria. Which language is spoken there? user assistant system model",
    "Ärzte und Straßen. 東京は日本の首都です。人口は多い。 Москва. 🌍 emoji 👩‍👩‍👧.",
    "A mountain is higher than a hill; 3.5 percent of 1,200 kilometres! Its economy rests on farming.",
]


def make_tokenizer(family: str, template: str = "chatml") -> PreTrainedTokenizerFast:
    """A `byte_level` BPE or a `metaspace` (sentencepiece-like, with byte fallback) tokenizer."""
    if family == "byte_level":
        core = Tokenizer(models.BPE())
        core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        core.post_processor = processors.ByteLevel(trim_offsets=True)
        core.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            show_progress=False,
            vocab_size=600,
            special_tokens=SPECIAL,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )
    else:
        core = Tokenizer(models.BPE(byte_fallback=True, unk_token="<|endoftext|>"))
        core.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
        core.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Metaspace(prepend_scheme="never")])
        trainer = trainers.BpeTrainer(
            show_progress=False,
            vocab_size=700,
            special_tokens=[*SPECIAL, *(f"<0x{i:02X}>" for i in range(256))],
            max_token_length=8,
        )
    core.train_from_iterator(CORPUS * 4, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    tokenizer.add_special_tokens({"additional_special_tokens": SPECIAL[1:]})
    tokenizer.chat_template = TEMPLATES[template]
    return tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return make_tokenizer("byte_level")


def make_model(vocabulary: int, seed: int = 0, tied: bool = True, **changes: Any) -> LlamaForCausalLM:
    """A Llama with 3 layers of width 32, random enough for its log-probabilities to differ."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=2048, initializer_range=0.3, tie_word_embeddings=tied,
        pad_token_id=0, bos_token_id=None, eos_token_id=0,
        **changes,
    )  # fmt: skip
    return LlamaForCausalLM(config)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    return make_model(len(tokenizer))


SENTENCES = [
    "The capital of {c} is Vienna.", "It lies on the Danube.", "It has about {n} million people.",
    "Its economy rests on farming.", "東京は日本の首都です。", "A mountain is higher than a hill!",
]  # fmt: skip


def make_rows(count: int = 12, seed: int = 0, prompts: int = 4, **fixed: Any) -> list[dict[str, Any]]:
    """Preference rows in our format with 1-5 labelled sentences each."""
    rng = random.Random(seed)
    rows = []
    for i in range(count):
        country = f"Land{i % prompts}"
        text, spans = "", []
        for sentence in rng.sample(SENTENCES, rng.randint(1, 5)):
            sentence = sentence.format(c=country, n=rng.randint(1, 90))
            text += " " if text else ""
            spans.append([len(text), len(text) + len(sentence)])
            text += sentence
        rows.append(
            {
                "prompt": [{"role": "user", "content": f"Tell me about {country}."}],
                "completion": [{"role": "assistant", "content": text}],
                "label": rng.random() < 0.5,
                "sentence_spans": spans,
                "sentence_label": [rng.random() < 0.5 for _ in spans],
                **fixed,
            }
        )
    return rows


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return make_rows()


@pytest.fixture
def saved(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> Callable[[], Path]:
    """Writes the tiny model and its tokenizer to a folder."""

    def save() -> Path:
        folder = tmp_path / "policy"
        make_model(len(tokenizer)).save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        return folder

    return save
