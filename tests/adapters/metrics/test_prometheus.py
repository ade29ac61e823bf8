"""How Prometheus is asked."""

from __future__ import annotations

from typing import Any

import pytest

from release_pipelines.adapters.metrics.prometheus import PrometheusReader

BEGAN = 1_800_000_000.0
MOST_POINTS = 11_000


class Reader(PrometheusReader):
    """One whose service answers with the number of each moment, and refuses as Prometheus does."""

    async def _shared(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        start, end, step = (float(given[key]) for key in ("start", "end", "step"))
        number = int((end - start) / step) + 1
        assert number <= MOST_POINTS, "exceeded maximum resolution of 11,000 points per timeseries"
        moments = (start + n * step for n in range(number))
        values = [[at, str(round((at - BEGAN) / step))] for at in moments]
        return {"data": {"result": [{"metric": {"pod": "a"}, "values": values}]}}


@pytest.mark.parametrize("moments", [1, 2, 9_999, 10_000, 10_001, 25_000])
async def test_a_hold_of_days_is_asked_for_in_pieces_after_a_restart(moments: int) -> None:
    step = 10.0
    series = await Reader("http://prometheus", {}).series("up", BEGAN, BEGAN + (moments - 1) * step, step)
    assert [next(iter(it.values())) for it in series] == list(range(moments))
