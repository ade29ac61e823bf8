"""Two releases side by side, to who may read both."""

from __future__ import annotations

import json

import pytest

from release_pipelines.adapters.history import History
from release_pipelines.airflow.findings import keep_results
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.finding import Finding, ScanResult
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.records import COMMITS
from release_pipelines.core.model.verdict import MetricVerdict, Verdict
from tests.pages.conftest import PREFIX, Client

COMPARE = f"{PREFIX}/compare"
OLD, NEW = "release_shop/r1", "release_shop/r2"


def sbom(**versions: str) -> str:
    found = [{"type": "library", "name": name, "version": it} for name, it in versions.items()]
    return json.dumps({"bomFormat": "CycloneDX", "specVersion": "1.6", "components": found})


def scanned(*rules: str) -> list[ScanResult]:
    found = [Finding(kind="vulnerability", severity="high", rule=it, file="app.py", text=f"about {it}") for it in rules]
    return [ScanResult(status="findings" if found else "clean", findings=found, sentence="It looked.")]


def released(
    history: History, name: str, version: str, limit: float, bad: float, commits: list[str], requester: str = "alice"
) -> None:
    number = float(version.split(".")[1])
    then = history.at(1_700_000_000.0 + 1000 * number)
    then.begin(name, "shop", "release_shop", name.split("/")[1], version, requester)
    digest = f"sha256:{version.split('.')[1] * 64}"
    history.record_artifact(name, Artifact(app="shop", version=version, image="registry.example/shop", digest=digest))
    metric = MetricVerdict(metric="errors", judgement="pass", limit=limit, sentence="few errors")
    verdict = Verdict(
        judgement="pass", decided_at=60.0, step="step_10", weight=10, metrics=[metric], sentence="It held."
    )
    history.record_verdict(
        name, "production", verdict, [Sample(metric="errors", at=30.0, value=bad / 100, bad=bad, total=100)]
    )
    brought = [{"sha": it, "authored_at": 1_600_000_000.0, "counts": True} for it in commits]
    history.attach(name, COMMITS, "application/json", json.dumps(brought))
    then.promoted(name)
    history.at(1_700_000_300.0 + 1000 * number).finish(name, "released", "It serves everybody.")


@pytest.fixture
def two(history: History) -> None:
    released(history, OLD, "1.1.0", 0.01, 1, ["a" * 40])
    released(history, NEW, "1.2.0", 0.02, 4, ["b" * 40, "c" * 40], "bob")
    history.attach(OLD, "sbom.cdx.json", "application/json", sbom(flask="2.0", six="1.16"))
    history.attach(NEW, "sbom.cdx.json", "application/json", sbom(flask="3.0", rich="13.0"))
    keep_results(history, OLD, "trivy", scanned("CVE-2026-0001", "CVE-2026-0002"))
    keep_results(history, NEW, "trivy", scanned("CVE-2026-0002", "CVE-2026-0003"))


def section(html: str, name: str) -> str:
    return html.partition(f'<section aria-labelledby="{name}">')[2].partition("</section>")[0]


def test_all_that_differs_stands_side_by_side(as_: Client, two: None) -> None:
    html = as_("alice", read={"release_shop"}).get(f"{COMPARE}?left={OLD}&right={NEW}").text
    facts = section(html, "facts")
    assert "<td>1.1.0</td><td>1.2.0</td>" in facts
    assert "<td>alice</td><td>bob</td>" in facts
    assert f"<td>sha256:{'1' * 64}</td><td>sha256:{'2' * 64}</td>" in facts
    assert "<td>5 min</td><td>5 min</td>" in facts
    commits = section(html, "commits")
    assert "2 commits that 1.2.0 has and the other one has not" in commits
    assert "b" * 40 in commits
    assert "a" * 40 not in commits
    findings = section(html, "findings")
    new, fixed = findings.split("Fixed in 1.2.0: 1")
    assert "New in 1.2.0: 1" in new
    assert "CVE-2026-0003" in new
    assert "CVE-2026-0001" in fixed
    assert "CVE-2026-0002" not in findings
    made_of = section(html, "components")
    assert "<code>rich</code> 13.0" in made_of.split("Removed")[0]
    assert "<code>six</code> 1.16" in made_of.split("Removed")[1]
    assert "<code>flask</code> 2.0 → 3.0" in made_of.split("Changed")[1]
    assert "30 s, pass" in section(html, "stages")
    assert "<td>1 %</td><td>4 %</td>" in section(html, "measurements")
    assert "<td>0.01</td><td>0.02</td>" in section(html, "settings")


