"""Character spans become tokens without loss, whatever the template and tokenizer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from factalign.base.records import RecordError
from factalign.fkto.rows.data import Row
from factalign.fkto.rows.spans import NO_SENTENCE, SpanEncoder, TokenSequence
from factalign.fkto.rows.template_check import template_warnings

from .conftest import SPECIAL, TEMPLATES, make_tokenizer

TEXTS = {
    "plain": ["The capital is Vienna.", "It lies on the Danube.", "A hill!"],
    "lines": ["The capital is Vienna.\n\n", "\tIt lies there.", "\n- A mountain"],
    "scripts": ["東京は日本の首都です。", "人口は多い。", "Москва — город.", "Ärzte."],
    "emoji": ["👩‍👩‍👧.", "🌍!", "é́."],
    "words": ["A.", "B.", "I"],
}
FAMILIES = ("byte_level", "metaspace")


def row_of(sentences: list[str], glue: str = " ", finished: bool = True, prompt: str = "Tell me.") -> Row:
    text, spans = "", []
    for sentence in sentences:
        text += glue if text else ""
        spans.append((len(text), len(text) + len(sentence)))
        text += sentence
    return Row(
        prompt=(("user", prompt),),
        completion=text,
        label=True,
        spans=tuple(spans),
        sentence_labels=(True,) * len(spans),
        finished=finished,
    )


def decode(tokenizer: PreTrainedTokenizerFast, sequence: TokenSequence, sentence: int) -> str:
    ids = sequence.ids[sequence.start :][sequence.sentence == sentence]
    return tokenizer.decode(ids.tolist(), skip_special_tokens=False)


@pytest.fixture(scope="module", params=[(f, t) for f in FAMILIES for t in TEMPLATES], ids="-".join)
def any_tokenizer(request: pytest.FixtureRequest) -> PreTrainedTokenizerFast:
    return make_tokenizer(*request.param)


@pytest.mark.parametrize("name", TEXTS)
def test_every_sentence_gets_its_tokens_including_the_first(any_tokenizer: PreTrainedTokenizerFast, name: str) -> None:
    """FactAlign defects 1 and 2: spans shifted by one token, sentences silently dropped."""
    row = row_of(TEXTS[name])
    sequence = SpanEncoder(any_tokenizer, 512).encode(row)
    assert sequence.sentences == tuple(range(len(row.spans)))
    for index, (start, end) in enumerate(row.spans):
        found = decode(any_tokenizer, sequence, index).replace("▁", " ")
        assert found.strip() == row.completion[start:end].strip()


def test_role_headers_and_prompt_are_never_scored(any_tokenizer: PreTrainedTokenizerFast) -> None:
    """FactAlign defect 8: the completion templated by itself, so headers count as the model's words."""
    row = row_of(TEXTS["plain"])
    sequence = SpanEncoder(any_tokenizer, 512).encode(row)
    scored = any_tokenizer.convert_ids_to_tokens(sequence.ids[sequence.start :].tolist())
    assert [token for token in scored[:-1] if token in SPECIAL] == []
    assert scored[-1] in SPECIAL
    text = any_tokenizer.decode(sequence.ids[sequence.start : -1].tolist()).replace("▁", " ")
    assert text.strip() == row.completion


def test_a_prompt_that_quotes_the_answer_does_not_attract_its_spans(
    any_tokenizer: PreTrainedTokenizerFast,
) -> None:
    """FactAlign defect 2: a sentence quoted in the prompt matches there."""
    sentences = TEXTS["plain"]
    quoting = SpanEncoder(any_tokenizer, 512).encode(row_of(sentences, prompt=f"Is this true: {' '.join(sentences)}"))
    plain = SpanEncoder(any_tokenizer, 512).encode(row_of(sentences))
    assert quoting.start > plain.start
    assert quoting.sentence.tolist() == plain.sentence.tolist()
    assert quoting.ids[quoting.start :].tolist() == plain.ids[plain.start :].tolist()


