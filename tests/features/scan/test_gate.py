"""All findings of a release, judged together."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.adapters.history import History, open_history
from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.sarif import read
from release_pipelines.features.scan.operators import FindingsGateOperator
from tests.core.findings.findings import NOW, A, B, code, exemption, flaw, found, unknown
from tests.features.helpers import Ti

OLD, NEW = "sha256:" + "0" * 64, "sha256:" + "1" * 64
RELEASE = "release_shop/now#0"
ARTIFACT = Artifact(app="shop", version="1.1.0", image="registry.example.org/shop", digest=NEW)
SERVING = json.dumps({"version": "1.0.0", "digest": OLD, "commit": None})
LIB_1, LIB_2 = "pkg:npm/lib@1.0", "pkg:npm/lib@1.1"


@pytest.fixture
def history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    made = open_history(f"sqlite:///{tmp_path}/history.db")
    monkeypatch.setattr(HistoryHook, "history", lambda self: made)
    # Exceptions that hold have run out when these tests run in another year.
    monkeypatch.setattr("release_pipelines.features.scan.operators.gate.time", SimpleNamespace(time=lambda: NOW))
    begun(made, RELEASE, NEW, "1.1.0")
    return made


def begun(history: History, release: str, digest: str, version: str, outcome: Any = None) -> None:
    history.begin(release, "shop", "release_shop", release.partition("/")[2], version, "carol")
    history.record_artifact(release, ARTIFACT.model_copy(update={"version": version, "digest": digest}))
    if outcome:
        history.finish(release, outcome, "Ended.")


def gate(**kwargs: Any) -> tuple[Any, Ti]:
    """What the operator returns, or how it fails, and what it pushed."""
    ti = Ti()
    try:
        return FindingsGateOperator(task_id="gate", **kwargs).execute({"ti": ti}), ti  # type: ignore[arg-type,typeddict-item]
    except AirflowFailException as error:
        return error, ti


def of_release(**kwargs: Any) -> tuple[Any, Ti]:
    return gate(release=RELEASE, artifact=ARTIFACT, serving=SERVING, **kwargs)


def test_what_scanners_kept_is_judged_together_and_its_report_is_kept(history: History) -> None:
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1", A, aliases=["GHSA-1"]))])
    keep_results(history, RELEASE, "grype", [found(flaw("GHSA-1", A, fixed_in="1.0.1"))])
    failure, ti = of_release()
    assert str(failure) == (
        "The scanners found 1 high (findings from high on stop the release), like CVE-1 (GHSA-1) in package-a 1.0.0: Bad; fixed in 1.0.1."
    )
    assert ti.pushed["reason"] == str(failure)
    assert ti.pushed["result"]["counts"]["high"] == 1
    (report,) = (it for it in history.attachments(RELEASE) if it.name == "findings.sarif")
    assert [it.rule for it in read(report.content, "it").findings] == ["CVE-1"]


def test_an_excepted_finding_passes_and_shows_and_an_expired_exception_blocks(history: History) -> None:
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1", A))])
    result, _ = of_release(rules={"exceptions": [exemption("CVE-1").model_dump(mode="json")]})
    assert result["sentence"] == "The scanners found 1 high, 1 of them excepted."
    assert (
        result["excepted"]
        == "high: CVE-1 in package-a 1.0.0, by scan.exceptions[0] (not reached (ada, until 2026-12-31))"
    )
    gone = exemption("CVE-1", until=date(2020, 1, 1)).model_dump(mode="json")
    failure, _ = of_release(rules={"exceptions": [gone]})
    assert "the exception in scan.exceptions[0] has run out: not reached (ada, until 2020-01-01)" in str(failure)


def test_what_could_not_be_looked_at_blocks(history: History) -> None:
    keep_results(history, RELEASE, "trivy", [unknown()])
    assert str(of_release()[0]) == "unknown: trivy could not look."
    failure, ti = of_release(scanners=["grype"])
    assert str(failure).startswith("unknown: grype has not looked. 1 more")
    assert ti.pushed["result"]["status"] == "unknown"


def test_a_release_whose_scanners_kept_nothing_is_unknown(history: History) -> None:
    assert str(of_release()[0]) == "unknown: no scanner has looked."


def test_what_is_new_fixed_and_the_same_is_told_against_what_scanners_kept_of_the_version_that_serves(
    history: History,
) -> None:
    begun(history, "release_shop/before#0", OLD, "1.0.0", "released")
    keep_results(
        history, "release_shop/before#0", "trivy", [found(flaw("CVE-1", LIB_1, "low"), flaw("CVE-2", A, "low"))]
    )
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1", LIB_2, "low"), flaw("CVE-3", B, "medium"))])
    result, _ = of_release()
    assert result["new"] == "medium: CVE-3 in package-b 2.0.0: Bad; no fix is named"
    assert result["fixed"] == "low: CVE-2 in package-a 1.0.0"
    assert result["same"] == "1 low, not new: 1.0.0 serves with it"


def test_a_finding_that_blocks_and_is_not_new_says_so(history: History) -> None:
    begun(history, "release_shop/before#0", OLD, "1.0.0", "released")
    for release in ("release_shop/before#0", RELEASE):
        keep_results(history, release, "trivy", [found(flaw("CVE-1"))])
    assert str(of_release()[0]).endswith("Not new: 1.0.0 serves with it.")
    waived, _ = of_release(rules={"exceptions": [exemption("CVE-1").model_dump(mode="json")]})
    assert waived["excepted"].endswith("(not reached (ada, until 2026-12-31)); not new: 1.0.0 serves with it")


def test_results_that_a_newer_version_has_kept_are_read(history: History) -> None:
    told = [{**found(flaw("CVE-1")).model_dump(mode="json"), "later": 1}]
    told[0]["findings"][0]["later"] = 2
    history.attach(RELEASE, "scan-trivy.json", "application/json", json.dumps(told))
    assert "CVE-1" in str(of_release()[0])


def test_what_is_known_today_against_the_version_that_serves_is_told_and_stops_nothing(
    history: History, tmp_path: Path
) -> None:
    begun(history, "release_shop/before#0", OLD, "1.0.0", "released")
    kev = tmp_path / "kev.json"
    kev.write_text('{"vulnerabilities": [{"cveID": "CVE-2", "dateAdded": "2026-11-27"}]}')
    keep_results(history, "release_shop/before#0", "trivy", [found(flaw("CVE-1", A), flaw("CVE-2", B, "low"))])
    keep_results(history, RELEASE, "trivy", [found()])
    gone = exemption("CVE-1", until=date(2020, 1, 1)).model_dump(mode="json")
    result, _ = of_release(rules={"exceptions": [gone], "known_exploited": str(kev)})
    known = result["serving"]
    assert known.startswith("1.0.0 serves, and would be stopped as a release today: the scanners found 1 high, 1 low")
    assert "the exception in scan.exceptions[0] has run out" in known
    assert [(it.kind, it.sentence) for it in history.release(RELEASE).events if it.kind == "noticed"] == [
        ("noticed", known)
    ]


def test_nothing_is_compared_where_nothing_is_known_of_the_version_that_serves_or_none_does(history: History) -> None:
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1", severity="low"))])
    assert of_release()[0]["new"] == "not compared: nothing is kept of what these scanners found in 1.0.0"
    first = gate(release=RELEASE, artifact=ARTIFACT, serving='{"version": null, "digest": null}')
    assert first[0]["new"] == "not compared: nothing serves"
    assert (of_release()[0]["serving"], first[0]["serving"]) == ("not known", "nothing serves")


def test_a_digest_that_is_released_anew_is_judged_by_what_is_known_of_its_source(history: History) -> None:
    begun(history, "release_shop/built#0", NEW, "1.1.0", "rejected")
    keep_results(history, "release_shop/built#0", "bandit", [found(code())])
    keep_results(history, "release_shop/built#0", "trivy", [found(flaw("CVE-1"), subject=NEW)])
    failure, _ = of_release(scanners=["bandit"])
    assert "B602 in app/run.py:4" in str(failure)
    assert "CVE-1" not in str(failure)
    assert str(of_release(scanners=["trivy"])[0]) == "unknown: trivy has not looked."


def test_three_hundred_findings_are_counted_and_the_worst_are_listed(history: History) -> None:
    many = [flaw(f"CVE-{number:03}", severity="low") for number in range(299)]
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-999", B, "medium"), *many)])
    begun(history, "release_shop/before#0", OLD, "1.0.0", "released")
    keep_results(history, "release_shop/before#0", "trivy", [found()])
    lines = of_release()[0]["new"].split("\n")
    assert (lines[0], lines[-1], len(lines)) == ("300:", "… and 290 more, in the release's findings.sarif", 12)
    assert lines[1].startswith("medium: CVE-999")


def test_results_of_other_tasks_are_taken_as_values_json_or_sarif() -> None:
    result = found(flaw("CVE-1")).model_dump(mode="json")
    rule = {"id": "X", "properties": {"security-severity": "9.8"}}
    run = {
        "tool": {"driver": {"name": "x", "rules": [rule]}},
        "results": [{"ruleId": "X", "message": {"text": "Bad."}}],
    }
    sarif = {"version": "2.1.0", "runs": [run]}
    for given in (
        {"it": result},
        {"it": [result]},
        {"it": json.dumps([result])},
        json.dumps({"it": result}),
        {"it": found(flaw("CVE-1"))},
    ):
        assert "CVE-1" in str(gate(results=given)[0])
    for given in ({"it": sarif}, {"it": [json.dumps(sarif)]}, json.dumps({"it": sarif})):
        assert "found 1 critical (findings from high on stop the release), like X" in str(gate(results=given)[0])
    assert gate(results={"it": found()})[0]["sentence"] == "The scanners found nothing."


@pytest.mark.parametrize(
    "given", [None, "", "no json", "[1]", {"it": "no json"}, {"it": {"status": "fine"}}, {"it": None}]
)
def test_results_that_are_none_stop_the_release(given: Any) -> None:
    failure, ti = gate(results=given)
    assert isinstance(failure, AirflowFailException)
    assert ti.pushed["reason"]


def test_a_scanner_of_the_image_looks_at_each_platform_and_at_nothing_else() -> None:
    both = {OLD: "linux/amd64", NEW: "linux/arm64"}
    looked = [found(subject=OLD), found(subject=NEW)]
    assert gate(results={"trivy": looked, "bandit": found()}, images=both)[0]["status"] == "clean"
    one = gate(results={"trivy": looked[:1]}, images=json.dumps(both))
    assert f"trivy has not looked at linux/arm64 ({NEW})" in str(one[0])
    other = gate(results={"trivy": looked}, images={OLD: "linux/amd64"})
    assert f"trivy looked at {NEW}, which is no image of this release" in str(other[0])


def test_what_a_scanner_could_not_look_at_once_does_not_hide_what_it_knew_before(history: History) -> None:
    begun(history, "release_shop/first#0", OLD, "1.0.0", "released")
    keep_results(history, "release_shop/first#0", "trivy", [found(flaw("CVE-1"))])
    begun(history, "release_shop/again#0", OLD, "1.0.0", "failed")
    keep_results(history, "release_shop/again#0", "trivy", [unknown()])
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1"))])
    assert str(of_release()[0]).endswith("Not new: 1.0.0 serves with it.")


@pytest.fixture
def vex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], str]:
    """Writes a VEX document of the project, and gives its name."""
    monkeypatch.setenv("RELEASE_PIPELINES_VEX", str(tmp_path))

    def written(name: str, document: Any) -> str:
        (tmp_path / name).write_text(json.dumps(document))
        return name

    return written


def test_vex_documents_of_the_project_are_read_for_this_image(history: History, vex: Callable[[str, Any], str]) -> None:
    keep_results(history, RELEASE, "trivy", [found(flaw("CVE-1", A))])
    statement = {"vulnerability": {"name": "CVE-1"}, "status": "not_affected", "justification": "component_not_present"}
    ours = {"products": [{"@id": "pkg:oci/shop", "subcomponents": [{"@id": "pkg:npm/package-a"}]}]}
    other = {"products": [{"@id": "pkg:oci/other", "subcomponents": [{"@id": "pkg:npm/package-a"}]}]}
    context = "https://openvex.dev/ns/v0.2.0"
    name = vex("a.json", {"@context": context, "statements": [{**statement, **ours}]})
    assert of_release(vex=[name])[0]["excepted"].endswith("a.json, statement 1 (not affected: component not present)")
    name = vex("b.json", {"@context": context, "statements": [{**statement, **other}]})
    assert "CVE-1" in str(of_release(vex=[name])[0])
    assert f"no such file in {os.environ['RELEASE_PIPELINES_VEX']}/" in str(of_release(vex=["gone.json"])[0])
    assert "expected one of OpenVEX or CycloneDX" in str(of_release(vex=[vex("c.json", {})])[0])


def test_what_is_known_to_be_exploited_or_likely_to_be_blocks_and_a_feed_that_is_not_there_does_too(
    tmp_path: Path,
) -> None:
    results = {"it": found(flaw("GHSA-1", severity="low", aliases=["CVE-1"]))}
    kev, epss = tmp_path / "kev.json", tmp_path / "epss.csv"
    kev.write_text('{"vulnerabilities": [{"cveID": "CVE-1", "dateAdded": "2026-11-25"}]}')
    epss.write_text("#score_date:2026-11-26T00:00:00+0000\ncve,epss\nCVE-1,0.5\n")
    assert "known to be exploited" in str(gate(results=results, rules={"known_exploited": str(kev)})[0])
    likely = {"epss": {"at_least": "50%", "data": str(epss)}}
    assert "with a probability of 50.0%" in str(gate(results=results, rules=likely)[0])
    assert "unknown" in str(gate(results=results, rules={"known_exploited": str(tmp_path / "gone")})[0])
    kev.write_text("{}")
    assert "known exploited" in str(gate(results=results, rules={"known_exploited": str(kev)})[0])
