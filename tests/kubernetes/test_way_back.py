"""The way back when the route cannot be written, on a real cluster: a webhook stands before it, and nobody answers for that."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.kubernetes.conftest import kubectl
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.test_canary import canary
from tests.kubernetes.world import World, all_of


def webhook(world: World) -> dict[str, Any]:
    """Everybody who changes a route of the namespace has to be allowed by a Service that is not there."""
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": world.namespace},
        "webhooks": [
            {
                "name": "routes.release.test",
                "clientConfig": {"service": {"namespace": world.namespace, "name": "nobody"}},
                "rules": [
                    {
                        "apiGroups": ["gateway.networking.k8s.io"],
                        "apiVersions": ["*"],
                        "operations": ["UPDATE"],
                        "resources": ["httproutes"],
                    }
                ],
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": world.namespace}},
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "timeoutSeconds": 1,
            }
        ],
    }


async def only_stable_answers(world: World) -> None:
    """Wait until forty requests in a row reach the old version."""
    while (await world.answers(number=40)).keys() != {"1.0.0"}:
        pass


async def answered(release: Release) -> str:
    """Wait until the command has an answer."""
    while True:
        [effect] = await release.effects()
        if effect:
            return effect
        await asyncio.sleep(0.2)


@side_by_side
async def test_where_the_route_cannot_be_written_requests_reach_stable_past_it_and_people_hear_why(
    world: World,
) -> None:  # R4, R13
    await world.adopt("gateway_api", 2)
    release = Release(world, canary(world, [{"weight": 50, "hold": "10m"}]), world.artifact("1.1.0"))

    async def abort() -> None:
        await world.held("step_50")
        await world.apply(webhook(world))
        try:
            await release.told("abort")
            await only_stable_answers(world)
            assert (await world.platform.observe(world.target())).weight("canary") == 50, "the route is as it was"
            effect = await answered(release)
            assert "failed calling webhook" in effect
            assert "The traffic has not moved; requests for the tracks beside stable reach stable's replicas" in effect
        finally:
            await asyncio.to_thread(kubectl, "delete", "validatingwebhookconfiguration", world.namespace)

    async with world.visitors() as visits:
        ending, _ = await all_of(release.run(), abort())
        await world.serves("1.0.0")
    assert ending.outcome == "aborted", ending.sentence
    assert visits.lost == []
    await world.clean()
