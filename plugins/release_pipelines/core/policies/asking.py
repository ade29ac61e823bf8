"""Policies are asked: read, compared with the evidence, and only then evaluated."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any, Protocol

from release_pipelines.core.model.evidence import EvidenceUnfit, ReleaseEvidence, checked
from release_pipelines.core.model.policy import QUERY, Answer, Policy, PolicyWaiver, Ruling
from release_pipelines.core.policies.deciding import answered, lacking, obstacles, ruling, unanswered
from release_pipelines.core.policies.reading import Reading, read
from release_pipelines.core.policies.twins import Twin, with_twins


class EngineFailed(Exception):
    """The engine could not read, or evaluate; the message is a sentence."""


class Engine(Protocol):
    """What evaluates Rego."""

    def parse(self, files: Mapping[str, str]) -> list[dict[str, Any]]:
        """Each file with its syntax tree.

        :param files: paths to texts.
        :raises EngineFailed: for what is no Rego, with file and line.
        """

    def evaluate(self, files: Mapping[str, str], document: Mapping[str, Any], queries: Sequence[str]) -> list[Any]:
        """The value of each query; None where it is undefined.

        :raises EngineFailed: when a rule raises, or takes too long or too much.
        """


def rule_on(
    engine: Engine,
    policies: Sequence[Policy],
    library: Mapping[str, str],
    document: dict[str, Any],
    *,
    later: Collection[str] = (),
    waivers: Sequence[PolicyWaiver] = (),
    today: date,
) -> Ruling:
    """Ask policies about a release.

    :param library: paths to texts of files that all policies may use.
    :param document: the evidence: checked against its schema before any rule is asked.
    :param later: parts of it that are not known yet: what needs them is asked later.
    """
    try:
        document = checked(document)
    except EvidenceUnfit as error:
        answers = [Answer(policy=it.name, unasked=[str(error)]) for it in policies]
    else:
        answers = [_answer(engine, it, library, document, later) for it in policies]
    return ruling(answers, str(document.get("app", "")), waivers, today)


def look_at(engine: Engine, policy: Policy, library: Mapping[str, str]) -> tuple[int, list[str], list[str]]:
    """What a policy's author wants to know: how many rules are asked, which evidence they need, and what is wrong."""
    try:
        _, own, others = _read(engine, policy, library)
    except EngineFailed as error:
        return 0, [], [str(error)]
    needs = sorted({".".join(need.path) for reading in (*own, *others) for need in reading.needs})
    return sum(len(it.asked) for it in own), needs, obstacles(policy, own, others)


def unusable(engine: Engine, policy: Policy, library: Mapping[str, str]) -> list[str]:
    """Rules of a policy whose answers will be unknown whenever they have something against a release, a sentence each."""
    try:
        _, own, _ = _read(engine, policy, library)
    except EngineFailed:  # looking at it says so
        return []
    return [f"{where}: {sentence}." for reading in own for where, sentence in dict.fromkeys(reading.unusable)]


def _read(
    engine: Engine, policy: Policy, library: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[Reading], list[Reading]]:
    if not policy.files:
        return [], [], []
    parsed = engine.parse({**library, **policy.files})
    schema = ReleaseEvidence.model_json_schema()
    own = [it for it in parsed if it["source"]["file"] in policy.files]
    others = [it for it in parsed if it["source"]["file"] not in policy.files]
    return own, [read(it, schema) for it in own], [read(it, schema) for it in others]


def _answer(
    engine: Engine, policy: Policy, library: Mapping[str, str], document: Mapping[str, Any], later: Collection[str]
) -> Answer:
    try:
        parsed, own, others = _read(engine, policy, library)
        rules = sum(len(it.asked) for it in own)
        if wrong := obstacles(policy, own, others):
            return Answer(policy=policy.name, rules=rules, unasked=wrong)
        missing = lacking((need for reading in (*own, *others) for need in reading.needs), document)
        if missing:
            return unanswered(policy, rules, missing, later)
        return _asked(engine, policy, parsed, library, document, rules)
    except EngineFailed as error:
        return Answer(policy=policy.name, unasked=[str(error)])


def _asked(
    engine: Engine,
    policy: Policy,
    parsed: Sequence[Mapping[str, Any]],
    library: Mapping[str, str],
    document: Mapping[str, Any],
    rules: int,
) -> Answer:
    texts, twins = dict(library), list[tuple[str, Twin]]()
    for number, it in enumerate(parsed):
        file = it["source"]["file"]
        texts[file], beside = with_twins(it, f"{number}_")
        twins += [(file, twin) for twin in beside]
    names = [name for _, twin in twins for name in (twin.rule, twin.twin)]
    package = QUERY.rpartition(".")[0]
    value, *told = engine.evaluate(texts, document, [QUERY, *(f"{package}.{name}" for name in names)])
    said = dict(zip(names, told, strict=True))
    silent = [f"{file}:{twin.line}" for file, twin in twins if said[twin.twin] and not said[twin.rule]]
    return answered(policy, rules, value, silent)
