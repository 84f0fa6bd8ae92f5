"""Claims and expected numbers as rows of HTML, the same in a notebook and in the gallery."""

from collections.abc import Mapping
from html import escape
from typing import Any

from lib.studies import Metric, Study

MARKS = {"held": ("#0b7a4b", "&#10003;"), "not held": ("#b3400e", "&#10007;"), "not tested at this size": ("#6b7280", "&ndash;")}


def metric_text(metric: Mapping[str, Any]) -> str:
    """A stored metric in words: mean, interval, n."""
    return str(Metric(**metric))


def verdict_html(verdict: str) -> str:
    """The verdict with its mark and colour (never colour alone)."""
    colour, mark = MARKS[verdict]
    return f'<span style="color:{colour};white-space:nowrap"><b>{mark} {escape(verdict)}</b></span>'


def claims_table(claims: list[dict[str, Any]]) -> str:
    """One row per claim: sentence and source, criterion, the numbers of this run, verdict."""
    rows = []
    for claim in claims:
        numbers = "<br>".join(f"{escape(k)}: {escape(metric_text(m))}" for k, m in claim["evidence"].items())
        paper = f"<br><small>paper's number: {escape(claim['paper_number'])}</small>" if claim["paper_number"] else ""
        rows.append(
            f"<tr><td style='text-align:left;max-width:28em'><b>{escape(claim['key'])}</b><br>{escape(claim['statement'])}"
            f"<br><small>from: {escape(claim['source'])}"
            f"</small>{paper}</td><td style='text-align:left;max-width:20em'><small>{escape(claim['criterion'])}</small></td>"
            f"<td style='text-align:left'><small>{numbers or 'too few repeats'}</small></td>"
            f"<td>{verdict_html(claim['verdict'])}</td></tr>"
        )
    head = (
        "<tr>"
        + "".join(f"<th style='text-align:left'>{name}</th>" for name in ("Claim", "Criterion", "This run", "Verdict"))
        + "</tr>"
    )
    return f"<table class='claims'>{head}{''.join(rows)}</table>"


def expected_rows(study: Study, metrics: Mapping[str, Metric]) -> list[dict[str, Any]]:
    """The numbers that the quick size is expected to give, beside what was measured."""
    return [
        {
            "metric": e.metric,
            "expected": e.value,
            "tolerance": e.tolerance,
            "measured": metrics[e.metric].mean,
            "within": abs(metrics[e.metric].mean - e.value) <= e.tolerance,
        }
        for e in study.expected
    ]
