"""Apps of their own that are released by the real DAGs while people use them."""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import redis.asyncio as redis
import yaml

from release_pipelines.adapters.platforms.container_host.platform import ContainerHost
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import Traffic
from release_pipelines.features.rollback.dag import rollback_dag
from release_pipelines.pipeline.release import release_dag
from release_pipelines.spec.release import load_release
from release_pipelines.spec.target import target
from tests.container_host.runs import Run
from tests.container_host.stack import Stack

OLD, NEW = "1.0.0", "1.1.0"
FAULTS = {"2.1.0": "errors", "2.2.0": "slow", "1.2.0": "crash", "2.4.0": "frail"}
ERRORS, SLOW, CRASHES, FRAIL = FAULTS
MISSING = "sha256:" + "0" * 64

PREFIX = f"shop-{os.getpid()}-"
"""Of this test run: the engine may be another's too."""
NUMBERS = itertools.count(1)

ANALYSIS: dict[str, Any] = {
    "interval": "1s",
    "window": "5s",
    "patience": "20s",
    "metrics": [
        {"name": "errors", "source": "errors", "limit": "1%"},
        {"name": "slow", "source": "slow_requests", "slower_than": "500ms", "limit": "40%"},
    ],
}
HOLD = "2s"


class Answer(NamedTuple):
    """What one request got."""

    sent_at: float
    answered_at: float
    who: str
    version: str | None
    text: str


class Split(NamedTuple):
    """Who got which requests from a moment on: when it was asked for, and when the platform had accepted it."""

    asked_at: float
    accepted_at: float
    step: str | None
    traffic: Traffic


class Recorded(ContainerHost):
    """The real platform; keeps who got which requests, in the order in which that was accepted."""

    splits: dict[str, list[Split]] = {}

    async def split(self, target: Target, traffic: Traffic, note: RouteNote, fence: int) -> bool:
        asked_at = time.time()
        changed = await super().split(target, traffic, note, fence)
        self.splits.setdefault(target.app, []).append(Split(asked_at, time.time(), note.step, traffic))
        return changed


@dataclass
class Visitors:
    """People who use an app all the time, over connections that are kept and over new ones. Counted from its first answer on."""

    url: str
    host: str
    answers: list[Answer] = field(default_factory=list)
    lost: list[Answer] = field(default_factory=list)
    begun: bool = False

    async def ask(self, session: aiohttp.ClientSession, who: str, headers: dict[str, str]) -> Answer:
        """One request, counted."""
        sent_at, version = time.time(), None
        try:
            async with session.get(self.url, headers={"Host": self.host, **headers}) as response:
                version, text = response.headers.get("X-App-Version"), (await response.text()).strip()
                text = text if version else f"status {response.status}: {text}"
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            text = repr(error)
        answer = Answer(sent_at, time.time(), who, version, text)
        if version is None:
            if self.begun:
                self.lost.append(answer)
        else:
            self.begun = True
            self.answers.append(answer)
        return answer

    async def asked(self, who: str = "visitor", headers: dict[str, str] | None = None) -> Answer:
        """One more request, on a connection of its own."""
        async with aiohttp.ClientSession() as session:
            return await self.ask(session, who, headers or {})

    @asynccontextmanager
    async def there(self) -> AsyncIterator[None]:
        """They are there as long as the block runs."""
        over = asyncio.Event()

        async def visitor(session: aiohttp.ClientSession, pause: float) -> None:
            while not over.is_set():
                await self.ask(session, "visitor", {})
                await asyncio.sleep(pause)

        def session(**options: Any) -> aiohttp.ClientSession:
            timeout, nothing = aiohttp.ClientTimeout(total=20), aiohttp.DummyCookieJar()
            return aiohttp.ClientSession(
                timeout=timeout, cookie_jar=nothing, connector=aiohttp.TCPConnector(limit=0, **options)
            )

        async with session() as kept, session(force_close=True) as new:
            people = [asyncio.create_task(visitor(kept, 0.2)) for _ in range(4)]
            people += [asyncio.create_task(visitor(new, 0.3)) for _ in range(3)]
            try:
                yield
            finally:
                over.set()
                await asyncio.gather(*people)

    def versions(self, who: str = "visitor", since: float = 0.0, before: float = math.inf) -> Counter[str]:
        """How many of their answers, asked for since a moment and given before another one, were of which version."""
        return Counter(
            str(it.version) for it in self.answers if it.who == who and it.sent_at >= since and it.answered_at < before
        )


