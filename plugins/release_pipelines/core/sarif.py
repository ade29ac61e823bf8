"""SARIF 2.1.0: what any tool writes → findings; a judgement → what any viewer reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from release_pipelines.core.findings.severity import opinion
from release_pipelines.core.model.finding import Finding, Kind, Rating, ScanResult, Score, in_words
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    from release_pipelines.core.findings.flaws import Flaw
    from release_pipelines.core.findings.judgement import Judged, Judgement

REPORT = "findings.sarif"
"""Name of a release's text with all findings."""

LEVELS: dict[str, Rating] = {"error": "high", "warning": "medium", "note": "low", "none": "low"}
"""Levels as severities, where no rule has a number."""

NOT_FOUND = ("pass", "notApplicable", "informational")
"""Kinds of results that are no findings."""


class _NotWhole(Exception):
    """Why a report does not say all; the message completes "could not look, because"."""


def read(
    text: str, tool: str, *, kind: Kind = "code", subject: str | None = None, data_at: float | None = None
) -> ScanResult:
    """What a report says. Never raises: what is no whole report is unknown.

    :param tool: the tool's name, for sentences.
    :param kind: what its findings are.
    :param subject: digest of the image that it is about; None: source code.
    :param data_at: how old the tool's data are, as Unix time in seconds.
    """
    try:
        findings = list(_findings(json.loads(text), kind))
    except _NotWhole as error:
        return _unknown(tool, str(error), subject)
    except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        return _unknown(tool, "its report is no SARIF 2.1.0", subject)
    found = f"found {in_words(findings)}" if findings else "found nothing"
    status = "findings" if findings else "clean"
    return ScanResult(status=status, findings=findings, sentence=f"{tool} {found}.", subject=subject, data_at=data_at)


def _unknown(tool: str, why: str, subject: str | None) -> ScanResult:
    return ScanResult(status="unknown", sentence=f"unknown: {tool} could not look, because {why}.", subject=subject)


def _findings(report: Mapping[str, Any], kind: Kind) -> Iterator[Finding]:
    if not str(report["version"]).startswith("2.1."):
        raise _NotWhole(f"its report is SARIF {one_line(report['version'], 20)}, and 2.1.0 is expected")
    if not report["runs"]:
        raise _NotWhole("its report has no runs")
    for run in report["runs"]:
        if run.get("results") is None:
            raise _NotWhole("a run in its report has no results")
        if "results" in (run.get("externalPropertyFileReferences") or {}):
            raise _NotWhole("its report has results in other files")
        for invocation in run.get("invocations") or []:
            _checked(invocation)
        rules = _Rules(run)
        for result in run["results"]:
            if not _is_away(result):
                yield _finding(result, run, rules, kind)


def _checked(invocation: Mapping[str, Any]) -> None:
    if invocation.get("executionSuccessful") is False:
        raise _NotWhole("it did not end well, by its own report")
    for note in invocation.get("toolExecutionNotifications") or []:
        if note.get("level") == "error":
            said = one_line((note.get("message") or {}).get("text") or "an error", 300)
            raise _NotWhole(f"it reports: {said}")


def _is_away(result: Mapping[str, Any]) -> bool:
    """Whether a result is none: it was not found, is gone since, or whoever wrote the code has accepted it there."""
    if result.get("kind") in NOT_FOUND or result.get("baselineState") == "absent":
        return True
    suppressions = result.get("suppressions") or []
    return bool(suppressions) and all(it.get("status", "accepted") == "accepted" for it in suppressions)


