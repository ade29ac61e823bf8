"""Known flaws of an image's packages: its SBOM by Syft, matched against advisories in OSV format. Works without the internet."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from release_pipelines.core.model.advisories import AdvisorySources
from release_pipelines.core.model.component import Component
from release_pipelines.core.model.finding import ScanResult, in_words
from release_pipelines.core.model.image import PlatformImage
from release_pipelines.core.model.units import lasting
from release_pipelines.core.text import clean, one_line

SHOWN = 5
"""Maximum number of things that are named in a sentence."""
WHERE = "`advisories.osv` of the environment's file names folders, archives or addresses of OSV records"


class Advisories:
    """Looks up what Syft identifies in an image.

    :param options: where the data are.
    :param copies: folder of the copies of what is fetched; None: beside the history's file.
    """

    name = "advisories"

    def __init__(self, options: AdvisorySources | None = None, copies: Path | None = None) -> None:
        self.options = options or AdvisorySources()
        self.copies = copies

    def configured(self, options: Mapping[str, Any]) -> Advisories:
        """The scanner with the environment's key ``advisories``.

        :raises ValueError: one sentence, when the options do not fit.
        """
        try:
            return Advisories(AdvisorySources.model_validate(dict(options)), self.copies)
        except ValidationError as error:  # its own words may hold a password
            first = error.errors(include_url=False, include_context=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise ValueError(f"advisories.{where} does not fit: {first['msg']}.") from None

    def missing(self) -> str | None:
        """Whether this worker has Syft, and data are named."""
        from release_pipelines.adapters import sbom

        return sbom.missing() or (None if self.options.osv else f"it is not said where advisories are: {WHERE}")

    def scan_image(self, layout: Path, image: PlatformImage) -> ScanResult:
        """Make the SBOM of an image, and look its components up."""
        from release_pipelines.adapters import sbom

        if lacking := self.missing():
            return _unknown(lacking)
        try:
            made = sbom.of_image(layout, image.digest, image.digest)
        except sbom.NotIdentified as error:
            return _unknown(str(error))
        return self.look_up(made.components, made.subject, image.platform, made.unread)

    def look_up(
        self, components: Iterable[Component], subject: str | None, platform: str | None, unread: Iterable[str] = ()
    ) -> ScanResult:
        """What advisories say of components. Never raises.

        :param components: of one SBOM.
        :param subject: digest of the image that they are in; None: source code.
        :param platform: the image's; None: source code.
        :param unread: files that the SBOM's maker could not read.
        """
        from release_pipelines.adapters import advisories

        if not self.options.osv:
            return _unknown(f"it is not said where advisories are: {WHERE}", subject)
        listed, now = list(components), time.time()
        if not listed:
            return _unknown("there are no components to look up", subject)
        matcher = advisories.Matcher(listed, self.options.leave_out)
        copies = self.copies or advisories.default_copies()
        try:
            data = [advisories.read_records(it, copies, matcher.take, now) for it in self.options.osv]
        except advisories.NoData as error:
            return _unknown(str(error), subject)
        found = matcher.matched(now)
        ages = [it.at for it in data if it.at is not None]
        limit = self.options.older_than
        old = [it for it in data if limit is not None and (it.at is None or now - it.at > limit)]
        not_looked = [f"{why} {_few(names)}" for why, names in found.not_looked.items()]
        not_looked += [f"{it} could not be read" for it in unread]
        not_looked += [
            f"the data of {it.source} are of {advisories.in_words(it.at) if it.at else 'nobody knows when'}, and "
            f"{lasting(limit or 0)} old at most is allowed"
            for it in old
        ]
        findings = [it.model_copy(update={"platform": platform}) for it in found.findings]
        said = f"found {in_words(findings)}" if findings else "found nothing"
        oldest = advisories.in_words(min(ages)) if ages else "an unknown age"
        records = sum(it.records for it in data)
        sentence = f"{self.name} {said} in {len(listed)} packages (data of {oldest}, {records:,} records)"
        if found.left_out:
            sentence += f"; left out: {_few(found.left_out)}"
        if found.withdrawn:
            sentence += f"; withdrawn and not counted: {_few(found.withdrawn)}"
        sentence += "".join(f"; {it.source}: {it.note}" for it in data if it.note)
        if not_looked:
            sentence = f"unknown: {self.name} could not look at everything: {'; '.join(not_looked[:SHOWN])}; {said}"
        return ScanResult(
            status="unknown" if not_looked else "findings" if findings else "clean",
            findings=findings,
            sentence=clean(f"{sentence}.", 2000),
            subject=subject,
            data_at=min(ages) if ages else None,
            withdrawn=found.withdrawn,
            not_looked_at=not_looked,
        )


def _few(names: list[str]) -> str:
    known = list(dict.fromkeys(names))
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return f"{', '.join(known[:SHOWN])}{more}"


def _unknown(why: str, subject: str | None = None) -> ScanResult:
    sentence = f"unknown: advisories could not look, because {one_line(why, 1000)}."
    return ScanResult(status="unknown", sentence=sentence, subject=subject, not_looked_at=[clean(why, 500)])


IMAGE_SCANNER = Advisories()