def test_a_cut_off_response_gets_no_end_of_turn(any_tokenizer: PreTrainedTokenizerFast) -> None:
    """FactAlign defect 7: truncated completions get an EOS appended."""
    special = set(any_tokenizer.all_special_ids)
    cut = SpanEncoder(any_tokenizer, 512).encode(row_of(TEXTS["plain"], finished=False))
    whole = SpanEncoder(any_tokenizer, 512).encode(row_of(TEXTS["plain"]))
    assert int(whole.ids[-1]) in special
    assert not special & set(cut.ids[cut.start :].tolist())
    assert len(cut) < len(whole)


def test_truncation_scores_whole_sentences_only(any_tokenizer: PreTrainedTokenizerFast) -> None:
    row = row_of(TEXTS["plain"])
    whole = SpanEncoder(any_tokenizer, 512).encode(row)
    last = whole.start + int(np.flatnonzero(whole.sentence == 1)[-1])
    cut = SpanEncoder(any_tokenizer, last).encode(row)
    assert cut.truncated and not whole.truncated
    assert cut.sentences == (0,)
    assert set(cut.sentence.tolist()) <= {0, NO_SENTENCE}
    assert len(cut) == last


def test_a_prompt_longer_than_the_limit_leaves_nothing(tokenizer: PreTrainedTokenizerFast) -> None:
    sequence = SpanEncoder(tokenizer, 4).encode(row_of(TEXTS["plain"]))
    assert (sequence.num_scored, len(sequence), sequence.sentences) == (0, 4, ())


@pytest.mark.parametrize("completion", ["", " ", "\n\n", "  The capital. \n", "<|im_end|> hidden", "a" * 20_000])
def test_untrusted_completions_survive(any_tokenizer: PreTrainedTokenizerFast, completion: str) -> None:
    row = Row(prompt=(("user", "Tell me."),), completion=completion, label=True)
    sequence = SpanEncoder(any_tokenizer, 100_000).encode(row)
    scored = any_tokenizer.decode(sequence.ids[sequence.start :].tolist()).replace("▁", " ")
    assert completion.strip() in scored


def test_leading_white_space_that_a_template_strips_does_not_move_spans() -> None:
    tokenizer = make_tokenizer("byte_level", "llama3")
    row = Row((("user", "Hi."),), "  Vienna lies there. A hill.", True, ((2, 20), (21, 28)), (True, False))
    sequence = SpanEncoder(tokenizer, 512).encode(row)
    assert decode(tokenizer, sequence, 0).strip() == "Vienna lies there."
    assert decode(tokenizer, sequence, 1).strip() == "A hill."


def test_a_template_that_rewrites_the_completion_is_an_error_with_the_row(
    tokenizer: PreTrainedTokenizerFast,
) -> None:
    broken = make_tokenizer("byte_level")
    broken.chat_template = "{% for m in messages %}{{ m.content | upper }}{% endfor %}"
    with pytest.raises(RecordError, match=r"row 7.*changes the completion"):
        SpanEncoder(broken, 512).encode(Row((("user", "Hi."),), "small", True, name="row 7"))


CHATML = TEMPLATES["chatml"]
TURNS = "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
ASK = "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
THINKS = (  # answers of the past get an empty thought, and so does the question, if thinking is off
    TURNS + "{% if m.role == 'assistant' %}{{ '<think></think>' }}{% endif %}"
    + "{{ m.content + '<|im_end|>\n' }}{% endfor %}" + ASK
    + "{% if add_generation_prompt and enable_thinking is false %}{{ '<think></think>' }}{% endif %}"
)  # fmt: skip
ENDLESS = TURNS + "{{ m.content + '\n' }}{% endfor %}" + ASK
DATED = "{{ 'Today is ' + (date_string if date_string is defined else strftime_now('%d %b %Y')) }}" + CHATML
STRICT = "{% if messages[0].role == 'system' %}{{ raise_exception('No system role.') }}{% endif %}" + CHATML


