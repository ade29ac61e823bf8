"""Who looks, and what they may: asked of Airflow before anything of ours is.

Airflow does not ask who calls an app that a plugin mounts. So this stands in front of all routes, those of tomorrow too: a route
cannot be forgotten. What is below ``/runs/<DAG id>/`` needs the right to read that DAG.
"""

from __future__ import annotations

import asyncio
import hashlib
import html
import json
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import quote, urlsplit
from weakref import WeakKeyDictionary

from fastapi.security import HTTPAuthorizationCredentials
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from release_pipelines.core.model.person import Identity
from release_pipelines.core.overview import gates
from release_pipelines.core.peers import asking_address

if TYPE_CHECKING:
    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager
    from airflow.api_fastapi.auth.managers.models.base_user import BaseUser

log = logging.getLogger(__name__)

RIGHTS_SECONDS = 10.0
"""How long what a person may is believed, in seconds: a right that is taken away ends an open stream, too."""
PEOPLE = 500
"""Whose rights a process knows at once."""
OPEN = "/static/"
"""Scripts, styles and fonts are the same for everybody."""
Method = Literal["GET", "POST", "PUT"]
READS = ("GET", "HEAD")
PROXIES = "RELEASE_PIPELINES_TRUSTED_PROXIES"
"""Networks of the proxies whose ``X-Forwarded-For`` is believed, like ``10.0.0.0/8,fd00::/8``; none by itself."""
NOT_YOURS = "You may not see this, or it does not exist."
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'self'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Of every answer. A page has no script and no style of its own: a proxy in front may have the same rules."""


class Refused(Exception):
    """A request that is answered by a sentence.

    :param status: of HTTP.
    :param sentence: what stands in the way.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Less(Refused):
    """Somebody may less than this very request was told before: a right was taken away, or what they signed in with has run out.

    Only a new request tells these apart: Airflow renews a login at its beginning.
    """

    def __init__(self) -> None:
        super().__init__(403, "You may see less than a moment ago: look again.")


@dataclass
class Rights:
    """What a person may, as far as the auth manager was asked: by the DAG's id.

    :param since: when it was first asked, by the monotonic clock in seconds.
    """

    known: dict[str, bool] = field(default_factory=dict)
    since: float = field(default_factory=time.monotonic)


class Memory:
    """What the process knows of what people may read, each person's apart, for :data:`RIGHTS_SECONDS`."""

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Any, OrderedDict[str, Rights]] = WeakKeyDictionary()
        self._lock = Lock()

    def of(self, manager: BaseAuthManager[Any], user: BaseUser) -> Rights:
        """A person's rights. Who has signed in otherwise, with another role say, is another person; all who have not are one."""
        who = user.get_id()
        claims = json.dumps(manager.serialize_user(user), sort_keys=True, default=str) if who else ""
        person = hashlib.sha256(f"{who}\n{claims}".encode()).hexdigest()  # a claim may be a secret
        with self._lock:
            people = self._of.setdefault(manager, OrderedDict())
            rights = people.get(person)
            if rights is None or time.monotonic() - rights.since > RIGHTS_SECONDS:
                rights = people[person] = Rights()
            people.move_to_end(person)
            while len(people) > PEOPLE:
                people.popitem(last=False)
        return rights


MEMORY = Memory()


