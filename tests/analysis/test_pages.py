import pytest
from jinja2 import UndefinedError

from factalign.analysis.pages import render

REPORT = {
    "summary": {"prompts": 1, "samples_per_prompt": 1, "k": 4, "seed": 0},
    "last": "base",
    "headline": {},
    "titles": {},
    "columns": [],
    "figures": {},
    "warnings": ['<script>alert(1)</script> & "more" \ud83d {{ 7 * 7 }}'],
    "drift": [],
    "examples": [],
    "costs": [],
}


def test_text_is_escaped_and_surrogates_are_replaced():
    page = render("report.html", **REPORT)
    page.encode("utf-8")
    assert "<li>&lt;script&gt;alert(1)&lt;/script&gt; &amp; &#34;more&#34; \ufffd {{ 7 * 7 }}</li>" in page


def test_what_a_template_does_not_get_is_an_error():
    with pytest.raises(UndefinedError, match="'warnings' is undefined"):
        render("report.html", **{key: value for key, value in REPORT.items() if key != "warnings"})
