"""The incident report as a page: what others wrote stays text, plots run no script, and who may not read the app gets nothing."""

from __future__ import annotations

import re

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.features.report.incident_report import REPORT, incident_report
from release_pipelines.pages.markdown import markdown
from tests.pages.conftest import PREFIX, Client

RELEASE = "release_shop/manual__1"
PAGE = f"{PREFIX}/runs/{RELEASE}/report"
SVG = '<svg xmlns="http://www.w3.org/2000/svg"><script>document.title="owned"</script><text>errors</text></svg>'
HOSTILE = [
    "</div><b>x</b>",
    "</script><script>document.title='owned'</script>",
    "<!--<script>",
    '"><img src=x onerror=alert(1)>',
    "![b](http://127.0.0.1:9/b.png)",
    "a | b `c` *d* [e](https://evil.example/x)",
]


@pytest.fixture(autouse=True)
def release(history: History) -> None:
    history.begin(RELEASE, "shop", "release_shop", "manual__1", "1.2.0", "alice")


def rolled_back(history: History, sentence: str) -> None:
    history.finish(RELEASE, "rolled_back", sentence)
    history.attach(RELEASE, REPORT, "text/markdown", incident_report(history.release(RELEASE), "production"))


def elements(html: str) -> int:
    return len(re.findall(r"<[a-z!/]", html))


def visible(html: str) -> str:
    from html import unescape

    return unescape(re.sub(r"<[^>]*>", "", html))


def test_the_report_is_read_as_a_page_and_kept_as_markdown(as_: Client, history: History) -> None:
    rolled_back(history, "errors were 3 % where 1 % is allowed.")
    alice = as_("alice", read={"release_shop"})
    html = alice.get(PAGE).text
    assert html.count("<h1") == 1
    assert "<h2>shop 1.2.0 in production: rolled back</h2>" in html
    assert "<h3>What to do now</h3>" in html
    assert '<th scope="col">' in html
    kept = alice.get(f"{PAGE}.md")
    assert kept.text == history.attachment(RELEASE, REPORT).content
    assert kept.headers["content-type"] == "text/markdown; charset=utf-8"
    assert kept.headers["content-disposition"] == "attachment; filename*=UTF-8''shop-1.2.0-incident.md"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_others_wrote_in_a_report_is_text(as_: Client, history: History, text: str) -> None:
    rolled_back(history, "x")
    alice = as_("alice", read={"release_shop"})
    plain = alice.get(PAGE).text
    history.attach(
        RELEASE,
        REPORT,
        "text/markdown",
        incident_report(history.release(RELEASE).model_copy(update={"sentence": text}), "production"),
    )
    html = alice.get(PAGE).text
    assert elements(html) == elements(plain)
    assert text in visible(html)
    assert "<img" not in html


def test_markdown_that_is_not_ours_brings_no_element_and_no_picture() -> None:
    html = markdown("<b>x</b> ![b](http://127.0.0.1:9/b.png)\n\n<script>1</script>\n\n&lt;i&gt;")
    assert not re.search(r"<(b|img|script|i)\b", html)


@pytest.mark.parametrize(
    ("target", "shown"),
    [
        ("https://git.example.com/c/1", 'href="https://git.example.com/c/1"'),
        ("HTTPS://git.example.com/c/1", "<a href="),
        ("https://bot:tok3n@git.example.com/acme/shop.git", 'href="https://git.example.com/acme/shop.git"'),
        ("javascript:alert(1)", None),
        ("JaVaScRiPt:alert(1)", None),
        ("java&#9;script:alert(1)", None),
        ("&#1;javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("//evil.example/x", None),
        ("", None),
    ],
)
def test_a_link_leads_only_where_links_may_lead(target: str, shown: str | None) -> None:
    html = str(markdown(f"[commit]({target})"))
    assert (shown in html) if shown else ("<a" not in html)
    assert "tok3n" not in html


def test_a_plot_runs_no_script_and_only_plots_are_shown(as_: Client, history: History) -> None:
    history.attach(RELEASE, "production-step_10-errors.svg", "image/svg+xml", SVG)
    history.attach(RELEASE, "page.html", "text/html", "<script>1</script>")
    alice = as_("alice", read={"release_shop"})
    html = alice.get(PAGE).text
    address = f"{PREFIX}/runs/{RELEASE}/plots/production-step_10-errors.svg"
    assert f'<img src="{address}" alt="Plot production-step_10-errors"' in html
    assert "owned" not in html
    answer = alice.get(address)
    assert answer.headers["content-type"] == "image/svg+xml"
    rules = answer.headers.get_list("content-security-policy")
    assert rules == ["default-src 'none'; style-src 'unsafe-inline'; sandbox"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert alice.get(f"{PREFIX}/runs/{RELEASE}/plots/page.html").status_code == 404


@pytest.mark.parametrize(
    ("outcome", "why"),
    [
        (None, "the release has not ended"),
        ("released", "this release ended as released"),
        ("aborted", "none could be written, or the release had changed nothing yet"),
    ],
)
def test_a_release_without_a_report_says_why(as_: Client, history: History, outcome: str, why: str) -> None:
    if outcome:
        history.finish(RELEASE, outcome, "It is over.")
    alice = as_("alice", read={"release_shop"})
    assert why in alice.get(PAGE).text
    download = alice.get(f"{PAGE}.md")
    assert download.status_code == 404
    assert why in download.json()["detail"]


def test_a_rollback_by_hand_is_seen_by_who_may_read_its_app(as_: Client, history: History) -> None:
    history.begin("release_rollback/r1", "cart", "release_rollback", "r1", "7.7.7", "dave", reason="wrong prices")
    there = f"{PREFIX}/runs/release_rollback/r1/report"
    alice = as_("alice", read={"release_rollback", "release_shop"}).get(there)
    assert alice.status_code == 403
    for word in ("cart", "7.7.7", "dave", "wrong prices"):
        assert word not in alice.text
    assert "wrong prices" in as_("carol", read={"release_rollback", "release_cart"}).get(there).text


def test_a_run_that_was_cleared_shows_its_newest_release(as_: Client, history: History) -> None:
    history.at(1.0).begin("release_shop/r9", "shop", "release_shop", "r9", "1.0.0", "alice")
    history.begin("release_shop/r9#1", "shop", "release_shop", "r9", "1.0.1", "alice")
    html = as_("alice", read={"release_shop"}).get(f"{PREFIX}/runs/release_shop/r9/report").text
    assert "shop 1.0.1" in html
    nothing = as_("alice").get(f"{PREFIX}/runs/release_shop/r10/report")
    assert nothing.status_code == 404
