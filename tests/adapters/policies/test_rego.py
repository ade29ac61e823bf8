"""Policies in Rego, by the real engine: what was never asked is no yes."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from release_pipelines.adapters.policies.folder import library_in, names_in, policies_in
from release_pipelines.adapters.policies.rego import Rego
from release_pipelines.core.model.policy import Policy, PolicyWaiver, Ruling
from release_pipelines.core.policies.asking import look_at, rule_on
from tests.policies import evidence

TODAY = date(2026, 11, 27)
HIGH = 'some f in input.findings; f.severity == "high"'
POLICIES = Path(__file__).parents[3] / "include" / "policies"


def ask(text: str | None, *, lib: str | None = None, seconds: float = 20.0, **more: Any) -> Ruling:
    """One policy, `signed`, about the evidence; None: its folder is empty."""
    policy = Policy(name="signed", files={} if text is None else {"signed.rego": f"package release\n{text}"})
    library = {} if lib is None else {"lib/common.rego": lib}
    return rule_on(Rego(seconds), [policy], library, evidence(**more), today=TODAY)


def denied(body: str, message: str = '"no"') -> str:
    return f"deny contains msg if {{ {body}; msg := {message} }}"


def whole(text: str) -> Ruling:
    return rule_on(Rego(), [Policy(name="signed", files={"signed.rego": text})], {}, evidence(), today=TODAY)


@pytest.mark.parametrize("package", ["releases", "release.scans", "release.deny"])
def test_a_package_that_is_not_asked_is_no_yes(package: str) -> None:
    result = whole(f'package {package}\ndeny contains "never" if true')
    assert (result.status, result.rules) == ("unknown", 0)
    assert result.sentence == f"No rule answered: signed.rego says `package {package}`, asked was data.release.deny."


def test_a_rule_of_another_name_is_no_yes() -> None:
    result = ask('denied contains "never" if true')
    assert (result.status, result.rules) == ("unknown", 0)
    assert (
        result.sentence == "No rule answered: signed.rego has no rule `deny`, but denied, asked was data.release.deny."
    )


def test_an_empty_folder_and_a_name_that_is_not_there_are_no_yes(tmp_path: Path) -> None:
    (tmp_path / "signed").mkdir()
    for name in ("signed", "sigend"):
        result = rule_on(Rego(), policies_in(tmp_path, [name]), {}, evidence(), today=TODAY)
        assert (result.status, result.rules) == ("unknown", 0)
        assert (
            result.sentence == f"No rule answered: {name} has no file that ends in .rego, asked was data.release.deny."
        )


def test_no_policy_at_all_is_no_yes() -> None:
    assert rule_on(Rego(), [], {}, evidence(), today=TODAY).status == "unknown"


def test_one_file_of_a_folder_that_is_never_asked_is_no_yes() -> None:
    """The other file answers, so the query has a value."""
    files = {
        "signed/a.rego": f"package release\n{denied('false')}",
        "signed/b.rego": f"package releases\n{denied('true')}",
    }
    result = rule_on(Rego(), [Policy(name="signed", files=files)], {}, evidence(), today=TODAY)
    assert result.status == "unknown"
    assert "signed/b.rego says `package releases`" in result.sentence


CASE = 'ok if input.builder.id == "https://builder.example.org"\n' + denied(
    "not ok", 'sprintf("built by %s", [input.builder.id])'
)


def test_evidence_that_a_rule_asks_for_and_nobody_has_is_no_yes() -> None:
    result = ask(CASE)
    assert (result.status, result.rules) == ("unknown", 1)
    assert result.sentence == "The evidence has no builder, which signed.rego:2 asks for."


def test_the_same_rule_answers_where_the_evidence_is_there() -> None:
    assert ask(CASE, builder={"id": "https://builder.example.org"}).status == "passed"
    result = ask(CASE, builder={"id": "mallory"})
    assert (result.status, result.sentence) == ("denied", "signed: built by mallory.")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"builder": {}}, "The evidence has no builder.id: its schema demands it."),
        ({"builder": {"id": ""}}, "The evidence does not fit its schema at builder.id: "),
        ({"digest": "1.1.0"}, "The evidence does not fit its schema at digest: "),
        ({"bulider": {"id": "a"}}, "The evidence has bulider, which its schema does not know."),
        ({"scans": {"trivy": {"status": "ok"}}}, "The evidence does not fit its schema at scans.trivy.status: "),
        ({"strategy": None}, "The evidence has no strategy: its schema demands it."),
    ],
)
def test_evidence_is_checked_against_its_schema_before_a_rule_is_asked(given: dict[str, Any], sentence: str) -> None:
    result = ask(denied("false"), **given)
    assert (result.status, result.rules) == ("unknown", 0)
    assert sentence in result.sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            denied("some f in input.findings; f.severty == 1"),
            "signed.rego:2: `f` has no `severty` in the evidence's schema.",
        ),
        (denied("input.findings[_].severty == 1"), "signed.rego:2: `input.findings[…]` has no `severty`"),
        (denied("every f in input.findings { f.bad }"), "signed.rego:2: `f` has no `bad`"),
        (denied("xs := [f | some f in input.findings; f.bad]; count(xs) > 0"), "signed.rego:2: `f` has no `bad`"),
        (f"bad(f) if f.bad\n{denied('some f in input.findings; bad(f)')}", "signed.rego:2: `f` has no `bad`"),
        (denied("some s in input.scans; s.counts.hihg > 0"), "signed.rego:2: `s.counts` has no `hihg`"),
        (denied("not input.scans.grype"), "The evidence has no scans.grype, which signed.rego:2 asks for."),
        (denied('input.tests["Smoke test"] != "passed"'), "The evidence has no tests, which signed.rego:2 asks for."),
        (f"import input.builder as b\n{denied('b.id == 1')}", "The evidence has no builder, which signed.rego:"),
        (f"built := input.builder\n{denied('built.name == 1')}", "signed.rego:3: `built` has no `name`"),
        (denied('object.get(input, "builder", {}) == 1'), "signed.rego:2: `input` is asked for as a whole"),
        (denied("some name; input[name] == 1"), "signed.rego:2: `input` is asked for as a whole"),
        (denied("data.owners[input.app] == 1"), "signed.rego:2: there is nothing under `data.owners`."),
        (denied('http.send({"url": "http://127.0.0.1"}).status_code == 500'), "`http.send` is not to be had here"),
        (denied("opa.runtime().env.HOME == 1"), "`opa.runtime` is not to be had here"),
        ("deny if true", "signed.rego:2: `deny` is a set of messages"),
        ('deny := "no" if true', "signed.rego:2: `deny` is a set of messages"),
        ("default deny := false", "signed.rego:2: `deny` is a set of messages"),
    ],
)
def test_a_rule_that_would_be_silent_whatever_the_release_is_is_named(text: str, sentence: str) -> None:
    result = ask(text)
    assert result.status == "unknown"
    assert sentence in result.sentence


@pytest.mark.parametrize(
    "text",
    [
        'owners := {"cart": "bob"}\n' + denied(HIGH, 'sprintf("%s: %s", [f.rule, owners[input.app]])'),
        'owners := {"cart": "bob"}\ndeny contains {"rule": "x", "message": owners[input.app]} if { ' + HIGH + " }",
        'owners := {"cart": "bob"}\n' + denied(HIGH, '{"rule": "x", "message": owners[input.app]}'),
        'owners := {"cart": "bob"}\ndeny contains msg if {\n  ' + HIGH + "\n  msg := owners[input.app]\n}",
    ],
)
def test_a_message_that_cannot_be_built_is_no_yes(text: str) -> None:
    result = ask(text)
    assert result.status == "unknown"
    assert result.sentence == "The message of the rule at signed.rego:3 cannot be built from this evidence."
    assert ask(text, findings=[]).status == "passed"


@pytest.mark.parametrize(
    "message", ["1", '""', '" "', '{"rule": "x"}', '{"message": 1}', '{"message": "a", "why": "b"}', "null"]
)
def test_a_message_that_says_nothing_is_no_yes(message: str) -> None:
    result = ask(denied(HIGH, message))
    assert result.status == "unknown"
    assert "neither a text nor an object with `message`" in result.sentence


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("deny contains msg if {", "signed.rego:2: "),
        ("deny[msg] { msg := 1 }", "signed.rego:2: `if` keyword is required before rule body."),
        (denied("nothing_of_that_name"), "signed.rego:2: use of undefined variable `nothing_of_that_name` is unsafe."),
        (denied("to_number(input.app) > 1"), "signed.rego:2: could not parse string as number."),
        (denied("crypto.sha256(input.app) == 1"), "signed.rego:2: could not find function crypto.sha256."),
        (f"a if a\n{denied('a')}", "signed.rego:2: recursion detected"),
    ],
)
def test_what_is_no_rego_or_raises_is_named_with_file_and_line(text: str, sentence: str) -> None:
    result = ask(text)
    assert result.status == "unknown"
    assert sentence in result.sentence
    assert "backtrace" not in result.sentence.lower()


def test_a_policy_that_does_not_end_is_ended_and_is_no_yes() -> None:
    body = "some i in numbers.range(1, 1000000); some j in numbers.range(1, 1000000); i * j < 0"
    result = ask(denied(body), seconds=2.0)
    assert (result.status, result.sentence) == ("unknown", "signed.rego took longer than 2 s, and was ended.")


def test_a_policy_that_takes_all_memory_is_ended_and_is_no_yes() -> None:
    result = ask(denied("count(numbers.range(1, 1000000000)) == 0"))
    assert result.status == "unknown"
    assert "signed.rego: the evaluation ended without a result" in result.sentence


def test_a_worker_without_the_engine_says_which_extra_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    result = ask(denied("false"))
    assert result.status == "unknown"
    assert (
        result.sentence == "Policies cannot be asked: this worker lacks regorus (extra `policy` of release-pipelines)."
    )


def test_rules_may_use_what_all_policies_share() -> None:
    shared = 'package lib.common\nbad := {"high", "critical"}\n'
    text = f"import data.lib.common\n{denied('some f in input.findings; f.severity in common.bad', 'f.rule')}"
    assert ask(text, lib=shared).sentence == "signed: CVE-2026-1."
    assert "nothing under `data.lib.common`" in ask(text, lib="package lib.commn\nbad := 1").sentence


def test_a_denial_names_rule_and_evidence_and_rules_are_counted() -> None:
    told = '{"rule": "known", "message": sprintf("%s in %s", [f.rule, f.component]), "evidence": f}'
    result = ask(f"{denied(HIGH, told)}\n{denied('false')}")
    assert (result.status, result.rules) == ("denied", 2)
    [denial] = result.answers[0].denials
    assert (denial.rule, denial.message) == ("signed.known", "CVE-2026-1 in pkg:pypi/flask@1.0")
    assert denial.evidence["component"] == "pkg:pypi/flask@1.0"
    assert result.sentence == "signed.known: CVE-2026-1 in pkg:pypi/flask@1.0."


def test_what_passed_says_how_many_rules_were_asked() -> None:
    result = ask(denied("false") + "\n" + denied('input.app == "cart"'))
    assert (result.status, result.rules) == ("passed", 2)
    assert result.sentence == "2 rules of signed have nothing against it."


def test_a_first_release_which_replaces_nothing_is_known_and_not_missing() -> None:
    assert ask(denied("input.serving.version == input.version")).status == "passed"


def test_what_is_known_later_postpones_a_policy_and_says_so() -> None:
    policies = [
        Policy(name=name, files={f"{name}.rego": f"package release\n{denied(body)}"})
        for name, body in {
            "tested": 'input.tests["Smoke test"] != "passed"',
            "built": 'input.strategy == "rolling"',
        }.items()
    ]
    early = rule_on(Rego(), policies, {}, evidence(), later={"tests"}, today=TODAY)
    assert early.status == "passed"
    assert early.sentence == "1 rule of built has nothing against it. tested is asked later, when tests is known."
    assert rule_on(Rego(), policies, {}, evidence(), today=TODAY).status == "unknown"


WAIVER = PolicyWaiver(app="shop", rule="signed.known", reason="not reachable", until=TODAY, who="carol")


@pytest.mark.parametrize(
    ("change", "status", "sentence"),
    [
        ({}, "passed", "Waived: signed.known: bad (not reachable, until 2026-11-27, by carol)."),
        ({"until": date(2026, 11, 26)}, "denied", "signed.known: bad; its waiver by carol ended on 2026-11-26."),
        ({"app": "cart"}, "denied", "signed.known: bad."),
        ({"rule": "signed"}, "denied", "signed.known: bad."),
        ({"rule": "known"}, "denied", "signed.known: bad."),
    ],
)
def test_a_waiver_counts_for_its_app_and_rule_until_its_last_day(
    change: dict[str, Any], status: str, sentence: str
) -> None:
    text = denied(HIGH, '{"rule": "known", "message": "bad"}')
    policy = Policy(name="signed", files={"signed.rego": f"package release\n{text}"})
    result = rule_on(Rego(), [policy], {}, evidence(), waivers=[WAIVER.model_copy(update=change)], today=TODAY)
    assert result.status == status
    assert sentence in result.sentence


def test_a_waiver_does_not_reach_what_could_not_be_asked() -> None:
    waiver = WAIVER.model_copy(update={"rule": "signed"})
    policy = Policy(name="signed", files={"signed.rego": f"package release\n{CASE}"})
    assert rule_on(Rego(), [policy], {}, evidence(), waivers=[waiver], today=TODAY).status == "unknown"


def test_the_policies_that_come_with_the_project_can_be_asked() -> None:
    assert names_in(POLICIES) == ["provenance", "scans"]
    for policy in policies_in(POLICIES, names_in(POLICIES)):
        rules, needs, wrong = look_at(Rego(), policy, library_in(POLICIES))
        assert (rules > 1, bool(needs), wrong) == (True, True, [])