class _Rules:
    """The rules of a run: of its driver and of its extensions."""

    def __init__(self, run: Mapping[str, Any]) -> None:
        tool = run["tool"]
        self.driver, self.extensions = tool["driver"], list(tool.get("extensions") or [])

    def of(self, result: Mapping[str, Any]) -> Mapping[str, Any]:
        """The rule of a result; empty where the report does not have it (§3.27.5 to §3.27.7)."""
        reference = result.get("rule") or {}
        component = self._component(reference.get("toolComponent") or {})
        index = reference.get("index", result.get("ruleIndex", -1))
        own = component.get("rules") or []
        if isinstance(index, int) and 0 <= index < len(own):
            return own[index]  # type: ignore[no-any-return]
        everywhere = [component] if "toolComponent" in reference else [self.driver, *self.extensions]
        rules = [rule for it in everywhere for rule in it.get("rules") or []]
        if guid := reference.get("guid"):
            return next((it for it in rules if it.get("guid") == guid), {})
        name = self.id_of(result)
        while name:  # a part after a slash names a special case of the rule
            if found := next((it for it in rules if it.get("id") == name), None):
                return found  # type: ignore[no-any-return]
            name = name.rpartition("/")[0]
        return {}

    @staticmethod
    def id_of(result: Mapping[str, Any]) -> str:
        """The rule's id as the result has it."""
        return str(result.get("ruleId") or (result.get("rule") or {}).get("id") or "")

    def _component(self, reference: Mapping[str, Any]) -> Mapping[str, Any]:
        index = reference.get("index", -1)
        if isinstance(index, int) and 0 <= index < len(self.extensions):
            return self.extensions[index]  # type: ignore[no-any-return]
        for key in ("guid", "name"):
            if key in reference:
                return next((it for it in (self.driver, *self.extensions) if it.get(key) == reference[key]), {})
        return self.driver  # type: ignore[no-any-return]


def _finding(result: Mapping[str, Any], run: Mapping[str, Any], rules: _Rules, kind: Kind) -> Finding:
    rule = rules.of(result)
    name = rules.id_of(result) or str(rule.get("id") or "unnamed")
    score, rating = _severity(result, run, rule)
    places = (it.get("physicalLocation") for it in result.get("locations") or [])
    place: Mapping[str, Any] = next(filter(None, places), {})
    if kind == "secret" and rating in (
        "low",
        "medium",
    ):  # tools for secrets leave the level out, which would mean a warning
        rating = "high"
    return Finding(
        kind=kind,
        severity=rating,
        rule=name,
        file=_file(place.get("artifactLocation") or {}, run),
        line=int((place.get("region") or {}).get("startLine") or 0),
        text=_text({} if kind == "secret" else result.get("message") or {}, rule) or name,  # which may hold the secret
        scores=[score] if score else [],
    )


def _severity(
    result: Mapping[str, Any], run: Mapping[str, Any], rule: Mapping[str, Any]
) -> tuple[Score | None, Rating]:
    """The number that security tools give a rule; without it the level. A number that is none makes it unknown."""
    for it in (result, rule):
        number = (it.get("properties") or {}).get("security-severity")
        if number not in (None, ""):
            score = opinion("security-severity", number)
            return score, score.rating
    if result.get("kind") in ("open", "review"):  # the tool could not decide, or asks a person
        return None, "unknown"
    level = result.get("level") or _configured(result, run, rule) or "warning"
    return None, LEVELS.get(level, "unknown")


def _configured(result: Mapping[str, Any], run: Mapping[str, Any], rule: Mapping[str, Any]) -> str | None:
    """The level of a rule: what the invocation overrides, else the rule's own (§3.27.10)."""
    number = (result.get("provenance") or {}).get("invocationIndex", -1)
    invocations = run.get("invocations") or []
    if isinstance(number, int) and 0 <= number < len(invocations):
        for it in invocations[number].get("ruleConfigurationOverrides") or []:
            if _means(it["descriptor"], rule, run) and "level" in it["configuration"]:
                return str(it["configuration"]["level"])
    return (rule.get("defaultConfiguration") or {}).get("level")


def _means(descriptor: Mapping[str, Any], rule: Mapping[str, Any], run: Mapping[str, Any]) -> bool:
    """Whether a reference is to a rule: by its index, by its guid, or by its id."""
    if not rule:
        return False
    if "index" in descriptor:
        return _Rules(run).of({"rule": descriptor}) is rule
    key = "guid" if "guid" in descriptor else "id"
    return key in rule and descriptor.get(key) == rule[key]


def _file(location: Mapping[str, Any], run: Mapping[str, Any]) -> str:
    artifacts, index = run.get("artifacts") or [], location.get("index", -1)
    if "uri" not in location and isinstance(index, int) and 0 <= index < len(artifacts):
        location = artifacts[index].get("location") or {}
    uri = str(location.get("uri") or "")
    return unquote(uri.removeprefix("file://")).removeprefix("./")


def _text(message: Mapping[str, Any], rule: Mapping[str, Any]) -> str:
    text = message.get("text") or ((rule.get("messageStrings") or {}).get(message.get("id")) or {}).get("text")
    for number, argument in enumerate(message.get("arguments") or []):
        text = (text or "").replace(f"{{{number}}}", str(argument))
    return str(text or (rule.get("shortDescription") or {}).get("text") or "")


