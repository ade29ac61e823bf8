"""Credentials that expire in the middle of a release, as those of clouds do every few minutes."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from release_pipelines.adapters.platforms.kubernetes.platform import Kubernetes
from tests.kubernetes.conftest import CONTEXT, kubectl
from tests.kubernetes.release import Release
from tests.kubernetes.side_by_side import side_by_side
from tests.kubernetes.test_canary import canary
from tests.kubernetes.world import World, all_of

PLUGIN = """#!/bin/sh
token=$(kubectl --context={context} create token releaser --namespace={namespace}) || exit 1
printf '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {{"token": "%s"}}}}' "$token"
"""
"""A credentials' plugin of a kubeconfig, like those of EKS, GKE and AKS."""


def logged_in_by_plugin(world: World, home: Path) -> Callable[[], AbstractAsyncContextManager[Any]]:
    """Opens connections whose token is a service account's, from a plugin."""
    plugin = home / "plugin"
    plugin.write_text(PLUGIN.format(context=CONTEXT, namespace=world.namespace))
    plugin.chmod(0o755)
    seen = json.loads(kubectl("config", "view", "--minify", "--raw", "--flatten", "--output=json"))
    execute = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": str(plugin),
        "interactiveMode": "Never",
    }
    seen["users"] = [{"name": seen["contexts"][0]["context"]["user"], "user": {"exec": execute}}]
    kubeconfig = home / "kubeconfig"
    kubeconfig.write_text(json.dumps(seen))  # JSON is YAML

    @asynccontextmanager
    async def connect() -> AsyncIterator[Any]:
        from kubernetes_asyncio import client, config

        configuration = client.Configuration()
        await config.load_kube_config(str(kubeconfig), client_configuration=configuration)
        async with client.ApiClient(configuration) as api:
            yield api

    return connect


@side_by_side
async def test_a_token_that_is_withdrawn_in_mid_hold_stops_no_release(world: World) -> None:
    await world.adopt("gateway_api", 2)
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "releaser"}}
    may = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "releaser"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
        "subjects": [{"kind": "ServiceAccount", "name": "releaser", "namespace": world.namespace}],
    }
    await world.apply(account, may)
    opened: list[Any] = []
    with tempfile.TemporaryDirectory() as home:
        connect = await asyncio.to_thread(logged_in_by_plugin, world, Path(home))

        @asynccontextmanager
        async def counted() -> AsyncIterator[Any]:
            opened.append(True)
            async with connect() as api:
                yield api

        async with Kubernetes(counted) as platform:
            spec = canary(world, [{"weight": 50, "hold": "10m"}])
            release = Release(world, spec, world.artifact("1.1.0"))
            release.platform = platform

            async def withdrawn() -> None:
                await world.held("step_50")
                before = len(opened)
                await asyncio.to_thread(kubectl, "delete", "serviceaccount", "releaser", "-n", world.namespace)
                await world.apply(account)
                # The server knows a token for some seconds after its account has gone.
                await world.soon(lambda: asyncio.sleep(0, len(opened) > before), True)
                await release.told("skip", reason="long enough")

            async with world.visitors() as visits:
                ending, _ = await all_of(release.run(), withdrawn())
                await world.serves("1.1.0")
    assert ending.outcome == "released", ending.sentence
    assert visits.lost == []
    await world.clean()
