"""The switch of a blue-green release: from the decision until the new version answers every request, and back."""

from __future__ import annotations

import asyncio
import statistics
import time
from typing import TYPE_CHECKING

from benchmarks.places import APP, PLACES, Place, Seen, requests_to, side_by_side
from benchmarks.table import Skip, load, table

if TYPE_CHECKING:
    from release_pipelines.core.ports.platform import Platform

RUNS = 20


async def switch(platform: Platform, place: Place, fence: int, seen: Seen, *, back: bool) -> tuple[float, float]:
    """Give all traffic to one of the two. Milliseconds from the decision until it is accepted; until the other one gets no
    more requests."""
    from release_pipelines.core.model.route import RouteNote
    from release_pipelines.core.model.traffic import share_with

    traffic = share_with("preview", 0 if back else 100)
    note = RouteNote(release=APP, step="back" if back else "bake", traffic=traffic)
    to, other = (place.good, place.new) if back else (place.new, place.good)
    decided = time.time()
    await platform.split(place.target, traffic, note, fence)
    accepted = time.time()
    deadline = time.monotonic() + 20
    while place.answers and seen.last(to.version, 0.0) < max(accepted, seen.last(other.version, 0.0)) + 1:
        if time.monotonic() > deadline:
            raise Skip(f"{place.name}: {other.version} still answers after 20 s")
        await asyncio.sleep(0.05)
    return 1000 * (accepted - decided), 1000 * (max(decided, seen.last(other.version, decided)) - decided)


async def measure(place: Place) -> list[list[str]]:
    """All runs at one place, as rows of the table."""
    times: dict[str, list[float]] = {}
    async with side_by_side(place, "preview") as (platform, fence), requests_to(place) as seen:
        for _ in range(RUNS):
            for back in (False, True):
                accepted, effect = await switch(platform, place, fence, seen, back=back)
                what = "back to the old version" if back else "to the new version"
                times.setdefault(f"{place.name}, {what}: accepted", []).append(accepted)
                if place.answers:
                    times.setdefault(f"{place.name}, {what}: last request sent to the other", []).append(effect)
    lost = f"{seen.lost} of {seen.lost + sum(map(len, seen.sent.values())):,}" if place.answers else "-"
    return [[what, f"{statistics.median(of):.0f}", f"{max(of):.0f}", lost] for what, of in times.items()]


def main() -> None:
    """Print the table."""
    rows, why = [], []
    for opened in PLACES:
        try:
            with opened() as place:
                rows += asyncio.run(measure(place))
        except Skip as reason:
            why.append(str(reason))
    if rows:
        title = f"Blue-green: from the decision to switch all traffic, milliseconds ({RUNS} runs)"
        table(title, ["", "median", "most", "requests lost"], rows)
        load()
    for sentence in dict.fromkeys(why):
        print(f"  did not run: {sentence}")
