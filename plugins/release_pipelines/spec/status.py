"""The state of one release, read: for its page, its stream and ``release show --json``, which must not differ."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

from release_pipelines.core.model.records import COMMITS, STAGES, ReleaseDetail
from release_pipelines.core.sarif import REPORT
from release_pipelines.core.status.metrics import looked
from release_pipelines.core.status.state import line_in, status_of

if TYPE_CHECKING:
    from release_pipelines.core.model.sighting import Sighting
    from release_pipelines.core.status.model import ReleaseStatus, Said
    from release_pipelines.spec.release import ReleaseSpec

WANTED = (COMMITS, REPORT, STAGES)
"""Attachments that are read for it."""


class Texts(Protocol):
    """What a history keeps with a release."""

    def attachment_times(self, release_id: str) -> dict[str, float]:
        """Names of its attachments, and when each was written."""

    def texts(self, release_id: str, names: Collection[str]) -> dict[str, str]:
        """Contents of some of them."""


def read_status(
    history: Texts,
    release: ReleaseDetail,
    *,
    sightings: Sequence[Sighting] = (),
    remarks: Sequence[Said] = (),
    attached: Mapping[str, float] | None = None,
    texts: Mapping[str, str] | None = None,
) -> ReleaseStatus:
    """The state of a release.

    :param history: where it is kept.
    :param release: with its records.
    :param sightings: what whoever looks all the time has seen of its app.
    :param remarks: what people have added.
    :param attached: what :meth:`Texts.attachment_times` gave, where it is known already.
    :param texts: the contents, likewise.
    """
    names = history.attachment_times(release.id) if attached is None else attached
    if texts is None:
        wanted = [it for it in WANTED if it in names]
        texts = history.texts(release.id, wanted) if wanted else {}
    line, who = line_in(texts.get(STAGES)), None
    if release.outcome is None and (spec := _began_with(release)) is not None:
        from release_pipelines.spec.line import line_of, may_answer

        line, who = line or line_of(spec), may_answer(spec, release)
    return status_of(
        release,
        now=time.time(),
        line=line,
        texts=texts,
        attached=names,
        looked=looked(release, sightings),
        remarks=remarks,
        who=who,
    )


def _began_with(release: ReleaseDetail) -> ReleaseSpec | None:
    """Its specification, as far as this process sees it."""
    from release_pipelines.core.model.release_id import is_release_of
    from release_pipelines.spec.frozen import frozen_of, last_valid

    if not is_release_of(release.id, release.app):
        return None
    return frozen_of(release.app, release.id) or last_valid(release.app)