class Shop:
    """One app, its file, its DAG, and its visitors.

    :param stack: where it runs.
    :param folder: for its files.
    :param image: makes a version's image.
    """

    def __init__(self, stack: Stack, folder: Path, image: Callable[..., Artifact]) -> None:
        self.stack = stack
        self.image = image
        self.app = f"{PREFIX}{next(NUMBERS)}"
        self.apps, self.config = folder / self.app / "apps", folder / self.app / "config"
        for it in (self.apps, self.config):
            it.mkdir(parents=True)
        connections = {"platform": "host", "engine": "host", "registry": "images", "prometheus": "metrics"}
        base = {"platform": "container_host", "connections": connections, "address": {"url": stack.web}}
        (self.config / "base.yaml").write_text(yaml.safe_dump(base))
        production = {"name": "production", "address": {"host": "{app}.localhost"}, "approvers": ["bob"]}
        (self.config / "production.yaml").write_text(yaml.safe_dump(production))
        self.visitors = Visitors(stack.web, f"{self.app}.localhost")
        self.platform = Recorded(stack.engine_url, stack.state_url)
        self.numbers = itertools.count(1)
        self.target: Target

    def written(self, strategy: dict[str, Any], *, analysis: dict[str, Any] | None = None, **workload: Any) -> None:
        """The app's file, as its team writes it."""
        app = {
            "name": self.app,
            "image": "shop",
            "environments": ["production"],
            "workloads": [{"replicas": 1, "ready_timeout": "60s", **workload}],
            "strategy": strategy,
            "analysis": {**ANALYSIS, **(analysis or {})},
        }
        (self.apps / f"{self.app}.yaml").write_text(yaml.safe_dump(app))
        self.target = target(self._spec(), "production")

    def _spec(self) -> Any:
        return load_release(self.apps / f"{self.app}.yaml", self.config, self.apps)

    def run(self, version: str) -> Run:
        """A release that alice has triggered."""
        return Run(release_dag(self._spec()), f"run_{next(self.numbers)}", "alice", version=version)

    async def release(self, version: str) -> Run:
        """Release a version, and see it through."""
        return await self.run(version).release()

    async def serving(self, version: str = OLD) -> None:
        """The app's first release, which gives it something to go back to (R17)."""
        done = await self.release(version)
        assert done.outcome == "released", done.sentence
        self.splits.clear()

    async def roll_back(self, reason: str, version: str = "") -> Run:
        """Carol goes back."""
        dag = rollback_dag(self.apps, self.config)
        run = Run(dag, f"run_{next(self.numbers)}", "carol", app=self.app, version=version, reason=reason)
        return await run.roll_back()

    async def released_until(self, run: Run, come: Callable[[Observed], bool]) -> asyncio.Task[Run]:
        """Start a release, and wait until production has come so far."""
        task = asyncio.create_task(run.release())

        async def there() -> bool:
            assert not task.done(), task.result().sentence
            return come(await self.observe())

        await until(there)
        return task

    async def until(self, come: Callable[[Observed], bool]) -> None:
        """Wait until production has come so far."""

        async def there() -> bool:
            return come(await self.observe())

        await until(there)

    async def told(self, run: Run, kind: str) -> None:
        """Bob tells the release to do something, and waits until it has answered."""
        await asyncio.to_thread(run.command, kind)

        async def answered() -> bool:
            return (await asyncio.to_thread(run.effects)).get(kind) is not None

        await until(answered)

    async def aborted(self, run: Run, come: Callable[[Observed], bool]) -> Run:
        """Start a release that bob aborts when production has come so far."""
        task = await self.released_until(run, come)
        await self.told(run, "abort")
        return await task

    @staticmethod
    def holds(step: str) -> Callable[[Observed], bool]:
        """Whether a stage holds."""

        def come(observed: Observed) -> bool:
            note = observed.route.note if observed.route else RouteNote()
            return note.step == step and note.started_at is not None and note.verdict is None

        return come

    # --- looking ----------------------------------------------------------------------------------------------

    async def observe(self) -> Observed:
        """What stands in production."""
        return await self.platform.observe(self.target)

    @property
    def splits(self) -> list[Split]:
        """Who got which requests since the first release."""
        return Recorded.splits.setdefault(self.app, [])

    def first(self, track: Any) -> Split:
        """What gave the track its first share of everybody's requests."""
        return next(it for it in self.splits if it.traffic.weight(track))

    def moves(self, track: Any) -> list[int]:
        """A track's weights one after the other."""
        weights = [it.traffic.weight(track) for it in self.splits]
        return [it for it, before in zip(weights, [0, *weights], strict=False) if it != before]

    async def containers(self, **labels: str) -> list[Any]:
        """The app's containers as the engine has them."""
        import docker

        wanted = [f"release-pipelines.{name}={value}" for name, value in {"app": self.app, **labels}.items()]
        client = docker.DockerClient(base_url=self.stack.engine_url)
        return list(await asyncio.to_thread(client.containers.list, all=True, filters={"label": wanted}))

    async def listed(self) -> int:
        """Replicas of stable that the proxy sends requests to."""
        async with redis.Redis.from_url(self.stack.state_url) as store:
            name = f"traefik/http/services/{self.app}-production-stable/loadbalancer/servers"
            return len([it async for it in store.scan_iter(f"{name}/*/url", count=1000)])

    async def remembered(self) -> tuple[set[str], dict[str, Any]]:
        """Every key of the app in the store, and the fields of its own hash."""
        async with redis.Redis.from_url(self.stack.state_url, decode_responses=True) as store:
            keys = {it async for it in store.scan_iter(f"*{self.app}*", count=1000)}
            keys = {it for it in keys if f"{self.app}-" in it or it.endswith(f"{self.app}/production")}
            return keys, dict(await store.hgetall(f"release-pipelines/{self.app}/production"))

    async def asked(self, who: str, headers: dict[str, str] | None = None) -> Answer:
        """One more request of somebody."""
        return await self.visitors.asked(who, headers)

    async def at_another_address(self, host: str) -> Answer:
        """One request to another address, which counts neither as an answer nor as a lost one."""
        return await Visitors(self.stack.web, host).asked()

    async def at_rest(self, version: str, replicas: int = 1, *, whole_from: float = 0) -> None:
        """Only stable is left, with all traffic, in this version; nobody holds a lease.

        No request was lost, or none that was sent at ``whole_from`` (Unix time in s) or later: one sent before may hang in the
        proxy for seconds, and is told as lost only then.
        """
        await self.until(lambda observed: observed.track("stable").settled)
        observed = await self.observe()
        stable = observed.track("stable")
        assert (stable.version, stable.ready, stable.wanted) == (version, replicas, replicas), stable
        assert observed.weight("stable") == 100, observed.route
        assert observed.beside == []
        assert observed.lease is None
        there = [it.labels["release-pipelines.version"] for it in await self.containers()]
        assert there == [version] * replicas, self.splits
        keys, fields = await self.remembered()
        assert not [it for it in fields if it.startswith("left:")]
        assert not [it for it in keys if "-testers" in it or "-preview/rule" in it]
        since = time.time()

        async def asked() -> bool:
            return sum(self.visitors.versions(since=since).values()) >= 5

        await until(asked)
        assert set(self.visitors.versions(since=since)) == {version}
        assert not [it for it in self.visitors.lost if it.sent_at >= whole_from]


