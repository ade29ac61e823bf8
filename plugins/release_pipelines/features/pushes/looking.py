"""One look at what waits to be started, and at forges and registries, which tell a push once or never."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple

from release_pipelines.core.model.release_id import dag_of, is_rollback
from release_pipelines.core.model.source import Source
from release_pipelines.core.pushes.comparing import newest_tag, robot
from release_pipelines.core.pushes.deciding import Fate, Older, behind, confirmed, first_of, known, order, outpaced
from release_pipelines.core.pushes.meaning import Receiver, Start, asked_for, is_older
from release_pipelines.core.pushes.push import Ignored, Push
from release_pipelines.core.tags import GIT_TAGS, IMAGE_TAGS, tags_of
from release_pipelines.core.versions import goes_backward
from release_pipelines.spec.pushes import receiver_of

if TYPE_CHECKING:
    from release_pipelines.adapters.git import Git
    from release_pipelines.adapters.history import History
    from release_pipelines.core.ports.registry import Registry
    from release_pipelines.core.pushes.records import KeptStart, State
    from release_pipelines.spec.release import ReleaseSpec

log = logging.getLogger(__name__)

RECENT = 50
"""So many of an app's last releases are compared with a start."""
MOST_WAITING = 1000
TELLS_WITHIN = 60.0
"""What a comparison finds waits so long for its delivery, in seconds: that says who pushed it, who then does not approve it (R10)."""


class Outside(NamedTuple):
    """What is asked outside of the history.

    :ivar git: opens the repository of a source.
    :ivar registry: opens the registry of a connection.
    :ivar runs: the number of runs of a DAG that have one of these ids (where some are given) and one of these states (the same).
    """

    git: Callable[[Source], Git]
    registry: Callable[[str], Registry]
    runs: Callable[[str, list[str] | None, list[str] | None], int]


class Looked(NamedTuple):
    """What a look at an app came to.

    :ivar start: begin its run; None: nothing is begun.
    :ivar again: whether a registry has to be asked again soon.
    """

    start: Start | None = None
    again: bool = False