def encoder_of(template: str, **kwargs: object) -> SpanEncoder:
    tokenizer = make_tokenizer("byte_level")
    tokenizer.chat_template = template
    return SpanEncoder(tokenizer, 512, kwargs)


def test_a_template_that_refuses_a_role_names_the_row() -> None:
    row = Row((("system", "Be."), ("user", "Hi.")), "Hello.", True, name="row 7")
    with pytest.raises(RecordError, match=r"row 7: the chat template refuses the roles system, user.*No system role"):
        encoder_of(STRICT).encode(row)


@pytest.mark.parametrize(
    ("template", "kwargs", "parts"),
    [
        (THINKS, {}, ["trained after", "assistant\\n<think></think>'", "asked after", "assistant'"]),
        (THINKS, {"enable_thinking": False}, []),
        (ENDLESS, {}, ["no token of the chat template ends the response", r"goes on with '\n'"]),
        (DATED, {}, ["date of today", "date_string"]),
        (DATED, {"date_string": "1 Jan 2026"}, []),
        (DATED.replace("date_string if date_string is defined else ", ""), {"date_string": "1 Jan 2026"}, []),
        *((template, {}, []) for name, template in TEMPLATES.items() if name != "thinking"),
        (TEMPLATES["thinking"], {}, ["trained after", "asked after", "<think>"]),
    ],
)
def test_what_a_template_does_to_training_is_told(template: str, kwargs: dict[str, object], parts: list[str]) -> None:
    encoder, row = encoder_of(template, **kwargs), row_of(TEXTS["plain"])
    plain = Row("Hi.", "Hello.", True)
    found = list(template_warnings(encoder, [plain, row, row]))
    assert len(found) == bool(parts)
    assert all(part in found[0] for part in parts)
    assert list(template_warnings(encoder, [plain])) == []
    if "date_string" in kwargs:
        assert "Today is 1 Jan 2026<" in encoder.render(row.prompt, row.completion, "").text


def test_plain_text_rows_end_with_eos(tokenizer: PreTrainedTokenizerFast) -> None:
    sequence = SpanEncoder(tokenizer, 512).encode(Row("The sky is", " blue.", True))
    assert tokenizer.decode(sequence.ids[sequence.start :].tolist()) == " blue.<|endoftext|>"


def test_a_row_without_prompt_scores_from_its_second_token(tokenizer: PreTrainedTokenizerFast) -> None:
    sequence = SpanEncoder(tokenizer, 512).encode(Row("", "The capital.", True, ((0, 12),), (True,)))
    assert sequence.start == 1


@pytest.mark.parametrize("family", FAMILIES)
def test_plain_text_begins_as_the_tokenizer_begins_it(family: str) -> None:
    tokenizer = make_tokenizer(family, "llama3")
    bos = tokenizer.convert_tokens_to_ids("<s>")
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    encoder = SpanEncoder(tokenizer, 512)
    row = Row("The capital is", " Vienna.", True, ((0, 8),), (True,))
    sequence = encoder.encode(row)
    assert sequence.ids.tolist() == tokenizer("The capital is Vienna.<|endoftext|>").input_ids
    assert sequence.ids[0] == bos
    assert "Vienna" in decode(tokenizer, sequence, 0) and "capital" not in decode(tokenizer, sequence, 0)
    assert encoder.encode(replace(row, prompt="<s>The capital is")).ids.tolist().count(bos) == 1
    assert encoder.encode(row, "Which town is").ids.tolist().count(bos) == 1
    assert encoder.encode(replace(row, prompt="")).start == 1
    assert bos not in encoder.encode(row_of(TEXTS["plain"])).ids
    assert bos not in SpanEncoder(make_tokenizer(family), 512).encode(row).ids


def test_slow_tokenizers_are_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(ValueError, match="fast tokenizer"):
        SpanEncoder(Slow(), 10)  # type: ignore[arg-type]