@dataclass
class Viewer:
    """Who looks, and what they may.

    :param user: as Airflow's auth manager knows them.
    :param manager: Airflow's auth manager.
    """

    user: BaseUser
    manager: BaseAuthManager[Any]
    _changes: Rights = field(default_factory=Rights)
    _had: set[str] = field(default_factory=set)

    @property
    def identity(self) -> Identity:
        """All their names, as approvers are compared with."""
        who = self.user.get_id()
        return Identity(id=str(who) if who else None, name=self.user.get_name())

    @property
    def signed_in(self) -> bool:
        """Whether it is known who they are. An auth manager may let others look, too, as FAB's public role does: they have no id."""
        return self.identity.id is not None

    @property
    def name(self) -> str:
        """What they are called."""
        return self.user.get_name()

    def readable(self, dag_ids: Iterable[str]) -> set[str]:
        """Those of these DAGs that they may read, also where Airflow does not have the DAG any more. Asks Airflow: not in an event loop.

        :raises Refused: when Airflow cannot say it: nothing is shown then.
        :raises Less: when one of them could be read before.
        """
        wanted, known = set(dag_ids), MEMORY.of(self.manager, self.user).known
        unknown = {it for it in wanted if it not in known}
        if unknown:
            try:
                granted = self._granted(unknown)
            except Exception as error:
                log.error("Airflow cannot say what may be read: %s", type(error).__name__)
                raise Refused(503, "Airflow cannot say what you may see now.") from error
            known.update({it: it in granted for it in unknown})
        return self._still(wanted, {it for it in wanted if known[it]})

    def may(self, method: Method, dag_id: str) -> bool:
        """Whether they may read a DAG (``GET``), start and change runs of it (``POST``), or answer its forms (``PUT``).

        Asks Airflow: not in an event loop.
        """
        if method == "GET":
            return bool(self.readable({dag_id}))
        if not self.signed_in:  # nobody could say later who it was
            return False
        if time.monotonic() - self._changes.since > RIGHTS_SECONDS:
            self._changes = Rights()
        key = f"{method} {dag_id}"
        if key not in self._changes.known:  # each request asks anew who changes something
            self._changes.known[key] = self._may_change(method, dag_id)
        return bool(self._still({key}, {key} if self._changes.known[key] else set()))

    def sees(self, release: Any) -> bool:
        """Whether they may see a release: also one that a person rolled back, by a DAG of all apps. Asks Airflow: not in an event loop.

        :param release: with its ``app`` and ``dag_id``.
        """
        needed = gates(release.app, release.dag_id)
        return self.readable(needed) == needed

    def _still(self, asked: set[str], granted: set[str]) -> set[str]:
        """What is granted, where it is no less than it was."""
        if self._had & asked - granted:
            raise Less()
        self._had |= granted
        return granted

    def _granted(self, dag_ids: set[str]) -> set[str]:
        """What the auth manager says of many DAGs: one question for each team."""
        from airflow.models import DagModel

        teams = DagModel.get_dag_id_to_team_name_mapping(sorted(dag_ids))
        by_team: dict[str | None, set[str]] = {}
        for it in dag_ids:
            by_team.setdefault(teams.get(it), set()).add(it)
        ask = self.manager.filter_authorized_dag_ids
        return {it for team, ids in by_team.items() for it in ask(dag_ids=ids, user=self.user, team_name=team)}

    def _may_change(self, method: Method, dag_id: str) -> bool:
        from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity, DagDetails
        from airflow.models import DagModel

        entity = DagAccessEntity.HITL_DETAIL if method == "PUT" else DagAccessEntity.RUN
        details = DagDetails(id=dag_id, team_name=DagModel.get_team_name(dag_id))
        return self.manager.is_authorized_dag(method=method, access_entity=entity, details=details, user=self.user)


