"""PromQL: text that is put together, and the metrics for which a team has written its own."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

from release_pipelines.core.errors import BadQuery, MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis, Metric
from release_pipelines.core.model.measurement import MetricQuery, Sample
from release_pipelines.core.model.mistake import Mistake
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.track import Track
from release_pipelines.core.ports.judge import JUDGES
from release_pipelines.core.ports.metrics import Lack, Measuring, MetricSource, MetricsService, Place

PLACEHOLDERS = ("app", "track", "namespace", "environment", "window")

SCRAPES = 2.2
"""Scrapes that a window has to span, so that two of them are in it whatever the moment."""
LOOK_BACK = 300.0
"""Seconds of data that show how often they are scraped."""

_MATCHERS = r"""\{(?:[^{}"']|"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')*\}"""
_SELECTOR = re.compile(rf"(?P<selector>[a-zA-Z_:][\w:]*(?:\s*{_MATCHERS})?|{_MATCHERS})\s*\[\s*(?P<range>\w+)\s*\]")
_PLACEHOLDER = re.compile(r"\{\{\s*([^{}]*?)\s*\}\}")


PAIRS = {"(": ")", "[": "]", "{": "}"}
QUOTES = "\"'`"
TOKENS = re.compile(r"""#[^\n]*|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`|[()\[\]{}"'`]""")
"""Comments and texts, in which anything may stand, and brackets and quotes without an end."""


def unknown_placeholders(promql: str) -> list[str]:
    """Names in ``{{ … }}`` that mean nothing."""
    return [name for name in _PLACEHOLDER.findall(promql) if name not in PLACEHOLDERS]


def broken(promql: str) -> str | None:
    """What cannot be PromQL, whatever it asks for: a bracket or a quote without its other half; None: nothing shows."""
    expected: list[tuple[str, str]] = []
    for part in TOKENS.finditer(promql):
        sign = part[0]
        if sign in PAIRS:
            expected.append((sign, PAIRS[sign]))
        elif sign in PAIRS.values():
            if not expected or expected[-1][1] != sign:
                return f"a `{sign}` that nothing opens"
            expected.pop()
        elif sign in QUOTES:
            return f"a quote {sign} without its end"
    return f"a `{expected[-1][0]}` without its `{expected[-1][1]}`" if expected else None


def fill(promql: str, values: Mapping[str, str]) -> str:
    """``promql`` with each ``{{ name }}`` replaced; values must be escaped already.

    :raises KeyError: for a name that is not in ``values``.
    """
    return _PLACEHOLDER.sub(lambda match: values[match[1]], promql)


def duration(seconds: float) -> str:
    """Seconds as PromQL writes them: ``30s``, ``1500ms``."""
    millis = max(1, round(seconds * 1000))
    return f"{millis // 1000}s" if millis % 1000 == 0 else f"{millis}ms"


def matcher(label: str, value: str) -> str:
    """``label="value"``"""
    return f'{label}="{escaped(value)}"'


def escaped(value: str) -> str:
    """A label value as it stands between double quotes in PromQL."""
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def sample_of(
    metric: Metric,
    at: float,
    bad: float | None,
    total: float | None,
    value: float | None,
    beside: tuple[float | None, float | None] = (None, None),
) -> Sample:
    """The answers as a sample taken ``at`` (Unix time in seconds); for counts the value is bad out of total.

    :param beside: bad and all events of what it is compared with.
    """
    if metric.counts:
        known = bad is not None and total is not None and math.isfinite(bad) and math.isfinite(total) and total > 0
        value = bad / total if known else None  # type: ignore[operator]
    stable_bad, stable_total = beside
    return Sample(
        metric=metric.name,
        at=at,
        value=value,
        bad=bad,
        total=total,
        stable_bad=stable_bad,
        stable_total=stable_total,
    )


class PromQLSource(MetricSource):
    """A source that asks one query for each number, over the analysis' window.

    A window in which there is one scrape has no growth in it. Where that is seen, windows are as long as two scrapes take, as the data show
    it; and where every event has to be counted once, a measurement waits for that long, and those in between have no number.
    """

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        """What to ask about one metric on one track.

        :param window: seconds that the measurement looks back.
        :returns: a query with nothing set where nobody has such numbers.
        """
        raise NotImplementedError

    async def samples(self, measuring: Measuring, due: list[float]) -> list[Sample]:
        found: list[Sample] = []
        if "scraped_every" not in measuring.memory:
            found = list(await asyncio.gather(*(self._sample(measuring, it, _window(measuring, it)) for it in due)))
            found = await self._until_scrapes_are_known(measuring, found)
        left = due[len(found) :]
        windows = [_window(measuring, tick) for tick in left]
        return [*found, *await asyncio.gather(*map(partial(self._sample, measuring), left, windows))]

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        every = await self._scraped_every(measuring, "stable", measuring.started_at)
        needed = self.time_needed(measuring, every) if every else 0
        if needed <= measuring.longest:
            return []
        metric, patience = measuring.metric, measuring.analysis.unmeasured_patience + needed - measuring.longest
        return [
            Lack(
                f"Metric {metric.name} is scraped every {every:.0f} s: a step needs {needed:.0f} s to measure it and ends after "
                f"{measuring.longest:g} s, so `patience: {math.ceil(patience)}s` in its analysis is expected, or shorter scrapes.",
                certain=True,
            )
        ]

    def time_needed(self, measuring: Measuring, every: float) -> float:
        """How long a stage takes until there is a number, in seconds.

        :param every: seconds between two scrapes.
        """
        if not _once(measuring):
            return SCRAPES * every
        interval = measuring.analysis.interval
        return math.ceil(max(interval, SCRAPES * every) / interval) * interval

    async def _until_scrapes_are_known(self, measuring: Measuring, samples: list[Sample]) -> list[Sample]:
        """The samples before the first one that has no number because its window is too short, if there is one."""
        for n, sample in enumerate(samples):
            empty = sample.error is None and (sample.total if measuring.metric.counts else sample.value) is None
            with suppress(MetricsUnavailable):
                for track in dict.fromkeys(("stable", measuring.track)) if empty else ():
                    if every := await self._scraped_every(measuring, track, sample.at):
                        measuring.memory["scraped_every"] = every
                        return samples[:n]
            if not empty:
                measuring.memory["counted"] = sample.at
        return samples

    async def _scraped_every(self, measuring: Measuring, track: Track, at: float) -> float | None:
        query = self.query(measuring.target, measuring.metric, track, measuring.analysis.window)
        texts = [it for it in (query.bad, query.total, query.value) if it]
        selectors = list(dict.fromkeys(it for text in texts for it in ranged(text, measuring.analysis.window)))
        if not selectors:
            return None
        every = await measuring.service.query(scrape_interval(selectors), at)
        return every if every and every <= LOOK_BACK / 2 else None

    async def _sample(self, measuring: Measuring, tick: float, window: float) -> Sample:
        target, metric, service, beside = measuring.target, measuring.metric, measuring.service, measuring.beside
        if not window:
            return Sample(metric=metric.name, at=tick)
        try:
            bad, total, value = await _ask(service, self.query(target, metric, measuring.track, window), tick)
            sample = sample_of(metric, tick, bad, total, value)
            if beside and (metric.counts or JUDGES.get(measuring.analysis.judge).compares):
                bad, total, value = await _ask(service, self.query(target, metric, beside, window), tick)
                other = (bad, total) if metric.counts else (value, 1.0)
                sample = sample.model_copy(update={"stable_bad": other[0], "stable_total": other[1]})
        except MetricsUnavailable as error:
            return Sample(metric=metric.name, at=tick, error=str(error))
        return sample


def _window(measuring: Measuring, tick: float) -> float:
    """Seconds that the measurement at ``tick`` looks back, never past the stage's start; 0: there is none at this tick.

    ``memory`` has the seconds between two scrapes where they are known, and up to which tick events are counted.
    """
    analysis, memory = measuring.analysis, measuring.memory
    needed = SCRAPES * memory.get("scraped_every", 0.0)
    window = window_at(analysis, measuring.started_at, tick, shortest=needed)
    if not _once(measuring):
        return window
    if needed <= analysis.interval:
        return min(window, analysis.interval)
    since: float = tick - memory.get("counted", measuring.started_at)
    if since < needed:
        return 0.0
    memory["counted"] = tick
    return since


def ranged(promql: str, window: float) -> list[str]:
    """The selectors in a query whose range is that window, in seconds."""
    return [it["selector"] for it in _SELECTOR.finditer(promql) if it["range"] == duration(window)]


def scrape_interval(selectors: Sequence[str]) -> str:
    """PromQL for the seconds between two scrapes of what these selectors select.

    The time over which there are scrapes, by how many times their timestamp changes, seen once a second; and by their number, which is
    right where several come within a second: the smaller is the better one.
    """
    seconds = duration(LOOK_BACK)
    stamps = [f"timestamp({it})" for it in selectors]
    ages = [f"({it} - min_over_time({it}[{seconds}:1s]))" for it in stamps]
    steps = [f"{age} / changes({it}[{seconds}:1s])" for age, it in zip(ages, stamps, strict=True)]
    numbers = [f"count_over_time({it}[{seconds}])" for it in selectors]
    # A second more than is seen: so young may be what has been seen for less than one.
    by_number = f"(max({' or '.join(ages)}) + 1) / (max({' or '.join(numbers)}) - 1)"
    return f"(min({' or '.join(steps)}) < {by_number}) or {by_number}"


def window_at(analysis: Analysis, started_at: float, tick: float, *, shortest: float = 0.0) -> float:
    """How many seconds the measurement at ``tick`` looks back: never past the stage's start.

    :param shortest: seconds that it has to look back where the stage is old enough.
    """
    return max(0.0, min(max(analysis.window, shortest), tick - started_at))


def _once(measuring: Measuring) -> bool:
    """Whether every event belongs to one measurement only."""
    judge = JUDGES.get(measuring.analysis.judge)
    return measuring.metric.counts and judge.counts_once(compared=measuring.beside is not None)


async def _ask(service: MetricsService, query: MetricQuery, tick: float) -> tuple[float | None, ...]:
    async def one(promql: str | None) -> float | None:
        return await service.query(promql, tick) if promql else None

    return tuple(await asyncio.gather(one(query.bad), one(query.total), one(query.value)))


class OwnPromQL(PromQLSource):
    """PromQL that a team has written: ``bad`` with ``total``, or ``query``."""

    events = "events"

    def counts(self, metric: Metric) -> bool:
        return metric.bad is not None

    def label(self, metric: Metric) -> str:
        return metric.name

    def unit(self, metric: Metric) -> Literal["share", "number"]:
        return "share" if metric.query is None else "number"

    def mistakes(self, where: str, metric: Metric, places: Sequence[Place]) -> Iterator[Mistake]:
        for key in ("bad", "total", "query"):
            for name in unknown_placeholders(getattr(metric, key) or ""):
                known = ", ".join(f"{{{{ {it} }}}}" for it in PLACEHOLDERS)
                yield f"{where}.{key}", f"{{{{ {name} }}}}", f"one of {known}"
            if problem := broken(getattr(metric, key) or ""):
                yield f"{where}.{key}", problem, "PromQL that is complete"

    async def lacks(self, measuring: Measuring) -> list[Lack]:
        metric, lacks = measuring.metric, await super().lacks(measuring)
        for key in ("bad", "total", "query"):
            try:
                if getattr(metric, key) is None or await self._number(measuring, key) is not None:
                    continue
            except BadQuery as error:
                lacks.append(Lack(f"Metric {metric.name}: `{key}` cannot be measured: {error}.", certain=True))
                continue
            mends = "where that means that nothing was bad, `or vector(0)` behind it says so"
            if key != "bad":
                mends = "unless it comes with traffic or with the new version, matchers that fit stable's series are expected"
            lacks.append(Lack(f"Metric {metric.name}: `{key}` gives no number for stable; {mends}.", certain=False))
        return lacks

    async def _number(self, measuring: Measuring, key: str) -> float | None:
        """One of its numbers of stable, over the last hour if the window has none."""
        for window in (measuring.analysis.window, 3600.0):
            query = self.query(measuring.target, measuring.metric, "stable", window)
            text: str = (query.value if key == "query" else getattr(query, key)) or ""
            number = await measuring.service.query(text, measuring.started_at)
            if number is not None:
                return number
        return None

    def query(self, target: Target, metric: Metric, track: Track, window: float) -> MetricQuery:
        values = {
            "app": target.app,
            "track": track,
            "namespace": escaped(target.namespace),
            "environment": target.environment,
            "window": duration(window),
        }
        bad, total, value = (fill(text, values) if text else None for text in (metric.bad, metric.total, metric.query))
        return MetricQuery(bad=bad, total=total, value=value)


OWN_PROMQL = OwnPromQL()
