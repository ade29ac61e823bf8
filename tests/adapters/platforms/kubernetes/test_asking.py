"""The preview is asked at its own address, else through the API server, and what stood in the way is told in its own words."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from release_pipelines.adapters import entry
from release_pipelines.adapters.kubernetes.client import Client, Unreachable
from release_pipelines.adapters.platforms.kubernetes import preview
from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.observation import Answer
from release_pipelines.core.model.target import Target
from tests.adapters.platforms.kubernetes.memory import MemoryClient, kubernetes
from tests.adapters.platforms.kubernetes.test_manifests import NEW, target
from tests.adapters.platforms.kubernetes.test_services import HTTP, METRICS


class Asked(MemoryClient):
    """A cluster whose API server answers for pods."""

    def __init__(self, status: int = 200, version: str | None = "1.1.0", problem: str | None = None) -> None:
        super().__init__(gateway__networking__k8s__io=["v1"])
        self.answer = status, version, problem
        self.asked: list[tuple[Any, ...]] = []

    async def ask(self, namespace: str, *asked: Any) -> tuple[int, str | None]:
        self.asked.append(asked)
        status, version, problem = self.answer
        if problem:
            raise Unreachable(problem)
        return status, version


async def previewed(client: Asked, host: str | None = None, **port: Any) -> tuple[Any, Target]:
    app = target().model_copy(update={"preview": True, "preview_host": host})
    platform = kubernetes(client)
    fence = (await platform.take_lease(app, "release", 60)).fence
    await platform.deploy(app, "stable", NEW.model_copy(update={"version": "1.0.0"}), 2, fence)
    client.objects["services", "web"]["spec"]["ports"] = [METRICS, {**HTTP, **port}]
    await platform.deploy(app, "preview", NEW, 2, fence)
    return platform, app


async def test_it_is_asked_by_the_port_and_in_the_way_that_its_service_says() -> None:
    client = Asked()
    platform, app = await previewed(client, appProtocol="https")
    assert await platform.ask(app, "preview", "/cart") == Answer(status=200, version="1.1.0")
    assert client.asked == [("web-preview", 80, "/cart", "X-App-Version", "https")]


async def test_it_is_asked_at_its_own_address_where_it_has_one(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None, Answer(status=404), Answer(status=200, version="1.1.0")]
    hosts = []

    async def ask(there: Target, path: str) -> Answer | None:
        hosts.append((there.host, path))
        return answers.pop(0)

    monkeypatch.setattr(entry, "ask", ask)
    monkeypatch.setattr(preview, "LOOK_SECONDS", 0.0)
    client = Asked()
    platform, app = await previewed(client, "preview.web.example")
    assert (await platform.ask(app, "preview", "/")).version == "1.1.0"
    assert hosts == [("preview.web.example", "/")] * 3
    assert client.asked == []


@pytest.mark.parametrize(
    ("ready", "problem", "said"),
    [
        (2, "error trying to reach service: read tcp: connection reset by peer", "and gave no answer: error trying to reach service: "
         "read tcp: connection reset by peer."),
        (2, "no answer within 10 s", "and gave no answer: no answer within 10 s."),
        (0, 'no endpoints available for service "web-preview"', "preview of web in production has no ready replica to ask."),
    ],
)  # fmt: skip
async def test_what_stood_in_the_way_is_told_in_its_own_words(ready: int, problem: str, said: str) -> None:
    client = Asked(503, None, problem)
    platform, app = await previewed(client)
    client.objects["deployments", "web-preview"]["status"]["readyReplicas"] = ready
    with pytest.raises(PlatformError) as caught:
        await platform.ask(app, "preview", "/")
    assert str(caught.value).endswith(said)


async def test_a_503_of_the_app_itself_is_its_answer() -> None:
    platform, app = await previewed(Asked(503, None))
    assert await platform.ask(app, "preview", "/") == Answer(status=503)


class Server(Client):
    """An API server that gives one answer."""

    def __init__(self, *answer: Any) -> None:
        self.answer = answer
        self.paths: list[str] = []

    async def _sent(self, method: str, path: str, **_: Any) -> Any:
        self.paths.append(path)
        if isinstance(self.answer[0], Exception):
            raise PlatformUnavailable("Kubernetes does not answer.") from self.answer[0]
        return self.answer


async def test_the_api_servers_own_answer_is_told_from_the_apps() -> None:
    words = '{"kind":"Status","apiVersion":"v1","message":"error trying to reach service: EOF","code":503}'
    server = Server(503, words, {})
    with pytest.raises(Unreachable, match=r"^error trying to reach service: EOF$"):
        await server.ask("shop", "web", 80, "/", "X-App-Version", "https")
    assert server.paths == ["/api/v1/namespaces/shop/services/https:web:80/proxy/"]
    assert await Server(503, "busy", {}).ask("shop", "web", 80, "/", "X-App-Version") == (503, None)
    with pytest.raises(Unreachable, match=r"^no answer within 10 s$"):
        await Server(asyncio.TimeoutError()).ask("shop", "web", 80, "/", "X-App-Version")
    with pytest.raises(PlatformUnavailable):
        await Server(ConnectionRefusedError()).ask("shop", "web", 80, "/", "X-App-Version")


async def test_what_admission_refuses_is_not_a_missing_right() -> None:
    from release_pipelines.adapters.kubernetes.client import PODS

    def status(message: str) -> str:
        return '{"kind":"Status","message":"%s"}' % message  # noqa: UP031

    with pytest.raises(
        PlatformError, match=r"Kubernetes refused to create .*exceeded quota: pods, requested: pods=1"
    ) as caught:
        await Server(403, status("pods is forbidden: exceeded quota: pods, requested: pods=1"), {}).create(
            PODS, "shop", {}
        )
    assert not isinstance(caught.value, Forbidden)
    denied = status("pods is forbidden: User release cannot create resource pods")
    with pytest.raises(Forbidden, match=r"may not create pods"):
        await Server(403, denied, {}).create(PODS, "shop", {})
