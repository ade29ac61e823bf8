"""A hotfix says which version it puts right, and since when that did harm."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.adapters.history import History, open_history
from release_pipelines.core.errors import ReleaseError
from release_pipelines.features.preflight.remedies import record_remedy

BAD, FIX = "release_shop/1#0", "release_shop/2#0"


@pytest.fixture
def history(tmp_path: Path) -> History:
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin(BAD, "shop", "release_shop", "1", "1.0.0", "alice")
    history.promoted(BAD)
    history.begin(FIX, "shop", "release_shop", "2", "1.0.1", "alice")
    return history


def told(history: History) -> list[dict[str, object] | None]:
    return [it.data for it in history.release(FIX).events if it.kind == "remedies"]


def test_it_is_kept_with_the_release_that_failed(history: History) -> None:
    record_remedy(history, "shop", FIX, {"remedies": "1.0.0", "degraded_since": "2026-08-06T11:15:00Z"})
    assert told(history) == [{"release": BAD, "since": 1786014900.0}]


def test_without_it_nothing_is_kept(history: History) -> None:
    record_remedy(history, "shop", FIX, {"remedies": None})
    assert told(history) == []


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"remedies": "9.9.9"}, "was never released"),
        ({"remedies": "1.0.0", "degraded_since": "yesterday"}, "with its zone"),
        ({"remedies": "1.0.0", "degraded_since": "2026-08-06T11:15:00"}, "with its zone"),
        ({"degraded_since": "2026-08-06T11:15:00Z"}, "together with remedies"),
    ],
)
def test_what_cannot_be_is_one_sentence(history: History, given: dict[str, str], expected: str) -> None:
    with pytest.raises(ReleaseError, match=expected):
        record_remedy(history, "shop", FIX, given)
    assert told(history) == []
