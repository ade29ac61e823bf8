"""``POST /releases/hooks/<app>``: where forges and registries tell what was pushed. Only the API server imports this.

Airflow does not ask who calls an app that a plugin mounts: here the signature says it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from fastapi import BackgroundTasks, FastAPI, Request
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect

from release_pipelines.airflow.pushes import Answer, Told, as_kept, ignored, judge_delivery
from release_pipelines.core.model.release_id import PUSHES_DAG, WOKEN
from release_pipelines.core.pushes.push import Push
from release_pipelines.core.pushes.reading import read
from release_pipelines.core.pushes.signature import refused
from release_pipelines.core.text import one_line

log = logging.getLogger(__name__)

MOST_BYTES = 5_000_000
"""Maximum length of a delivery, in bytes."""
AT_ONCE, A_SECOND = 120.0, 2.0
"""So many deliveries with pushes an app may get at once, and in each second after that."""
READ_SECONDS = 10.0
"""Maximum time in which a delivery comes, in seconds."""
KEEP_SECONDS = 5.0
"""How long the history has to take a delivery, in seconds: forges wait ten."""
APP = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAMES = ("x-github-delivery", "x-gitlab-event-uuid", "x-gitlab-webhook-uuid", "webhook-id")
"""Headers with the id of a delivery."""


class Kept(NamedTuple):
    """A delivery; ``answers`` is None where the app is not known here, and is looked at later.

    :ivar delivery: its id in the history; None: it tells of no push, and is not kept.
    """

    delivery: int | None
    answers: list[Answer] | None


class Bucket:
    """How many deliveries an app may get, in this process."""

    def __init__(self) -> None:
        self._left: dict[str, tuple[float, float]] = {}

    def takes(self, app: str, now: float) -> bool:
        """Whether it takes one more.

        :param now: time in seconds, of any clock that does not go back.
        """
        left, at = self._left.get(app, (AT_ONCE, now))
        left = min(AT_ONCE, left + (now - at) * A_SECOND)
        self._left[app] = (left - 1 if left >= 1 else left, now)
        return left >= 1


def create(wake: Callable[[], None] | None = None) -> FastAPI:
    """The app that Airflow mounts.

    :param wake: what looks for starts at once; default: a run of the DAG ``release_pushes``.
    """
    app, bucket, look = FastAPI(openapi_url=None), Bucket(), wake or wake_dag

    @app.post("/hooks/{name}")
    async def take(name: str, request: Request, after: BackgroundTasks) -> JSONResponse:
        try:
            body = await asyncio.wait_for(_body(request), READ_SECONDS)
        except (TimeoutError, asyncio.TimeoutError, ClientDisconnect):
            return _answer(408, f"All of a delivery is expected within {READ_SECONDS:g} s.")
        if body is None:
            return _answer(413, f"At most {MOST_BYTES:,} bytes are taken.")
        try:
            secret = await asyncio.to_thread(secret_of, name)
        except Exception as error:  # a backend of secrets that is away says nothing about the signature
            log.error("The secret for %s cannot be read: %s", one_line(name, 80), type(error).__name__)
            return _answer(503, "The delivery could not be checked: send it again.", {"Retry-After": "60"})
        headers = {key.lower(): value for key, value in request.headers.items()}
        why = refused(headers, body, secret, time.time())
        if why:
            where = request.client.host if request.client else "somewhere"
            log.warning("A delivery for %s from %s was refused: %s.", one_line(name, 80), where, why)
            return _answer(401, "The signature does not fit.")
        try:
            told = read(headers, body)
        except ValueError as error:
            return _answer(400, str(error))
        if not any(isinstance(it, Push) for it in told):  # a registry tells of every pull, too
            return _taken(name, Kept(None, ignored(told)), after)
        if not bucket.takes(name, time.monotonic()):
            return _answer(429, f"At most {A_SECOND:g} deliveries a second are taken.", {"Retry-After": "60"})
        try:
            kept = await asyncio.wait_for(asyncio.to_thread(keep, name, headers, told), KEEP_SECONDS)
        except Exception as error:  # whatever stands in the way of keeping it: who sent it shall send it again
            log.error("A delivery for %s could not be kept: %s", name, error or type(error).__name__)
            return _answer(503, "The delivery could not be kept: send it again.", {"Retry-After": "60"})
        if kept.answers is None or any(it.result == "kept" for it in kept.answers):
            after.add_task(look)
        return _taken(name, kept, after)

    return app


async def _body(request: Request) -> bytes | None:
    """The body's bytes as they come; None: there are too many."""
    said = request.headers.get("content-length", "")
    if said.isdigit() and int(said) > MOST_BYTES:
        return None
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > MOST_BYTES:
            return None
    return bytes(body)


def _answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    return JSONResponse({"detail": sentence}, status, headers)


def _taken(app: str, kept: Kept, after: BackgroundTasks) -> JSONResponse:
    told: dict[str, Any] = {"app": app, "delivery": kept.delivery}
    if kept.answers is None:
        told["detail"] = "It is kept, and looked at soon."
        return JSONResponse(told, 202, background=after)
    return JSONResponse({**told, "pushes": [it._asdict() for it in kept.answers]}, background=after)


def secret_of(app: str) -> str | None:
    """The password of the connection ``release_hooks_<app>``, else of ``release_hooks``; None: there is none.

    Whether there is such an app is not asked: who does not know the secret shall not learn it.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    if not APP.fullmatch(app):
        return None
    for name in (f"release_hooks_{app.replace('-', '_')}", "release_hooks"):
        try:
            return BaseHook.get_connection(name).password or None
        except AirflowNotFoundException:
            continue
    return None


def keep(app: str, headers: dict[str, str], told: list[Told]) -> Kept:
    """Keep a delivery, and ask for its releases where the app's file is here.

    :raises HistoryUnavailable: when it cannot be kept.
    """
    from release_pipelines.airflow.hooks.history import HistoryHook
    from release_pipelines.spec.folders import airflow_home, apps_folder, config_folder
    from release_pipelines.spec.pushes import receiving_spec

    history = HistoryHook().history()
    source = "github" if "x-github-event" in headers else "gitlab" if "x-gitlab-event" in headers else "registry"
    name = next((headers[it] for it in NAMES if it in headers), None)
    delivery = history.deliver(app, source, name, as_kept(told))
    try:
        project = airflow_home()
        spec = receiving_spec(app, apps_folder(project), config_folder(project))
        return Kept(delivery, judge_delivery(history, spec, delivery, told) if spec else None)
    except Exception:  # it is kept: the DAG looks at it again
        log.exception("A delivery for %s is looked at later.", app)
        return Kept(delivery, None)


def wake_dag() -> None:
    """Start a run that looks what waits, unless one is about to begin. Its schedule comes to the same, later."""
    try:
        from airflow.api.common.trigger_dag import trigger_dag
        from airflow.models.dagrun import DagRun
        from airflow.utils.state import DagRunState
        from airflow.utils.types import DagRunTriggeredByType

        if not DagRun.find(dag_id=PUSHES_DAG, state=DagRunState.QUEUED):
            trigger_dag(PUSHES_DAG, triggered_by=DagRunTriggeredByType.REST_API, run_id=f"{WOKEN}{time.time_ns()}")
    except Exception as error:
        log.info("%s could not be woken, and begins by its schedule: %s", PUSHES_DAG, error)
