import pandas as pd
import pytest

from factalign.analysis import audit_figure, format_audit, render_audit
from factalign.audit import audit_table, extraction_agreement
from factalign.base.estimates import estimates_to_json


@pytest.fixture
def table():
    claims = pd.DataFrame(
        {
            "claim_id": [f"{name}{number}" for name in "ab" for number in range(20)],
            "labelled_set": ["<b>first</b>"] * 20 + ["second"] * 20,
            "text": "A claim.",
            "evidence": [[]] * 40,
            "topic": "",
            "label": ["supported", "not_supported"] * 19 + ["supported", None],
            "given_label": ["yes", "<i>no</i>"] * 20,
            "group": [str(number % 7) for number in range(40)],
        }
    )
    verdicts = [
        claims[["claim_id"]].assign(verifier_id="eager", label="supported", confidence=0.9),
        claims[["claim_id", "label"]].assign(verifier_id="<u>right</u>", confidence=0.6),
    ]
    return audit_table(claims, pd.concat(verdicts).dropna(), resamples=100)


def test_the_log_shows_every_set_and_verifier(table):
    lines = format_audit(table).splitlines()
    assert lines[0] == "<b>first</b>: 20 claims in 7 groups"
    assert lines[1].split() == ["eager", "<u>right</u>"]
    recall = [line.split() for line in lines if "Recall not supported" in line]
    assert [row[3] for row in recall] == ["0.000", "0.000"]
    assert lines[-1].split()[-3:] == ["1.000", "[1.000,", "1.000]"]
    assert len(lines) == 2 * (2 + 12)


def test_the_page_holds_what_was_measured_and_escapes_names(table):
    facts = pd.DataFrame({"group": ["a"], "topic": [""], "facts": [["It rains."]]})
    found = {
        "set": "bios",
        "extractor": "clause",
        "metrics": estimates_to_json(extraction_agreement(facts, [["It rains."]], resamples=100)),
    }
    page = render_audit(table, [found], audit_figure(table))
    own = page.partition("<script")[0] + page.rpartition("</script>")[2]
    assert "&lt;b&gt;first&lt;/b&gt;" in own
    assert "<u>right</u>" not in own
    assert "Left out: 1 &lt;i&gt;no&lt;/i&gt;" in own
    assert "&lt;u&gt;right&lt;/u&gt; − eager" in own
    assert 'class="resolved">+1.000' in own
    assert "Claims against people's atomic facts: bios" in own
    assert " src=" not in own


def test_the_figure_has_a_reliability_plot_and_a_confusion_for_each(table):
    figure = audit_figure(table)
    kinds = [trace.type for trace in figure.data]
    assert (kinds.count("heatmap"), kinds.count("scatter")) == (4, 2 + 4)
    eager = next(trace for trace in figure.data if trace.type == "heatmap")
    assert [list(row) for row in eager.text] == [[10, 0, 0, 0], [10, 0, 0, 0]]
    points = next(trace for trace in figure.data if trace.name == "eager")
    assert (list(points.x), list(points.y)) == ([pytest.approx(0.9)], [0.5])
