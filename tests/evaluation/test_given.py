import json

import numpy as np
import pandas as pd
import pytest

from factalign.evaluation import read_responses
from factalign.schemas import Prompts, Responses

ROWS = [
    {"prompt": "Tell me about Chad.", "response": "Chad is landlocked.", "topic": "Chad"},
    {"prompt": "Tell me about Chad.", "response": "", "topic": "Chad"},
    {"prompt": "And Peru?", "response": "Line one.\u2028Line two. 東京 🦆 \ud800", "topic": ""},
]


def write(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def texts(given):
    prompts, responses = read_responses(given)
    Prompts.validate(prompts)
    Responses.validate(responses)
    return responses["text"].tolist()


def test_the_same_rows_give_the_same_tables_in_every_format(tmp_path):
    expected = read_responses(ROWS)
    clean = [{**row, "response": row["response"].replace("\ud800", "\ufffd")} for row in ROWS]
    table = pd.DataFrame(clean)
    table.to_parquet(tmp_path / "rows.parquet")
    table.to_csv(tmp_path / "rows.csv", index=False)
    for given in (
        write(tmp_path / "rows.jsonl", ROWS),
        str(tmp_path / "rows.parquet"),
        tmp_path / "rows.csv",
        table,
        iter(ROWS),
    ):
        for found, wanted in zip(read_responses(given), expected, strict=True):
            pd.testing.assert_frame_equal(found, wanted)


def test_answers_to_the_same_prompt_are_samples_of_it():
    prompts, responses = read_responses(ROWS)
    assert prompts["topic"].tolist() == ["Chad", ""]
    assert responses["sample_index"].tolist() == [0, 1, 0]
    assert responses["prompt_id"].nunique() == 2
    twice = read_responses([ROWS[0], ROWS[0]])[1]
    assert twice["response_id"].nunique() == 2


def test_conversations_as_in_trl(tmp_path):
    row = {
        "prompt": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Chad?"}],
        "completion": [{"role": "assistant", "content": "A country."}],
    }
    pd.DataFrame([row]).to_parquet(tmp_path / "rows.parquet")
    for given in ([row], tmp_path / "rows.parquet"):
        prompts, responses = read_responses(given)
        assert [message["role"] for message in prompts["messages"].iloc[0]] == ["system", "user"]
        assert prompts["topic"].iloc[0] == ""
        assert responses["text"].tolist() == ["A country."]
    assert texts([{"prompt": "Chad?", "completion": "A country.", "topic": np.nan}]) == ["A country."]


def test_unused_fields_are_named(caplog):
    with caplog.at_level("INFO"):
        read_responses([{**ROWS[0], "topics": "Chad", "id": 3}])
    assert "the fields id, topics are not used" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"response": "x"}, "line 2: field 'prompt' is missing"),
        ({"prompt": "x"}, "line 2: needs one of the fields 'response' and 'completion', has none"),
        ({"prompt": "x", "response": "a", "completion": "b"}, "line 2: .* has response and completion"),
        ({"prompt": "x", "response": "y", "topic": 3}, "line 2: field 'topic' must be text, got 3"),
        ({"prompt": 7, "response": "y"}, "line 2: field 'prompt' must be text or a list of messages"),
        ({"prompt": [{"role": "user"}], "response": "y"}, "line 2: field 'prompt' must be text or a list"),
        ({"prompt": "x", "response": []}, "line 2: field 'response' must be text or a list of messages"),
        (
            {"prompt": "x", "response": [{"role": "user", "content": "y"}]},
            "line 2: field 'response' must be text or one message of the role 'assistant'",
        ),
        (["x"], "line 2: must be a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_path_line_and_field(tmp_path, row, message):
    path = write(tmp_path / "rows.jsonl", [ROWS[0], row])
    with pytest.raises(ValueError, match=f"{path}, {message}"):
        read_responses(path)


def test_bad_files_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"none\.jsonl: no such file of responses"):
        read_responses(tmp_path / "none.jsonl")
    (tmp_path / "rows.txt").write_text("x")
    with pytest.raises(ValueError, match=r"rows\.txt: unknown format '\.txt'; valid: \.jsonl, \.csv, \.parquet"):
        read_responses(tmp_path / "rows.txt")
    (tmp_path / "rows.csv").write_text('prompt,response\n"a,b\nc')
    with pytest.raises(ValueError, match=r"rows\.csv, line 3: not readable as CSV"):
        read_responses(tmp_path / "rows.csv")
    (tmp_path / "rows.parquet").write_text("x")
    with pytest.raises(ValueError, match=r"rows\.parquet: not a readable Parquet file"):
        read_responses(tmp_path / "rows.parquet")
    with pytest.raises(ValueError, match=r"empty\.jsonl: no responses"):
        read_responses(write(tmp_path / "empty.jsonl", []))
    with pytest.raises(ValueError, match="responses, row 1: must be a dict"):
        read_responses(["text"])
