import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pytest

from factalign.analysis.evaluation_page import sentence_verdict
from factalign.base.http import FetchError
from factalign.evaluation import evaluate
from factalign.retrieval import Hit

NASTY = [
    "<script>alert(1)</script> is the capital.",
    "\"Quotes\" and 'more' of them && <b onload=x>bold</b>.",
    "Line\u2028separator and \u202eoverride and {{ 7 * 7 }} {% raw %}.",
    "</details></article></main></style></script><img src=http://example.org/x>",
]
VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """Checks that tags are balanced; collects their attributes, and the text outside of style and script."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.text = [], [], ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag, **attributes):
        """Attributes of the tags that have these."""
        found = [attrs for name, attrs in self.tags if name == tag]
        return [a for a in found if all(v in (a.get(k.rstrip("_")) or "").split() for k, v in attributes.items())]


@pytest.fixture
def corpus():
    rows = [
        ("p1", "Chad", "The capital of Chad is Ndjamena."),
        ("p2", "Chad", NASTY[0]),
        ("p3", "Peru", "Peru exports copper."),
    ]
    table = pd.DataFrame(rows, columns=["passage_id", "title", "text"])
    return table.assign(field="", aliases="[]", facts="[]")


def rows(*texts, topic="Chad"):
    return [{"prompt": f"Tell me. {NASTY[0]}", "response": text, "topic": topic} for text in texts]


def test_untrusted_text_stays_text(corpus):
    result = evaluate(rows(*NASTY, topic=""), corpus=corpus)
    page = Page(result.html())
    for text in [*result.sentences["text"], *result.claims["text"], rows("")[0]["prompt"]]:
        assert text in page.text
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert not page.all("b", onload="x")
    assert "49" not in page.text


def test_the_page_loads_nothing(corpus):
    result = evaluate(rows("Chad is landlocked."), corpus=corpus)
    page = Page(result.html())
    assert not [attrs for _, attrs in page.tags if "src" in attrs or attrs.get("href", "#")[0] != "#"]
    (policy,) = (a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'")
    assert "unsafe-inline" not in policy.split("script-src")[1]
    (script,) = re.findall("<script>(.*?)</script>", result.html(), flags=re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.endswith(f"script-src 'sha256-{digest}'")
    assert result.html() == result.html()


def test_sentences_claims_and_evidence_are_shown_as_judged(corpus):
    text = "The capital of Chad is Ndjamena. Chad exports lamps. The capital of Chad is Ndjamena."
    result = evaluate(rows(text), corpus=corpus)
    page = Page(result.html())
    styles = [a["class"].split()[1] for a in page.all("details", class_="sentence")]
    assert styles == ["supported", "not_supported", "supported"]
    assert "Not counted again: says the same as “The capital of Chad is Ndjamena”" in page.text
    deciding = page.all("li", class_="deciding")
    assert {f"p{a['data-p']}" for a in deciding} <= {a.get("id") for a in page.all("li")}
    assert len(deciding) == 2
    assert re.search(r"1 of 2 judged claims\s+supported · 1 repeated", page.text)


def test_each_passage_stands_once(corpus):
    result = evaluate(rows(*["Chad is landlocked. Chad exports copper."] * 30), corpus=corpus)
    shown = [a["id"] for a in Page(result.html()).all("li") if "id" in a]
    assert len(shown) == len(set(shown)) == 2
    assert result.html().count("The capital of Chad is Ndjamena.</p>") == 1


def test_claims_without_a_verdict_and_text_without_sentences(corpus):
    result = evaluate(rows("Chad is landlocked.", "🦆🦆", ""), corpus=corpus)
    failed = replace(result, verdicts=result.verdicts.assign(label="failed", confidence=0.0, passage_id=None))
    page = Page(failed.html())
    assert len(page.all("details", class_="failed")) == 1
    assert "? no verdict" in page.text
    assert "🦆🦆" in page.text
    assert "(no text)" in page.text


def test_claims_whose_evidence_could_not_be_looked_up(corpus):
    class Partly:
        def build(self, passages, directory):
            pass

        def search(self, queries, topics, k):
            return [FetchError("HTTP status 500"), [Hit("p1", 1.0)], []]

    result = evaluate(
        rows("Chad exports lamps. Chad exports salt. Chad exports rice."), corpus=corpus, retriever=Partly()
    )
    assert (result.verdicts["label"] == "failed").tolist() == [True, False, False]
    assert result.scores["coverage"].tolist() == pytest.approx([2 / 3])
    page = Page(result.html())
    assert page.text.count("evidence could not be looked up") == page.text.count("no evidence found") == 1


def test_long_texts(corpus):
    text = "Chad is " + "very " * 10_000 + "landlocked."
    page = evaluate(rows(text), corpus=corpus).html()
    assert text[:-1] in page


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        (["supported", "supported"], "supported"),
        (["supported", "irrelevant", "failed"], "supported"),
        (["supported", "not_supported"], "mixed"),
        (["not_supported"], "not_supported"),
        (["irrelevant"], "unchecked"),
        ([], "unchecked"),
        (["irrelevant", "failed"], "failed"),
    ],
)
def test_the_verdict_on_a_sentence(labels, verdict):
    assert sentence_verdict(labels) == verdict
