"""One set of rules of time zones, whatever the system has."""

from __future__ import annotations

from datetime import datetime, timezone
from importlib import resources
from pathlib import Path

import pytest

from release_pipelines.core.calendars import Calendar, Entry, remarks
from release_pipelines.core.calendars.rules import days_rule
from release_pipelines.core.calendars.zones import disagreement, rules_version

NOW = datetime(2026, 11, 27, 12, tzinfo=timezone.utc).timestamp()


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder of zones."""
    monkeypatch.setattr("zoneinfo.TZPATH", (str(tmp_path),))
    (tmp_path / "America").mkdir()
    return tmp_path / "America" / "Vancouver"


def rules(*name: str) -> bytes:
    return resources.files("tzdata").joinpath("zoneinfo", *name).read_bytes()


def test_a_system_that_knows_other_rules_of_a_zone_in_use_is_told(system: Path) -> None:
    system.write_bytes(rules("America", "Los_Angeles"))  # as British Columbia's were until 2026
    nights = Entry(kind="window", name="w", zone="America/Vancouver", recurrences=(days_rule("daily"),))
    told = [it for it in remarks(Calendar(name="bc", entries=(nights,)), NOW) if "know other rules" in it]
    assert told == [
        f"America/Vancouver: the files in {system.parent.parent} know other rules than tzdata {rules_version()}, which counts here: on "
        "27 Nov 2026 they say -0800 instead of -0700"
    ]


def test_a_system_with_the_same_rules_or_none_is_not_told(system: Path) -> None:
    assert disagreement("America/Vancouver", NOW) is None
    system.write_bytes(rules("America", "Vancouver"))
    assert disagreement("America/Vancouver", NOW) is None