def test_without_a_left_one_it_is_the_version_that_served_before(as_: Client, history: History, two: None) -> None:
    alice = as_("alice", read={"release_shop"})
    html = alice.get(f"{COMPARE}?right={NEW}").text
    assert "<h1>shop 1.2.0 compared with 1.1.0</h1>" in html
    page = alice.get(f"{PREFIX}/runs/{NEW}").text
    assert f'href="{COMPARE}?right=release_shop%2Fr2"' in page
    first = alice.get(f"{COMPARE}?right={OLD}")
    assert first.status_code == 200
    assert "is the first release of shop" in first.text


def test_one_that_did_not_hold_is_not_the_version_before(as_: Client, history: History, two: None) -> None:
    history.at(1_700_002_500.0).begin("release_shop/r3", "shop", "release_shop", "r3", "1.2.5", "alice")
    history.at(1_700_002_600.0).finish("release_shop/r3", "rolled_back", "errors")
    history.at(1_700_003_000.0).begin("release_shop/r4", "shop", "release_shop", "r4", "1.3.0", "alice")
    html = as_("alice", read={"release_shop"}).get(f"{COMPARE}?right=release_shop/r4").text
    assert "<h1>shop 1.3.0 compared with 1.2.0</h1>" in html


def test_commits_are_those_of_all_versions_between_whichever_side_is_older(
    as_: Client, history: History, two: None
) -> None:
    released(history, "release_shop/r3", "1.3.0", 0.02, 1, ["d" * 40])
    for left, right in ((OLD, "release_shop/r3"), ("release_shop/r3", OLD)):
        html = as_("alice", read={"release_shop"}).get(f"{COMPARE}?left={left}&right={right}").text
        commits = section(html, "commits")
        assert "3 commits that 1.3.0 has" in commits
        assert all(it * 40 in commits for it in "bcd")


def test_what_may_not_be_read_and_what_does_not_exist_look_the_same(as_: Client, history: History, two: None) -> None:
    history.begin("release_cart/r1", "cart", "release_cart", "r1", "7.7.7", "dave")
    alice = as_("alice", read={"release_shop"})
    asked = [
        alice.get(COMPARE, params={"left": left, "right": right})
        for other in ("release_cart/r1", "release_cart/nothing", "nothing")
        for left, right in ((OLD, other), (other, NEW), (other, other))
    ]
    assert {it.status_code for it in asked} == {403}
    assert len({it.text for it in asked}) == 1


def test_releases_of_two_apps_are_compared_by_who_may_read_both(as_: Client, history: History, two: None) -> None:
    history.begin("release_cart/r1", "cart", "release_cart", "r1", "7.7.7", "dave")
    html = as_("carol", read={"release_shop", "release_cart"}).get(f"{COMPARE}?left=release_cart/r1&right={NEW}").text
    assert "<h1>shop 1.2.0 compared with cart 7.7.7</h1>" in html
    assert "They are of different apps" in html
    assert "No SBOM of cart 7.7.7 is kept." in html
    assert "results of cart 7.7.7 are kept" in html


def test_what_is_damaged_is_told_and_hides_nothing_else(as_: Client, history: History, two: None) -> None:
    history.attach(NEW, "sbom.cdx.json", "application/json", "{")
    history.attach(NEW, "scan-trivy.json", "application/json", "{")
    history.attach(NEW, COMMITS, "application/json", "[1]")
    answer = as_("alice", read={"release_shop"}).get(f"{COMPARE}?left={OLD}&right={NEW}")
    assert answer.status_code == 200
    assert "The SBOM of shop 1.2.0 cannot be read" in answer.text
    assert "What scanners found cannot be read" in answer.text
    assert "does not have the commits" in answer.text
    assert "<td>1 %</td><td>4 %</td>" in answer.text


@pytest.mark.parametrize(
    "hostile", ["</td><b>x</b>", "</script><script>document.title='owned'</script>", '"><img src=x>']
)
def test_what_others_wrote_is_text(as_: Client, history: History, two: None, hostile: str) -> None:
    keep_results(history, NEW, "trivy", scanned(hostile))
    history.attach(NEW, "sbom.cdx.json", "application/json", sbom(**{hostile: hostile}))
    history.begin("release_shop/r9", "shop", "release_shop", "r9", hostile, hostile, notes=hostile)
    alice = as_("alice", read={"release_shop"})
    for address in (f"{COMPARE}?left={OLD}&right={NEW}", f"{COMPARE}?left={NEW}&right=release_shop/r9"):
        html = alice.get(address).text
        assert hostile not in html
        assert "&lt;" in html
    assert hostile not in alice.get(COMPARE, params={"left": hostile}).text


def test_without_releases_it_asks_for_them(as_: Client) -> None:
    answer = as_("alice", read=set()).get(COMPARE)
    assert answer.status_code == 200
    assert "<form" in answer.text