class Access:
    """ASGI middleware: everything behind it knows its viewer (``request.state.viewer``)."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        request = Request(scope)
        try:
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            if not (path.startswith(OPEN) and request.method in READS):
                scope.setdefault("state", {})["viewer"] = await admitted(request, path)
        except Refused as refusal:
            await answer(request, refusal)(scope, receive, send)
            return

        async def with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                given = {name.lower() for name, _ in message["headers"]}
                more = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message["headers"] += [it for it in more if it[0] not in given]
            await send(message)

        await self.app(scope, receive, with_headers)


async def admitted(request: Request, path: str) -> Viewer:
    """Who asks.

    :param path: below our prefix.
    :raises Refused: when they may not ask this.
    """
    try:
        found = await _user(request)
    except Refused:
        raise
    except Exception as error:  # whatever Airflow's security comes to: nothing is open because of it
        log.error("Airflow cannot say who asks: %s", type(error).__name__)
        raise Refused(403, "Airflow cannot say who you are.") from error
    if request.method not in READS:
        if not found.signed_in:
            raise Refused(401, "Sign in to Airflow to change something.")
        if not _bearer(request):
            from_our_page(request)
    part, _, rest = path.lstrip("/").partition("/")
    if part == "runs":
        dag_id = rest.partition("/")[0]  # the path of a scope is decoded, as it is for the routes
        if not await asyncio.to_thread(_may_read, found, dag_id):
            raise Refused(403, NOT_YOURS)
    return found


def _may_read(viewer: Viewer, dag_id: str) -> bool:
    try:
        return viewer.may("GET", dag_id)
    except Exception as error:
        log.error("Airflow cannot say what may be read: %s", type(error).__name__)
        return False


async def _user(request: Request) -> Viewer:
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.core_api.security import get_user
    from fastapi import HTTPException

    try:
        user = await get_user(request, None, _bearer(request))
    except HTTPException as refusal:
        # Of a token that it believes no more Airflow says 403, and leads to its login, too.
        raise Refused(401, "Sign in to Airflow to see this.") from refusal
    return Viewer(user, get_auth_manager())


def _bearer(request: Request) -> HTTPAuthorizationCredentials | None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        return None
    return HTTPAuthorizationCredentials(scheme=scheme, credentials=token.strip())


def from_our_page(request: Request) -> None:
    """A change that a cookie alone vouches for comes from one of our own pages: a neighbour's port or subdomain has the cookie, too.

    :raises Refused: when it does not, or its body is no JSON.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site == "same-origin"
    else:
        ours = origin is not None and urlsplit(origin).netloc in _hosts(request)
    if not ours:
        raise Refused(403, "Only Airflow's own pages may ask for this; a program sends its token as a bearer.")
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise Refused(415, "A body of the type application/json is expected.")


def _hosts(request: Request) -> set[str]:
    from airflow.configuration import conf

    return {request.headers.get("host", ""), urlsplit(conf.get("api", "base_url", fallback="")).netloc} - {""}


def wants_html(request: Request) -> bool:
    """Whether a browser asks for a page."""
    return "text/html" in request.headers.get("accept", "")


def answer(request: Request, refusal: Refused) -> Response:
    """A refusal, as a page or as JSON. A browser without a login is led there, and back."""
    headers = {**HEADERS, "Cache-Control": "no-store"}
    if not wants_html(request):
        return JSONResponse({"detail": refusal.sentence}, refusal.status, headers)
    lead = ""
    if refusal.status == 401 and request.method in READS:
        login = f"{airflow_root(request)}/api/v2/auth/login?next={quote(_asked_for(request), safe='')}"
        lead = f'<meta http-equiv="refresh" content="0; url={html.escape(login)}">'
    page = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Releases</title>{lead}</head><body><main><p>{html.escape(refusal.sentence)}</p></main></body></html>'
    return HTMLResponse(page, refusal.status, headers)


def _asked_for(request: Request) -> str:
    """The address that was asked for, by the path that the browser has."""
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{request.scope['path']}{query}"


def airflow_root(request: Request) -> str:
    """The path below which Airflow is served, without a slash at its end."""
    from release_pipelines.pages.plugin import PREFIX

    return str(request.scope.get("root_path", "")).removesuffix(PREFIX)


def address_of(request: Request) -> str:
    """From where somebody asks."""
    forwarded = ",".join(request.headers.getlist("x-forwarded-for")).split(",")
    trusted = [it.strip() for it in os.environ.get(PROXIES, "").split(",") if it.strip()]
    peer = request.client.host if request.client else None
    try:
        return asking_address(peer, [it for it in forwarded if it.strip()], trusted)
    except ValueError as error:
        log.error("%s: %s; no proxy is believed.", PROXIES, error)
        return asking_address(peer, (), ())
