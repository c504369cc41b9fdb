import time

import pandas as pd
import pytest

from factalign.base.text import split_sentences
from factalign.extraction import split_responses
from factalign.schemas import Sentences


def sentences(text):
    return [text[start:end] for start, end in split_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Accra is big. It is old.", ["Accra is big.", "It is old."]),
        ("The U.S. troops left. Dr. Mensah stayed, e.g. in Accra.", None),
        ("It covers 5 sq. km (13,226 sq. mi). It is big.", None),
        ("# Geography\nGhana lies in Africa.", ["Geography", "Ghana lies in Africa."]),
        ("- gold\n* oil\n1. cocoa. It sells.\n2) fish", ["gold", "oil", "cocoa.", "It sells.", "fish"]),
        ("one line\nthat goes on. Next.", ["one line\nthat goes on.", "Next."]),
        ("A 🎉 party! Next 👩‍👩‍👧 one.", ["A 🎉 party!", "Next 👩‍👩‍👧 one."]),
        ("加纳在非洲。首都是阿克拉！好", ["加纳在非洲。", "首都是阿克拉！", "好"]),
        ("घाना अफ्रीका में है। यह बड़ा है।", ["घाना अफ्रीका में है।", "यह बड़ा है।"]),
        ("---\n\n***\n🎉\n", []),
        ("", []),
        ("   \n\t ", []),
        ("no end", ["no end"]),
    ],
)
def test_split(text, expected):
    found = sentences(text)
    if expected is None:
        assert len(found) == 2
    else:
        assert found == expected


def test_offsets_are_exact_in_any_text():
    text = "Ça va?\r\n\r\n  • Ünïcode — yes. \ud800 lone.\u2028x 𝔘𝔫𝔦. \u200bZero."
    spans = split_sentences(text)
    assert len(spans) >= 5
    assert all(text[s:e] == text[s:e].strip() != "" for s, e in spans)
    assert all(first[1] <= second[0] for first, second in zip(spans, spans[1:], strict=False))


def test_table_keeps_equal_responses_apart():
    responses = pd.DataFrame({"response_id": ["a", "b", "c"], "text": ["Same. Twice.", "Same. Twice.", ""]})
    table = Sentences.validate(split_responses(responses))
    assert table["sentence_id"].is_unique
    assert table["response_id"].tolist() == ["a", "a", "b", "b"]
    assert table.equals(split_responses(responses))


def test_empty_tables():
    assert Sentences.validate(split_responses(pd.DataFrame({"response_id": [], "text": []}))).empty


def test_ten_thousand_words_and_worse_stay_linear():
    for unit in ("word. ", "a", "- x\n", "e.g. ", "!", "。", "A.", "1. "):
        short, long = unit * 2_000, unit * 16_000
        start = time.process_time()
        split_sentences(short)
        middle = time.process_time()
        split_sentences(long)
        # Eight times the text may take a good deal more than eight times as long, not 64 times.
        assert time.process_time() - middle < 40 * (middle - start) + 0.5, unit
