"""A day in production: what is shown is what was seen, never the newest release nor the highest version."""

from __future__ import annotations

from datetime import datetime, timezone

import pytest

from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.observation import Observed, TrackStatus
from release_pipelines.core.model.records import Release
from release_pipelines.core.model.route import Route, RouteNote
from release_pipelines.core.model.sighting import Health, Served, Sighting
from release_pipelines.core.model.traffic import ALL_TO_STABLE, share_with
from release_pipelines.core.observed import Known, Shown, missed, seen, shown
from release_pipelines.core.versions import sort_key
from tests.fakes import artifact, target

VERSIONS = {
    version: f"sha256:{letter * 64}"
    for version, letter in (("1.0.0", "0"), ("1.0.1", "1"), ("1.0.2", "2"), ("1.0.3", "3"), ("1.0.10", "a"))
}
BY_HAND = f"sha256:{'f' * 64}"
HEALTHY = Health(state="ok", at=0, sentence="fine")


def at(clock: str) -> float:
    return datetime.fromisoformat(f"2026-11-27T{clock}+00:00").timestamp()


def clock(moment: float) -> str:
    return datetime.fromtimestamp(moment, timezone.utc).strftime("%H:%M")


class Day:
    """Production from ten o'clock on: what happens there, who looks each minute, and what the history has."""

    def __init__(self) -> None:
        self.stable: str = VERSIONS["1.0.0"]
        self.canary: str | None = None
        self.weight = 0
        self.good = artifact("1.0.0", VERSIONS["1.0.0"])
        self.lease: Lease | None = None
        self.served: list[Served] = []
        self.releases: list[Release] = []
        self.row: Sighting | None = None
        self.minute = at("09:59")
        self.away = False

    def until(self, moment: str) -> Day:
        """Somebody looks each minute, this one too."""
        while self.minute <= at(moment):
            self.look(self.minute)
            self.minute += 60
        return self

    def look(self, now: float) -> None:
        if self.away:
            self.row = missed(self.row, target(), "The cluster does not answer.", now)
            return
        known = Known(self.served, {digest: version for version, digest in VERSIONS.items()})
        self.row = seen(self.row, target(), self.observed(), known, now, health=HEALTHY)

    def observed(self) -> Observed:
        split = share_with("canary", self.weight) if self.weight else ALL_TO_STABLE
        tracks = {"stable": self._track("stable", self.stable)}
        if self.canary:
            tracks["canary"] = self._track("canary", self.canary)
        note = RouteNote(traffic=split, last_good=self.good)
        return Observed(tracks=tracks, route=Route(traffic=split, note=note), lease=self.lease)  # type: ignore[arg-type]

    @staticmethod
    def _track(track: str, digest: str) -> TrackStatus:
        # The tag that the workload was given once stays where somebody sets an image by hand.
        return TrackStatus(track=track, digest=digest, version="1.0.1", wanted=2, ready=2, updated=2, settled=True)  # type: ignore[arg-type]

    def asked(self, version: str, moment: str) -> None:
        release = Release(
            id=f"release_shop/{version}#0", app="shop", dag_id="release_shop", run_id=version, version=version,
            digest=VERSIONS[version], requester="alice", started_at=at(moment),
        )  # fmt: skip
        self.releases.append(release)

    def ends(self, version: str, outcome: str, moment: str) -> None:
        self.releases = [
            it.model_copy(update={"outcome": outcome, "ended_at": at(moment)}) if it.version == version else it
            for it in self.releases
        ]

    def released(self, version: str, moment: str) -> None:
        if not any(it.version == version for it in self.releases):
            self.asked(version, moment)
        self.ends(version, "released", moment)
        self.stable, self.good = VERSIONS[version], artifact(version, VERSIONS[version])
        told = Served(release=f"release_shop/{version}#0", version=version, digest=VERSIONS[version], at=at(moment))
        self.served = [told, *self.served]

    def shown(self, moment: str) -> Shown:
        return shown("shop", "production", self.row, self.releases, at(moment))


@pytest.fixture
def day() -> Day:
    day = Day()
    day.until("09:59")
    day.asked("1.0.1", "10:00")  # scheduled for 10:10
    day.until("10:01")
    day.released("1.0.2", "10:02")
    day.until("10:04")
    day.released("1.0.3", "10:05")
    day.until("10:11")
    day.released("1.0.1", "10:12")
    return day


def rolled_back(day: Day) -> None:
    """1.0.10 gets 10 % at 10:18 and goes back at 10:20."""
    day.until("10:17")
    day.asked("1.0.10", "10:17")
    day.canary, day.weight = VERSIONS["1.0.10"], 10
    day.lease = Lease(holder="release_shop/1.0.10#0", fence=1, expires_at=at("10:25"))
    day.until("10:19")
    day.canary, day.weight, day.lease = None, 0, None
    day.ends("1.0.10", "rolled_back", "10:20")


