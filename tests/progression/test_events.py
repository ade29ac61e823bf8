"""Events that a release's loops keep in the history."""

from __future__ import annotations

import logging

import pytest

from release_pipelines.airflow.commands import event_record


async def test_an_event_of_a_release_that_the_history_does_not_know_is_logged_and_stops_nothing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        await event_record("release_shop/run#0", "production")("traffic", "step_10: 10 %")
    assert "knows no release release_shop/run#0" in caplog.text
    assert "traffic: step_10: 10 %" in caplog.text