def write(judgement: Judgement, *, version: str = "") -> str:
    """A judgement as a report, as JSON: everything that was found, what was let pass as suppressed, what was fixed as absent.

    No text of a secret is in it.

    :param version: of this package.
    """
    flaws = [it.flaw for it in judgement.found] + judgement.fixed
    of_rules: dict[str, list[Flaw]] = {}
    for it in flaws:
        of_rules.setdefault(it.name, []).append(it)
    rules = {name: number for number, name in enumerate(of_rules)}
    run = {
        "tool": {
            "driver": {
                "name": "release-pipelines",
                **({"version": version} if version else {}),
                "rules": [_rule(name, found) for name, found in of_rules.items()],
            }
        },
        "invocations": [
            {
                "executionSuccessful": not judgement.unknown,
                "toolExecutionNotifications": [{"level": "error", "message": {"text": it}} for it in judgement.unknown],
            }
        ],
        "results": [
            *(_result(it.flaw, rules, _state(it, judgement), _suppressions(it), it.comes_to) for it in judgement.found),
            *(_result(it, rules, "absent", [], None) for it in judgement.fixed),
        ],
    }
    schema = "https://json.schemastore.org/sarif-2.1.0.json"
    return json.dumps({"$schema": schema, "version": "2.1.0", "runs": [run]}, indent=1)


def _rule(name: str, flaws: Sequence[Flaw]) -> dict[str, Any]:
    numbers = [number for it in flaws if (number := _number(it)) is not None]
    worst = {"properties": {"security-severity": f"{max(numbers):.1f}"}} if numbers else {}
    return {"id": name, "shortDescription": {"text": flaws[0].text}, **worst}


def _number(flaw: Flaw) -> float | None:
    """A severity as a number: the highest that a source gives and that says the same, else the lowest that means it."""
    if flaw.severity == "unknown":
        return None
    stated = [it.score for it in flaw.scores if it.score is not None and it.rating == flaw.severity]
    return max(stated, default={"critical": 9.0, "high": 7.0, "medium": 4.0, "low": 0.1}[flaw.severity])


def _state(judged: Judged, judgement: Judgement) -> str | None:
    known = {"new": "new", "same": "unchanged", "not compared": None}
    return known[judged.standing] if judgement.serving else None


def _suppressions(judged: Judged) -> list[dict[str, Any]]:
    return [
        {"kind": "external", "status": "accepted", "justification": f"{it.where}: {it.words}"} for it in judged.excuses
    ]


def _result(
    flaw: Flaw, rules: Mapping[str, int], state: str | None, suppressions: Iterable[Any], comes_to: str | None
) -> dict[str, Any]:
    levels = {"critical": "error", "high": "error", "unknown": "error", "medium": "warning", "low": "note"}
    number, file = _number(flaw), flaw.first.file
    properties: dict[str, Any] = {
        "severity": flaw.severity,
        **({"gate": comes_to} if comes_to else {}),
        "kind": flaw.kind,
        "names": flaw.names,
        "scanners": flaw.scanners,
        **({"security-severity": f"{number:.1f}"} if number is not None else {}),
        **({"component": flaw.component} if flaw.component else {}),
        **({"fixedIn": flaw.fixed_in} if flaw.fixed_in else {}),
        **({"platforms": flaw.platforms} if flaw.platforms else {}),
        **({"layer": flaw.first.layer} if flaw.first.layer else {}),
    }
    physical = {"artifactLocation": {"uri": quote(file)}} if file else {}
    if physical and flaw.first.line > 0:
        physical["region"] = {"startLine": flaw.first.line}  # type: ignore[dict-item]
    location = {
        **({"physicalLocation": physical} if physical else {}),
        **({"logicalLocations": [{"fullyQualifiedName": flaw.component}]} if flaw.component else {}),
    }
    return {
        "ruleId": flaw.name,
        "ruleIndex": rules[flaw.name],
        "level": levels[flaw.severity],
        "message": {"text": f"{flaw.text}, in {flaw.place}" + (f"; {flaw.fix}" if flaw.fix else "")},
        **({"locations": [location]} if location else {}),
        **({"baselineState": state} if state else {}),
        **({"suppressions": suppressions} if suppressions else {}),
        "properties": properties,
    }
