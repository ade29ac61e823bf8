"""Two versions released one after the other, again and again: nothing piles up."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from typing import Any

from tests.container_host.shops import NEW, OLD, Shop
from tests.container_host.side_by_side import long_scenario

RELEASES = 20
STRATEGIES: list[dict[str, Any]] = [
    {"blue_green": {"bake": "1s", "retire_after": "500ms"}},
    {"canary": {"steps": [{"weight": 50, "hold": "1s"}], "bake": "1s", "return_weights": [], "retire_after": "500ms"}},
]
TRACKS = ("stable", "canary", "preview", "baseline")


def stays(app: str) -> set[str]:
    """All keys of an app at rest. Traefik lists keys before it reads them, so a track's service is kept without servers."""
    name = f"{app}-production"
    services, router = f"traefik/http/services/{name}", f"traefik/http/routers/{name}"
    kept = {f"release-pipelines/{app}/production", *(f"{router}/{it}" for it in ("entrypoints/0", "service", "rule"))}
    for number, track in enumerate(TRACKS):
        kept |= {f"{services}/weighted/services/{number}/{it}" for it in ("name", "weight")}
        own = f"{services}-{track}/loadbalancer"
        kept |= {f"{own}/passhostheader", *(f"{own}/healthcheck/{it}" for it in ("path", "interval", "timeout"))}
    return {*kept, f"{services}-stable/loadbalancer/servers/0/url"}


@long_scenario
async def test_twenty_releases_of_two_versions_leave_nothing_behind(shop: Shop) -> None:  # R2, R8, R15
    shop.written(STRATEGIES[0])
    await shop.serving()
    fields_after: list[set[str]] = []
    sizes: list[int] = []
    for number in range(RELEASES):
        version = OLD if number % 2 else NEW
        shop.written(STRATEGIES[number // 2 % 2])
        done = await shop.release(version)
        assert done.outcome == "released", f"{number}: {done.sentence}"
        await shop.at_rest(version)
        keys, fields = await shop.remembered()
        assert keys == stays(shop.app)
        fields_after.append(set(fields))
        sizes.append(len(fields["note"]))
    digests = json.loads(fields["configs"])
    # Who may write next, what stable runs and how, who gets which requests, the configurations of both versions, and by which
    # engine and router whoever keeps the replicas reaches them.
    expected = {"fence", "want:stable", "note", "written", "written_at", "configs", "engine", "router"}
    expected |= {f"config:{it}" for it in digests}
    assert len(digests) == 2
    assert fields_after == [expected] * RELEASES
    assert max(sizes[2:]) - min(sizes[2:]) < 100, sizes  # numbers in it have more or fewer digits
    assert int(fields["fence"]) == RELEASES + 1
    routers = await asyncio.to_thread(asked_proxy, shop, "routers")
    assert [it["name"] for it in routers] == [f"{shop.app}-production@redis"]
    services = await asyncio.to_thread(asked_proxy, shop, "services")
    assert {it["name"].removeprefix(f"{shop.app}-production") for it in services} == {
        "@redis",
        *(f"-{track}@redis" for track in TRACKS),
    }


def asked_proxy(shop: Shop, what: str) -> list[dict[str, Any]]:
    """What the proxy itself has of the app."""
    with urllib.request.urlopen(
        f"{shop.stack.proxy_api}/api/http/{what}?per_page=1000&search={shop.app}-production"
    ) as it:
        found: list[dict[str, Any]] = json.load(it)
    return found
