"""Durations as people write and read them."""

from __future__ import annotations

import pytest

from release_pipelines.core.model.units import as_written, parse_duration


@pytest.mark.parametrize("text", ["0s", "500ms", "45s", "1h30m", "35d", "9d1h", "1m500ms"])
def test_a_time_is_named_as_it_is_written_in_the_files(text: str) -> None:
    assert as_written(parse_duration(text)) == text
