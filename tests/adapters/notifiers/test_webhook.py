"""How long a receiver that is busy is waited for."""

from __future__ import annotations

from email.utils import formatdate

import pytest

from release_pipelines.adapters.notifiers import webhook
from release_pipelines.adapters.notifiers.webhook import pause, retry_after


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (formatdate(1060, usegmt=True), 60), (formatdate(900, usegmt=True), 0), ("soon", None), (None, None)],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after(header, now=1000) == seconds


def test_a_pause_grows_and_stays_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "PAUSE", 1.0)
    assert [pause(1, None), pause(2, None), pause(1, 5.0), pause(1, 3600.0)] == [1.0, 2.0, 5.0, 30.0]