class Look:
    """One app."""

    def __init__(self, spec: ReleaseSpec, history: History, outside: Outside) -> None:
        receiver = receiver_of(spec)
        if receiver is None:
            raise ValueError(f"{spec.app.name} has no `starts`.")
        self.spec = spec
        self.history = history
        self.outside = outside
        self.receiver: Receiver = receiver
        self.app = spec.app.name
        self.environment = spec.production.name
        self.source = spec.app.part("build", Source)

    def begin(self) -> Looked:
        """Choose the start that is begun now, and say of every other one what becomes of it."""
        self._check_begun()
        waiting = self._unknown()
        if not waiting:
            return Looked()
        if self.outside.runs(dag_of(self.app), None, ["queued", "running"]):
            for it in waiting:
                self._becomes(
                    it, Fate("waiting", "a release of the app is running: the newest of those that wait follows")
                )
            return Looked()
        recent = [it for it in self.history.releases(self.app, RECENT) if not is_rollback(it.id)]
        with self._ancestry() as is_ancestor:
            older = order(self.receiver.scheme, is_ancestor)
            while chosen := first_of(waiting, older):
                if chosen.source == "comparison" and time.time() - chosen.at < TELLS_WITHIN:
                    return Looked()
                fate = behind(chosen.start, self.receiver.scheme, recent, older) or self._confirmed(chosen)
                if fate is None:
                    return Looked(again=True)
                if fate.state == "starting":
                    return self._chosen(chosen, waiting, older)
                self._becomes(chosen, fate)
                waiting.remove(chosen)
        return Looked()

    def hindered(self, why: str) -> None:
        """Say of those that wait why nothing could be decided."""
        for it in self._kept("waiting"):
            self._becomes(it, Fate("waiting", f"it is looked at again: {why}"))

    def untold(self) -> Iterator[Push]:
        """What forge and registry have newest, where nobody told of it. What was there at the first look, or before, is left alone."""
        for what, push in self._newest():
            start = asked_for(push, self.receiver) if push else Start(self.app, "", "")
            if isinstance(start, Ignored):
                continue
            seen = self.history.first_seen(self.environment, what, start)
            if push is None or seen.subject == start.subject or self.history.is_known(self.environment, start):
                continue
            if not (seen.subject and self._is_before(start, seen)):
                yield self._with_its_maker(push, seen)

    def _with_its_maker(self, push: Push, seen: Start) -> Push:
        """With what says whether a release has made it: the forge would have told that, and Git tells it, too."""
        starts = self.receiver.starts
        last = self.history.starts(self.app, limit=1, environment=self.environment)
        since = (last[0].commit if last else None) or seen.commit
        if self.source is None or push.commit is None or since is None:
            return push
        if not (starts.ignore_accounts or starts.ignore_files):
            return push
        brought = self.outside.git(self.source).brought(since, push.commit)
        made_by = robot(brought.authors, starts.ignore_accounts)
        return push.model_copy(update={"by": made_by, "files": brought.files or None})

    def _is_before(self, start: Start, seen: Start) -> bool:
        scheme = self.receiver.scheme
        if scheme != "commit":
            return start.version == seen.version or goes_backward(scheme, seen.version, start.version)
        with self._ancestry() as is_ancestor:
            return is_older(start, seen, scheme, is_ancestor)

    def _check_begun(self) -> None:
        """A start whose run was asked for has one; where Airflow could not make it, it waits again."""
        for it in self._kept("starting"):
            own = known(it.start, self.history.releases_like(it.start))
            if own is not None and own.state == "started":
                self._becomes(it, own)
            elif self.outside.runs(dag_of(self.app), [it.start.run_id], None):
                self._becomes(it, Fate("started", f"its run is {it.start.run_id}"))
            else:
                self._becomes(it, Fate("waiting", "Airflow did not make its run: it is asked for again"))

    def _unknown(self) -> list[KeptStart]:
        """Those that wait, oldest first, without those of which the history knows a release by now."""
        waiting = []
        for it in reversed(self._kept("waiting")):
            fate = known(it.start, self.history.releases_like(it.start))
            if fate:
                self._becomes(it, fate)
            else:
                waiting.append(it)
        return waiting

    def _kept(self, state: State) -> list[KeptStart]:
        return self.history.starts(self.app, state, limit=MOST_WAITING, environment=self.environment)

    def _confirmed(self, kept: KeptStart) -> Fate | None:
        start = kept.start
        if start.digest is None:
            return Fate("starting", "it is the newest")
        registry, image = self._registry(), self.receiver.image
        tags = [start.tag] if start.tag else tags_of(self.receiver.tags or IMAGE_TAGS, start.version, self.app)
        named = next(filter(None, (registry.digest_of(image, it) for it in tags)), None)
        return confirmed(
            start, named, lambda digest: registry.digest_of(image, digest) == digest, time.time() - kept.at
        )

    def _chosen(self, chosen: KeptStart, waiting: list[KeptStart], older: Older) -> Looked:
        for it, fate in outpaced(waiting, chosen, older):
            self._becomes(it, fate)
        begun = self._becomes(chosen, Fate("starting", "its run is asked for"))
        return Looked(chosen.start if begun else None)

    def _becomes(self, kept: KeptStart, fate: Fate) -> bool:
        if (kept.state, kept.sentence) == fate:
            return True
        level = logging.WARNING if fate.state == "refused" else logging.INFO
        log.log(level, "%s %s (%s): %s, %s.", self.app, kept.version, kept.source, fate.state, fate.sentence)
        return self.history.becomes(kept, fate)

    def _ancestry(self) -> AbstractContextManager[Callable[[str, str], bool]]:
        if self.source is None or self.receiver.scheme != "commit":
            return nullcontext(lambda _one, _other: False)  # versions have an order of their own
        return self.outside.git(self.source).ancestry()

    def _registry(self) -> Registry:
        return self.outside.registry(self.spec.environments[0].connections.registry)

    def _newest(self) -> Iterator[tuple[str, Push | None]]:
        starts, scheme, templates = self.receiver.starts, self.receiver.scheme, self.receiver.tags
        if self.source is not None and starts.branch:
            head = self.outside.git(self.source).head(starts.branch)
            found = Push(kind="branch", source="comparison", ref=starts.branch, commit=head) if head else None
            yield f"branch:{starts.branch}", found
        if self.source is not None and starts.tags:
            tags = self.outside.git(self.source).tags()
            tag = newest_tag(tags, templates or GIT_TAGS, self.app, scheme)
            yield "tags", Push(kind="tag", source="comparison", ref=tag, commit=tags[tag]) if tag else None
        if starts.registry and scheme != "commit":  # images that are called by their commits have no order
            registry, image = self._registry(), self.receiver.image
            listed = getattr(registry, "tags", None)  # a registry of another package need not have it
            tag = newest_tag(listed(image), templates or IMAGE_TAGS, self.app, scheme) if listed else None
            digest = registry.digest_of(image, tag) if tag else None
            yield (
                f"image:{image}",
                Push(kind="image", source="comparison", ref=tag, digest=digest) if tag and digest else None,
            )
