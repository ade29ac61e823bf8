"""Airflow connection ``prometheus`` → numbers."""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    import aiohttp
    from airflow.sdk import Connection
    from prometheus_api_client import PrometheusConnect

TIMEOUT = 10.0


class PrometheusError(Exception):
    """The metrics service did not answer, or answered with an error. Says nothing about the app."""


def base_url(connection: Connection) -> str:
    """The address in the connection: ``host`` may be a URL, or a name with ``schema`` and ``port`` beside it."""
    host = (connection.host or "").rstrip("/")
    if "://" not in host:
        host = f"{connection.schema or 'http'}://{host}" + (f":{connection.port}" if connection.port else "")
    return host


def headers(connection: Connection) -> dict[str, str]:
    """Bearer token (the connection's password without a login) or basic authentication."""
    if not connection.password:
        return {}
    if not connection.login:
        return {"Authorization": f"Bearer {connection.password}"}
    import base64

    pair = base64.b64encode(f"{connection.login}:{connection.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}"}


def number(answer: Any) -> float | None:
    """The one number in an instant query's answer; None when it is empty or not a number.

    :raises PrometheusError: when the answer holds several series, or none that can be read.
    """
    data = answer.get("data", answer) if isinstance(answer, dict) else {"resultType": "vector", "result": answer}
    result = data.get("result", [])
    if data.get("resultType") == "scalar":
        value = float(result[1])
    elif not result:
        return None
    elif len(result) > 1:
        raise PrometheusError(
            f"one number is expected, the query gives {len(result)} series: aggregate it, for example with sum()"
        )
    else:
        value = float(result[0]["value"][1])
    return value if math.isfinite(value) else None


class PrometheusHook(BaseHook):
    """One-off reads in operators, by ``prometheus-api-client``.

    :param prometheus_conn_id: connection of type ``prometheus``: host is its URL; login and password for basic
        authentication, the password alone for a bearer token.
    """

    conn_name_attr = "prometheus_conn_id"
    default_conn_name = "prometheus_default"
    conn_type = "prometheus"
    hook_name = "Prometheus"

    def __init__(self, prometheus_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.prometheus_conn_id = prometheus_conn_id

    def get_conn(self) -> PrometheusConnect:
        """A client with a timeout; it has none by itself."""
        from prometheus_api_client import PrometheusConnect

        connection = self.get_connection(self.prometheus_conn_id)
        return PrometheusConnect(url=base_url(connection), headers=headers(connection), timeout=TIMEOUT)

    def query(self, promql: str) -> float | None:
        """The query's one number now; None when the answer is empty or not finite.

        :raises PrometheusError: when the service does not answer, or answers with an error.
        """
        try:
            return number(self.get_conn().custom_query(promql))
        except PrometheusError:
            raise
        except Exception as error:
            raise PrometheusError(f"Prometheus ({self.prometheus_conn_id}): {error}") from error

    def check(self) -> None:
        """Raise :class:`PrometheusError` unless the service answers a trivial query."""
        self.query("vector(1)")

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            self.check()
        except PrometheusError as error:
            return False, str(error)
        return True, "Prometheus answers"


class PrometheusReader:
    """Asynchronous instant queries for triggers.

    Identical queries that are asked at the same time share one answer, and all readers of an event loop share one
    connection pool: one triggerer may watch a thousand canaries.
    """

    _sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
    _asked: dict[tuple[str, str, float], asyncio.Future[float | None]] = {}

    def __init__(self, url: str, request_headers: dict[str, str]) -> None:
        self.url = url
        self.headers = request_headers

    @classmethod
    async def of(cls, prometheus_conn_id: str) -> PrometheusReader:
        """A reader for an Airflow connection."""
        connection = await BaseHook.aget_connection(prometheus_conn_id)
        return cls(base_url(connection), headers(connection))

    def _session(self) -> aiohttp.ClientSession:
        import aiohttp

        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            for other in [known for known in self._sessions if known.is_closed()]:
                del self._sessions[other]
            session = self._sessions[loop] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=100), timeout=aiohttp.ClientTimeout(total=TIMEOUT)
            )
        return session

    async def query(self, promql: str, at: float) -> float | None:
        """The query's one number at Unix time ``at``; None when the answer is empty or not finite.

        :raises PrometheusError: when the service does not answer, or answers with an error.
        """
        key = (self.url, promql, at)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(promql, at))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key, None))
        return await asyncio.shield(self._asked[key])

    async def _ask(self, promql: str, at: float) -> float | None:
        import aiohttp

        try:
            async with self._session().post(
                f"{self.url}/api/v1/query", data={"query": promql, "time": f"{at:.3f}"}, headers=self.headers
            ) as response:
                if response.content_type != "application/json":
                    raise PrometheusError(f"Prometheus answered with status {response.status}")
                answer = await response.json()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise PrometheusError(f"Prometheus does not answer: {error or type(error).__name__}") from error
        if answer.get("status") != "success":
            raise PrometheusError(f"Prometheus says: {answer.get('error', 'unknown error')}")
        return number(answer)
