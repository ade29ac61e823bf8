"""From what policies answer to whether a release may go on. Unknown is no yes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import ValidationError

from release_pipelines.core.model.policy import QUERY, Answer, Denial, Policy, PolicyWaiver, Ruling
from release_pipelines.core.policies.reading import Need, Reading, missing_data


def obstacles(policy: Policy, readings: Sequence[Reading], others: Sequence[Reading]) -> list[str]:
    """Why a policy cannot be asked, whatever the evidence is.

    :param readings: its files as read.
    :param others: the files that all policies may use.
    """
    if not policy.files:
        return [f"No rule answered: {policy.name} has no file that ends in .rego, asked was {QUERY}."]
    found = [
        f"No rule answered: {_silence(it)}, asked was {QUERY}." for it in readings if not it.asked and not it.mistakes
    ]
    mistakes = [*(it for reading in readings for it in reading.mistakes), *missing_data([*readings, *others])]
    mistakes += [it for reading in others for it in reading.mistakes]
    return found + [f"{where}: {sentence}." for where, sentence in dict.fromkeys(mistakes)]


def _silence(reading: Reading) -> str:
    if f"data.{reading.package}" != QUERY.rpartition(".")[0]:
        return f"{reading.file} says `package {reading.package}`"
    names = ", ".join(dict.fromkeys(".".join(it) for it in reading.names)) or "no rule"
    return f"{reading.file} has no rule `deny`, but {names}"


def lacking(needs: Iterable[Need], document: Mapping[str, Any]) -> list[Need]:
    """What the evidence has not got, each once."""
    found: dict[tuple[str, ...], Need] = {}
    for need in needs:
        at: Any = document
        for depth, name in enumerate(need.path, 1):
            if at is None or not isinstance(at, Mapping):
                break  # known to be nothing, or of a shape that the schema has judged
            if name not in at:
                found.setdefault(need.path[:depth], Need(need.path[:depth], need.where))
                break
            at = at[name]
    return list(found.values())


def unanswered(policy: Policy, rules: int, missing: Sequence[Need], later: Collection[str]) -> Answer:
    """The answer of a policy whose evidence is not there.

    :param later: parts of the evidence that are known later, when the policy is asked again.
    """
    still = [it for it in missing if it.path[0] not in later]
    if still:
        sentences = [f"The evidence has no {'.'.join(it.path)}, which {it.where} asks for." for it in still]
        return Answer(policy=policy.name, rules=rules, unasked=sentences)
    return Answer(policy=policy.name, rules=rules, postponed=list(dict.fromkeys(".".join(it.path) for it in missing)))


def answered(policy: Policy, rules: int, value: Any, silent: Iterable[str]) -> Answer:
    """What a policy has answered.

    :param value: the value of the query.
    :param silent: places of rules whose message could not be built.
    """
    unknown = [f"The message of the rule at {it} cannot be built from this evidence." for it in silent]
    if not isinstance(value, list):
        return Answer(
            policy=policy.name, rules=rules, unasked=[f"No rule answered: {policy.name} gives nothing for {QUERY}."]
        )
    denials = []
    for it in value:
        try:
            denials.append(_denial(policy.name, it))
        except (ValidationError, TypeError, KeyError):
            unknown.append(
                f"A message of {policy.name} is neither a text nor an object with `message`, and `rule` and `evidence` if wanted."
            )
    denials.sort(key=lambda it: (it.rule, it.message))
    return Answer(policy=policy.name, rules=rules, denials=denials, unasked=list(dict.fromkeys(unknown)))


def _denial(policy: str, said: Any) -> Denial:
    if isinstance(said, str):
        return Denial(rule=policy, message=said)
    if not isinstance(said, dict) or said.keys() - {"rule", "message", "evidence"}:
        raise TypeError
    rule = said.get("rule")
    if rule is not None and not isinstance(rule, str):
        raise TypeError
    return Denial(rule=f"{policy}.{rule}" if rule else policy, message=said["message"], evidence=said.get("evidence"))


def ruling(answers: Sequence[Answer], app: str, waivers: Iterable[PolicyWaiver], today: date) -> Ruling:
    """What the answers amount to.

    :param waivers: those of the environment: they count for their app, until their last day.
    """
    own = {it.rule: it for it in waivers if it.app == app}
    answers = [
        it.model_copy(update={"denials": [_waived(denial, own, today) for denial in it.denials]}) for it in answers
    ]
    rules = sum(it.rules for it in answers if not it.postponed)
    unknown = [sentence for it in answers for sentence in it.unasked]
    denied = [denial for it in answers for denial in it.denials if not denial.waived]
    status = "denied" if denied else "unknown" if unknown or not answers else "passed"
    told = [_told(it) for it in denied] + unknown
    if status == "passed":
        told = [_passed(answers, rules)]
    elif not answers:
        told = ["No policy is named, so none was asked."]
    told += [f"Waived: {_told(it)}" for a in answers for it in a.denials if it.waived]
    told += [
        f"{it.policy} is asked later, when {' and '.join(it.postponed)} is known." for it in answers if it.postponed
    ]
    return Ruling(status=status, rules=rules, answers=answers, sentence=" ".join(told))


def _passed(answers: Sequence[Answer], rules: int) -> str:
    asked = [it.policy for it in answers if not it.postponed]
    if not asked:
        return "No policy could be asked yet."
    return f"{rules} rule{'s' if rules != 1 else ''} of {', '.join(asked)} {'have' if rules != 1 else 'has'} nothing against it."


def _told(denial: Denial) -> str:
    return f"{denial.rule}: {denial.message.rstrip('.')}{f' ({denial.waived})' if denial.waived else ''}."


def _waived(denial: Denial, waivers: Mapping[str, PolicyWaiver], today: date) -> Denial:
    waiver = waivers.get(denial.rule)
    if waiver is None:
        return denial
    if today > waiver.until:
        ended = f"{denial.message.rstrip('.')}; its waiver by {waiver.who} ended on {waiver.until}"
        return denial.model_copy(update={"message": ended})
    why = f"{waiver.reason.rstrip('.')}, until {waiver.until}, by {waiver.who}"
    return denial.model_copy(update={"waived": why})