def test_the_scheduled_release_went_out_last_and_runs(day: Day) -> None:
    day.until("10:13")
    it = day.shown("10:13")
    assert it.facts(clock) == ["1.0.1, since 10:12", "went backwards from 1.0.3"]
    assert (it.version, it.by, it.last_release, it.green) == ("1.0.1", "alice", "1.0.1 released", True)


def test_before_its_moment_it_is_no_more_than_a_release_that_waits(day: Day) -> None:
    early = Day()
    early.until("09:59")
    early.asked("1.0.1", "10:00")
    early.until("10:04")
    early.released("1.0.3", "10:05")
    early.until("10:06")
    it = early.shown("10:06")
    assert (it.version, [one.version for one in it.running]) == ("1.0.3", ["1.0.1"])


def test_a_failed_version_is_what_was_last_tried_and_not_what_runs(day: Day) -> None:
    rolled_back(day)
    day.until("10:21")
    it = day.shown("10:21")
    assert it.facts(clock)[0] == "1.0.1, since 10:12"
    assert it.last_release == "1.0.10 rolled back"
    assert (it.state, it.drift_since) == ("ok", None)


def test_while_a_canary_has_a_tenth_what_has_the_rest_is_what_runs(day: Day) -> None:
    day.until("10:17")
    day.canary, day.weight = VERSIONS["1.0.10"], 10
    day.lease = Lease(holder="release_shop/1.0.10#0", fence=1, expires_at=at("10:25"))
    day.until("10:19")
    it = day.shown("10:19")
    assert it.facts(clock)[0] == "1.0.1, since 10:12"
    assert it.seen is not None
    assert [(one.track, one.version, one.weight) for one in it.seen.tracks] == [
        ("stable", "1.0.1", 90),
        ("canary", "1.0.10", 10),
    ]
    assert it.seen.holder == "release_shop/1.0.10#0"


def test_an_image_that_somebody_set_by_hand_is_no_known_version(day: Day) -> None:
    rolled_back(day)
    day.until("10:29")
    day.stable = BY_HAND
    day.until("10:31")
    it = day.shown("10:31")
    assert it.version == "unknown version (sha256:ffffffffffff…)"
    assert it.facts(clock) == ["unknown version (sha256:ffffffffffff…), since 10:30", "drift since 10:30"]
    assert (it.state, it.green, it.by) == ("drift", False, None)
    assert it.seen is not None
    assert "1.0.1 is what the last good release left" in it.seen.drift[0].sentence


def test_a_cluster_that_does_not_answer_leaves_old_values_and_nothing_green(day: Day) -> None:
    day.until("10:40")
    day.away = True
    day.until("10:42")
    it = day.shown("10:42")
    assert it.facts(clock) == ["not observed since 10:41", "was 1.0.1, since 10:12", "went backwards from 1.0.3"]
    assert (it.old, it.green, it.state, it.why) == (True, False, "not_observed", "The cluster does not answer.")
    day.away = False
    day.until("10:44")
    it = day.shown("10:44")
    assert (it.old, it.not_observed_since, it.facts(clock)[0]) == (False, None, "1.0.1, since 10:12")


def test_the_whole_day_ends_with_what_was_last_seen_marked_old(day: Day) -> None:
    rolled_back(day)
    day.until("10:29")
    day.stable = BY_HAND
    day.until("10:40")
    day.away = True
    day.until("10:42")
    assert day.shown("10:42").facts(clock) == [
        "not observed since 10:41",
        "was unknown version (sha256:ffffffffffff…), since 10:30",
        "drift since 10:30",
    ]


def test_nobody_who_looks_is_told_and_nothing_is_green(day: Day) -> None:
    day.until("10:20")
    late = day.shown("10:24")
    assert (late.state, late.old, late.not_observed_since) == ("not_observed", True, at("10:20"))
    assert "the DAG release_observations is paused" in late.why
    assert day.shown("10:22").state == "ok"


def test_versions_are_sorted_by_their_order_and_not_by_their_letters() -> None:
    assert sorted(["1.0.10", "1.0.3", "1.0.1", "1.0.2"], key=sort_key) == ["1.0.1", "1.0.2", "1.0.3", "1.0.10"]
    assert sorted(["2.0.0", "2.0.0-rc.2", "2.0.0-rc.10"], key=sort_key) == ["2.0.0-rc.2", "2.0.0-rc.10", "2.0.0"]
    assert sorted(["1.0.0", None, "4f1c2aa", "20261123", "20261122.2", "20261122"], key=sort_key) == [
        None, "4f1c2aa", "1.0.0", "20261122", "20261122.2", "20261123"
    ]  # fmt: skip