async def until(come: Callable[[], Awaitable[object]], seconds: float = 180) -> None:
    """Wait until ``come()``."""
    async with asyncio.timeout(seconds):
        while True:
            if await come():
                return
            await asyncio.sleep(0.1)


async def forgotten(stack: Stack, app: str) -> None:
    """Let the proxy and the store forget an app: with every app that stands they have more to do at every change."""
    async with redis.Redis.from_url(stack.state_url) as store:
        for pattern in (f"traefik/http/*/{app}-*", f"release-pipelines/{app}/*"):
            async for key in store.scan_iter(pattern, count=1000):
                await store.delete(key)


def without_image(shop: Shop) -> Run:
    """A release whose image was removed from the registry after its digest was read."""
    run = shop.run(NEW)
    artifact = {"app": shop.app, "version": NEW, "image": f"{shop.stack.registry}/shop", "digest": MISSING}
    run.pushed["build.resolve_digest", "return_value"] = artifact
    return run


def connections(stack: Stack, folder: Path) -> dict[str, str]:
    """Airflow's connections, as environment variables."""
    given: dict[str, dict[str, Any]] = {
        "host": {"conn_type": "generic", "host": stack.engine_url, "extra": {"state_url": stack.state_url}},
        "images": {"conn_type": "registry", "host": stack.registry, "extra": {"insecure": True}},
        "metrics": {"conn_type": "prometheus", "host": stack.metrics},
        "release_history": {"conn_type": "sqlite", "host": str(folder / "history.db")},
    }
    return {f"AIRFLOW_CONN_{name.upper()}": json.dumps(it) for name, it in given.items()}
