"""The judgement over all that scanners found: what stops a release, what is let pass, and what nobody could look at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from release_pipelines.core.findings.comparison import Comparison, Serving, Standing
from release_pipelines.core.findings.excuses import Excuse, Excuses
from release_pipelines.core.findings.feeds import KnownExploited, Scores
from release_pipelines.core.findings.flaws import Flaw, Names
from release_pipelines.core.findings.licences import ruling
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.findings.vex import Product, Statement
from release_pipelines.core.model.finding import Finding, ScanResult, in_words
from release_pipelines.core.model.units import lasting

NO_LICENCE = "NOASSERTION"
"""The name of a licence that is not told."""

Comes = Literal["blocks", "unknown", "excepted", "passes"]

NO_SEVERITY = "nobody can say its severity"
NO_KNOWN_LICENCE = "its licence is unknown"
BY_SEVERITY = "findings from "
"""How the reason of a finding begins that is bad enough."""

AHEAD = 86400.0
"""Data from so many seconds ahead are no data: a clock is wrong."""


@dataclass(frozen=True)
class Judged:
    """A flaw, and what the rules say to it.

    :param reasons: why it stops a release; empty: it does not.
    :param excuses: what lets it pass all the same.
    :param expired: exceptions that would have, and hold no more.
    :param standing: whether it is new against the version that serves.
    """

    flaw: Flaw
    reasons: list[str]
    excuses: list[Excuse]
    expired: list[Excuse]
    standing: Standing = "not compared"

    @property
    def comes_to(self) -> Comes:
        """What it means for the release. What is unknown stops it, too; the word says why."""
        if not self.reasons:
            return "passes"
        if self.excuses:
            return "excepted"
        return "unknown" if all(it.startswith((NO_SEVERITY, NO_KNOWN_LICENCE)) for it in self.reasons) else "blocks"

    @property
    def words(self) -> str:
        """What it is, where, and why it matters, in a line."""
        also = f" ({', '.join(self.flaw.names[1:])})" if len(self.flaw.names) > 1 else ""
        parts = [f"{self.flaw.name}{also} in {self.flaw.place}: {self.flaw.text}"]
        parts += [it for it in self.reasons if not it.startswith(BY_SEVERITY)]
        parts += [self.flaw.fix] if self.flaw.fix else []
        parts += [f"the exception in {it.where} has run out: {it.words}" for it in self.expired if not self.excuses]
        return "; ".join(parts)


@dataclass(frozen=True)
class Judgement:
    """What all results come to.

    :param blocking: what stops the release, the worst first.
    :param excepted: what would, and is let pass.
    :param passing: everything else that was found.
    :param fixed: what the version that serves has, and this one has not.
    :param unknown: what could not be looked at, a sentence each.
    :param serving: name of the version that serves; None: it was not compared with any.
    """

    blocking: list[Judged]
    excepted: list[Judged]
    passing: list[Judged]
    fixed: list[Flaw]
    unknown: list[str]
    serving: str | None = None

    @property
    def passes(self) -> bool:
        """Whether the release may go on. What is unknown is not clean."""
        return not self.blocking and not self.unknown

    @property
    def found(self) -> list[Judged]:
        """All that was found."""
        return [*self.blocking, *self.excepted, *self.passing]

    def standing(self, standing: Standing) -> list[Judged]:
        """What was found and stands so against the version that serves."""
        return [it for it in self.found if it.standing == standing]

    def sentence(self, who: str) -> str:
        """What it comes to.

        :param who: who has looked.
        """
        if self.unknown or self.blocking:
            more = [f"{len(self.unknown) - 1} more could not be looked at."] if len(self.unknown) > 1 else []
            told = [f"{it.rstrip('.')}." for it in self.unknown[:1]] + more
            return " ".join([*told, *([self._stopped(who)] if self.blocking else [])])
        found = in_words(it.flaw.first for it in self.found)
        excepted = f", {len(self.excepted)} of them excepted" if self.excepted else ""
        return f"{who} found {found}{excepted}." if found else f"{who} found nothing."

    def _stopped(self, who: str) -> str:
        first = self.blocking[0]
        counts = in_words(it.flaw.first for it in self.blocking)
        why = {reason for it in self.blocking for reason in it.reasons}
        why_all = f"({why.pop()})" if len(why) == 1 and min(why).startswith(BY_SEVERITY) else "that stop the release"
        old = f" Not new: {self.serving} serves with it." if self.serving and first.standing == "same" else ""
        return f"{who} found {counts} {why_all}, like {first.words.rstrip('.')}.{old}"


@dataclass(frozen=True)
class Demand:
    """What has to be there before there is a judgement.

    :param scanners: names of scanners that have to have looked.
    :param images: digests of the image's platforms to their names: every scanner that looked at an image has to have looked at
        each of them, and at nothing else. Empty: nobody says what the image is made of.
    """

    scanners: Sequence[str] = ()
    images: Mapping[str, str] | None = None


def judge(
    results: Mapping[str, Sequence[ScanResult]],
    rules: Rules,
    now: float,
    *,
    statements: Sequence[Statement] = (),
    product: Product | None = None,
    known_exploited: KnownExploited | None = None,
    scores: Scores | None = None,
    serving: Serving | None = None,
    demand: Demand | None = None,
) -> Judgement:
    """Judge what scanners found.

    :param results: names of scanners to what they found: in the source, and in each platform's image.
    :param rules: what the app allows.
    :param now: Unix time in seconds.
    :param statements: of VEX documents.
    :param product: the image that is judged; None: it is source code.
    :param known_exploited: the list that ``rules.known_exploited`` asks for.
    :param scores: the scores that ``rules.epss`` asks for.
    :param serving: the version that serves now; None: none does, or nobody asks.
    :param demand: what has to be there.
    """
    demand = demand or Demand()
    unknown = [
        *_not_looked(results, demand),
        *_of_results(results, rules, now),
        *_of_feeds(rules, known_exploited, scores, now),
    ]
    named = {name: [_named(it) for it in found] for name, found in results.items()}
    compared = Comparison(named, serving)
    in_time = sorted(statements, key=lambda it: (it.at, not it.passes))
    excuses = Excuses(rules.exceptions, in_time, product, compared.names, now)
    judged = []
    for flaw in compared.flaws:
        reasons = list(_reasons(flaw, rules, compared.names, known_exploited, scores))
        good, expired = (excuses.of(flaw), excuses.expired(flaw)) if reasons else ([], [])
        standing = compared.standing(flaw) if serving else "not compared"
        judged.append(Judged(flaw, reasons, good, expired, standing))
    return Judgement(
        blocking=[it for it in judged if it.reasons and not it.excuses],
        excepted=[it for it in judged if it.reasons and it.excuses],
        passing=[it for it in judged if not it.reasons],
        fixed=compared.fixed,
        unknown=list(dict.fromkeys(unknown)),
        serving=serving.version if serving else None,
    )


def _reasons(
    flaw: Flaw, rules: Rules, names: Names, known: KnownExploited | None, scores: Scores | None
) -> Iterator[str]:
    """Why a flaw stops a release."""
    if flaw.kind == "licence" and rules.licences is not None:
        expression = flaw.first.rule
        found = ruling(expression, frozenset(rules.licences.allow), frozenset(rules.licences.deny))
        if found.verdict != "allowed":
            yield f"its licence is {found.verdict}, because of {found.part}"
        return
    if not (rules.only_fixable and flaw.kind == "vulnerability" and not flaw.fixed_in):
        if flaw.severity == "unknown":
            if rules.unknown_severity == "block":
                yield NO_SEVERITY
        elif flaw.reaches(rules.block_on):
            yield f"{BY_SEVERITY}{rules.block_on} on stop the release"
    above = names.above(flaw.name)
    if rules.known_exploited and known and (name := known.named(above)):
        yield f"known to be exploited ({name}{', since ' + known.since[name] if known.since[name] else ''})"
    if rules.epss and scores and (chance := scores.highest(above)) is not None and chance >= rules.epss.at_least:
        yield f"exploited within 30 days with a probability of {chance:.1%}, the limit is {rules.epss.at_least:.1%}"


def _not_looked(results: Mapping[str, Sequence[ScanResult]], demand: Demand) -> Iterator[str]:
    for name in dict.fromkeys([*demand.scanners, *results]):
        if not results.get(name):
            yield f"unknown: {name} has not looked."
    if not results and not demand.scanners:
        yield "unknown: no scanner has looked."
    for name, found in results.items():
        looked = {it.subject for it in found if it.subject}
        if not looked or demand.images is None:
            continue
        for digest in sorted(looked - demand.images.keys()):
            yield f"unknown: {name} looked at {digest}, which is no image of this release."
        for digest, platform in demand.images.items():
            if digest not in looked:
                yield f"unknown: {name} has not looked at {platform} ({digest})."


def _of_results(results: Mapping[str, Sequence[ScanResult]], rules: Rules, now: float) -> Iterator[str]:
    for name, found in results.items():
        for it in found:
            if it.status == "unknown":
                yield it.sentence if it.sentence.startswith("unknown") else f"unknown: {it.sentence}"
            elif it.status == "findings" and not it.findings:
                yield f"unknown: {name} found something, and does not say what."
            vulnerable = any(finding.kind == "vulnerability" for finding in it.findings)
            if rules.data_older_than is not None and vulnerable and it.data_at is None:
                yield f"unknown: {name} does not say how old its data are."
            yield from _age(f"the data of {name}", it.data_at, rules, now)
    if rules.licences is not None and results and not any(_tells_licences(found) for found in results.values()):
        yield "unknown: no scanner tells the licences of the components."


def _tells_licences(found: Iterable[ScanResult]) -> bool:
    return any(finding.kind == "licence" for it in found for finding in it.findings)


def _of_feeds(rules: Rules, known: KnownExploited | None, scores: Scores | None, now: float) -> Iterator[str]:
    for asked, feed, what in (
        (rules.known_exploited, known, "the list of known exploited vulnerabilities"),
        (rules.epss, scores, "the scores of EPSS"),
    ):
        if not asked:
            continue
        if feed is None:
            yield f"unknown: {what} could not be read."
        elif rules.data_older_than is not None and feed.data_at is None:
            yield f"unknown: {what} does not say how old it is."
        else:
            yield from _age(what, feed.data_at, rules, now)


def _age(what: str, data_at: float | None, rules: Rules, now: float) -> Iterator[str]:
    """What is wrong with the age of data; nothing where they have none, or nobody asks."""
    if data_at is None or rules.data_older_than is None:
        return
    if now - data_at > rules.data_older_than:
        yield f"unknown: {what} are {lasting(now - data_at)} old, the limit is {lasting(rules.data_older_than)}."
    elif data_at - now > AHEAD:
        yield f"unknown: {what} are from the future: a clock is wrong."


def _named(result: ScanResult) -> ScanResult:
    """The result, with a name for each licence that is not told."""
    if not any(it.kind == "licence" and not it.rule.strip() for it in result.findings):
        return result
    return result.model_copy(update={"findings": [_with_name(it) for it in result.findings]})


def _with_name(it: Finding) -> Finding:
    return it.model_copy(update={"rule": NO_LICENCE}) if it.kind == "licence" and not it.rule.strip() else it
