"""Before a release begins: could the route, as it stands, take each split that its stages will ask for?"""

from __future__ import annotations

import pytest

from release_pipelines.adapters.kubernetes.annotations import keys_of
from release_pipelines.adapters.kubernetes.client import SERVICES
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.target import RouterSettings
from release_pipelines.core.model.traffic import ALL_TO_STABLE, Match, Traffic, share_with
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_ownership import ROUTES, client, target

__all__ = ["client"]

TEN = share_with("canary", 10)
TESTERS = Traffic(weights={"stable": 100}, testers=Match(kind="header", name="x-tester", value="yes"))
MIRRORED = Traffic(weights={"stable": 100}, mirror=100)


async def test_a_route_of_the_usual_form_takes_weights_and_testers(client: MemoryClient) -> None:
    before = client.changes
    await kubernetes(client).check_traffic(target(), [ALL_TO_STABLE, TEN, TESTERS])
    assert client.changes == before


async def test_a_rule_that_cannot_share_is_refused_unless_no_split_touches_it(client: MemoryClient) -> None:
    refs = client.objects["httproutes", "shop"]["spec"]["rules"][0]["backendRefs"]
    refs.append({"name": "shop", "port": 8443})
    await kubernetes(client).check_traffic(target(), [ALL_TO_STABLE])
    with pytest.raises(PlatformError, match=r"Rule 0 of HTTPRoute shop sends to stable's Service 2 times"):
        await kubernetes(client).check_traffic(target(), [ALL_TO_STABLE, TEN])


async def test_a_mirror_is_refused_where_the_controller_is_not_known_to_copy_requests_to_two(
    client: MemoryClient,
) -> None:
    route = client.objects["httproutes", "shop"]
    route["metadata"]["annotations"] = {"release-pipelines/supports": "mirror"}
    await kubernetes(client).check_traffic(target(), [MIRRORED])
    audit = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "audit", "port": 80}}}
    route["spec"]["rules"][0]["filters"] = [audit]
    with pytest.raises(PlatformError, match=r"not known to support `mirrors`.*supports=mirror,mirrors"):
        await kubernetes(client).check_traffic(target(), [MIRRORED])


async def test_an_app_without_a_route_is_no_obstacle(client: MemoryClient) -> None:
    del client.objects[ROUTES.plural, "shop"]
    await kubernetes(client).check_traffic(target(), [TEN])


async def test_one_service_for_two_apps_is_refused_where_pods_make_the_weights(client: MemoryClient) -> None:
    shop = target(router=RouterSettings(kind="replicas", route="shop"))
    await kubernetes(client).check_traffic(shop, [ALL_TO_STABLE, TEN])
    client.objects[SERVICES.plural, "shop"]["metadata"]["annotations"] = {keys_of("cart").note: "{}"}
    with pytest.raises(PlatformError, match="Service shop is the route of cart, too"):
        await kubernetes(client).check_traffic(shop, [ALL_TO_STABLE, TEN])
    await kubernetes(client).check_traffic(shop, [ALL_TO_STABLE])
