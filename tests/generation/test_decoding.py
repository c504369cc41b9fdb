import pytest
import torch
from scipy.stats import chisquare
from transformers import AutoModelForCausalLM, DynamicCache, MistralConfig, MistralForCausalLM
from transformers.cache_utils import DynamicSlidingWindowLayer
from transformers.generation.logits_process import (
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from factalign.generation.decoding import candidate_distribution, decode_batch, draw, next_tokens, speed_up
from factalign.generation.engines import Sampling

PROMPTS = [[5, 9, 20], [7], [30, 31, 32, 33, 34, 35, 36], [9, 8, 7, 6]]


@pytest.fixture(params=["sdpa", "grouped"])
def model(request, tiny_model):
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32).eval()
    if request.param == "grouped":
        speed_up(model)
        assert model.config._attn_implementation != "sdpa"
    return model


def decode(model, prompts, *, stop_ids=(2,), max_new_tokens=40, seed=0, **sampling):
    uniforms = torch.rand(len(prompts), max_new_tokens, generator=torch.Generator().manual_seed(seed))
    stops = torch.tensor(stop_ids, dtype=torch.long)
    return decode_batch(model, prompts, uniforms, Sampling(**{"temperature": 0.0} | sampling), stop_ids=stops)


def reference(model, prompt, *, stop_ids, max_new_tokens=40):
    """Greedy tokens of `generate` for one unpadded prompt."""
    stops = list(stop_ids) or None
    output = model.generate(
        torch.tensor([prompt]),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
        max_new_tokens=max_new_tokens,
        do_sample=False,
        eos_token_id=stops,
        pad_token_id=0,
    )
    return output[0, len(prompt) :].tolist()


@pytest.mark.parametrize(("temperature", "top_k", "top_p"), [(0.7, 50, 1.0), (1.3, 20, 0.8), (0.7, 0, 0.9), (1, 0, 1)])
def test_candidate_distribution_equals_that_of_the_warpers(temperature, top_k, top_p):
    logits = torch.randn(6, 300, generator=torch.Generator().manual_seed(1)) * 3
    warpers = LogitsProcessorList([TemperatureLogitsWarper(float(temperature))])
    if top_k:
        warpers.append(TopKLogitsWarper(top_k))
    if top_p < 1:
        warpers.append(TopPLogitsWarper(top_p))
    expected = warpers(None, logits.clone()).softmax(-1)
    probabilities, ids = candidate_distribution(logits, Sampling(temperature=temperature, top_k=top_k, top_p=top_p))
    full = probabilities if ids is None else torch.zeros_like(logits).scatter(1, ids, probabilities)
    torch.testing.assert_close(full, expected, atol=1e-6, rtol=1e-5)


def test_draws_follow_the_probabilities():
    probabilities = torch.tensor([0.5, 0.0, 0.3, 0.15, 0.05])
    draws = 20_000
    uniform = torch.rand(draws, generator=torch.Generator().manual_seed(3))
    counts = draw(probabilities.expand(draws, -1), uniform).bincount(minlength=5)
    assert counts[1] == 0
    possible = probabilities > 0
    assert chisquare(counts[possible].numpy(), (probabilities[possible] * draws).numpy()).pvalue > 1e-3


@pytest.mark.parametrize("uniform", [0.0, 1 - 2**-24])
def test_the_ends_of_the_unit_interval_draw_possible_entries(uniform):
    probabilities = torch.tensor([[0.0, 0.3, 0.7, 0.0]])
    assert draw(probabilities, torch.tensor([uniform])).item() == (1 if uniform == 0 else 2)


def test_a_tiny_temperature_is_greedy_and_broken_logits_are_an_error():
    logits = torch.tensor([[1.0, 3.0, 2.9]])
    assert next_tokens(logits, torch.tensor([0.99]), Sampling(temperature=1e-30, top_k=2)).item() == 1
    with pytest.raises(FloatingPointError, match="not finite"):
        next_tokens(logits * float("nan"), torch.tensor([0.5]), Sampling(temperature=1.0, top_k=2))


def test_greedy_equals_generate_with_padding_and_without_stops(model):
    assert decode(model, PROMPTS, stop_ids=()) == [reference(model, p, stop_ids=()) for p in PROMPTS]


def test_greedy_equals_generate_with_several_stop_tokens(model):
    free = [reference(model, prompt, stop_ids=()) for prompt in PROMPTS]
    stop_ids = (free[0][3], free[2][11])
    expected = [reference(model, prompt, stop_ids=stop_ids) for prompt in PROMPTS]
    assert {len(row) for row in expected} != {40}, "the stop tokens must end some rows early"
    assert decode(model, PROMPTS, stop_ids=stop_ids) == expected


def test_rows_of_one_prompt_share_its_prefill(model):
    lengths = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: lengths.append(tuple(kwargs["input_ids"].shape)), with_kwargs=True
    )
    rows = [prompt for prompt in PROMPTS for _ in range(4)]
    together = decode(model, rows, stop_ids=())
    assert lengths[0] == (4, 7)
    assert lengths[1] == (16, 1)
    assert together == [row for prompt in PROMPTS for row in decode(model, [prompt], stop_ids=()) * 4]


def test_samples_do_not_depend_on_the_other_rows(model):
    model.double()  # In lower precision two candidates of nearly equal logits may change places.
    options = {"temperature": 1.0, "top_k": 20}
    uniforms = torch.rand(len(PROMPTS), 30, generator=torch.Generator().manual_seed(0))
    alone = [
        decode_batch(model, [prompt], uniforms[[row]], Sampling(**options), stop_ids=torch.tensor([2]))[0]
        for row, prompt in enumerate(PROMPTS)
    ]
    assert decode(model, PROMPTS, max_new_tokens=30, **options) == alone
    assert decode(model, PROMPTS, max_new_tokens=30, seed=1, **options) != alone


def test_finished_rows_leave_the_batch(model):
    free = [reference(model, prompt, stop_ids=()) for prompt in PROMPTS]
    sizes = []
    model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape[0]), with_kwargs=True
    )
    decode(model, PROMPTS, stop_ids=(free[0][3],))
    assert sizes[0] == 4
    assert sizes[-1] < 4


def test_sliding_windows_keep_their_own_cache():
    torch.manual_seed(0)
    config = MistralConfig(
        vocab_size=60, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, sliding_window=6, initializer_range=0.4, pad_token_id=0,
    )  # fmt: skip
    model = MistralForCausalLM(config).eval()
    assert type(DynamicCache(config=config).layers[0]) is DynamicSlidingWindowLayer
    speed_up(model)
    # One prompt length at a time: left padding inside a sliding window is `generate`'s own affair.
    for prompt in PROMPTS:
        assert decode(model, [prompt], stop_ids=()) == [reference(model, prompt, stop_ids=())]
