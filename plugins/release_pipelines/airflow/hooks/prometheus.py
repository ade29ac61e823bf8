"""Airflow connection ``prometheus`` → numbers."""

from __future__ import annotations

import ast
import asyncio
import json
import math
import os
import re
import socket
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook

if TYPE_CHECKING:
    import aiohttp
    from airflow.sdk import Connection
    from prometheus_api_client import PrometheusConnect

TIMEOUT = 10.0
"""Seconds that the service has for an answer."""
QUEUE_TIMEOUT = 60.0
"""Seconds until a question fails that waits for others: a thousand canaries that a restarted triggerer picks up ask at once."""


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


def shown(url: str) -> str:
    """The service in a sentence: its address without the credentials that may stand in it."""
    return "Prometheus at " + re.sub(r"(?<=://)[^/@]*@", "", url)


def number(answer: Any) -> float | None:
    """The one number in an instant query's answer, or in its bare result; None when it is empty or not a number.

    :raises PrometheusError: when the answer holds several series, or none that can be read.
    """
    result = answer.get("data", answer).get("result", []) if isinstance(answer, dict) else answer
    if not result:
        return None
    try:
        if not isinstance(result[0], dict):  # a scalar: time and value
            value = float(result[1])
        elif len(result) == 1:
            value = float(result[0]["value"][1])
        else:
            raise PrometheusError(
                f"one number is expected, the query gives {len(result)} series: aggregate it, for example with sum()"
            )
    except (KeyError, ValueError):
        raise PrometheusError(
            "one number is expected, the query gives text or a range: use a function like increase() over it"
        ) from None
    return value if math.isfinite(value) else None


def refused(url: str, status: int, content: bytes | str) -> PrometheusError:
    """The error behind an answer that is no success: Prometheus' own words where it says any."""
    try:
        said = json.loads(content)["error"]
    except (ValueError, KeyError, TypeError):
        return PrometheusError(f"{shown(url)} answers with status {status}, where numbers are expected")
    return PrometheusError(f"{shown(url)} cannot answer the query: {' '.join(str(said).split())}")


def away(url: str, error: BaseException) -> PrometheusError:
    """The error behind a request that got no answer, by its first cause that says something to people."""
    why, at = type(error).__name__, error
    while True:
        if "Timeout" in type(at).__name__:
            why = f"no answer within {TIMEOUT:g} s"
            break
        if isinstance(at, socket.gaierror):
            why = "its host name is not known"
            break
        if isinstance(at, OSError) and at.errno:
            why = os.strerror(at.errno).lower()
            break
        cause = at.__cause__ or at.__context__
        if cause is None:
            break
        at = cause
    return PrometheusError(f"{shown(url)} does not answer: {why}")


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
        from urllib3.util.retry import Retry

        connection = self.get_connection(self.prometheus_conn_id)
        # Tasks are tried again by Airflow; a retry here would only hide the answer behind "too many".
        return PrometheusConnect(
            url=base_url(connection), headers=headers(connection), timeout=TIMEOUT, retry=Retry(total=0)
        )

    def query(self, promql: str) -> float | None:
        """The query's one number now; None when the answer is empty or not finite.

        :raises PrometheusError: when the service does not answer, or answers with an error.
        """
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import JSONDecodeError, RequestException

        client = self.get_conn()
        try:
            return number(client.custom_query(promql))
        except PrometheusApiClientException as error:
            told = re.fullmatch(r"HTTP Status Code (\d+) \((b.*)\)", str(error), re.DOTALL)
            status, content = (int(told[1]), ast.literal_eval(told[2])) if told else (0, b"")
            raise refused(client.url, status, content) from error
        except (JSONDecodeError, KeyError, TypeError) as error:
            raise refused(client.url, 200, b"") from error
        except RequestException as error:
            raise away(client.url, error) from error

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
    _asked: dict[tuple[str, ...], asyncio.Future[Any]] = {}

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
                connector=aiohttp.TCPConnector(limit=100),
                timeout=aiohttp.ClientTimeout(total=QUEUE_TIMEOUT, sock_connect=TIMEOUT, sock_read=TIMEOUT),
            )
        return session

    async def query(self, promql: str, at: float) -> float | None:
        """The query's one number at Unix time ``at``; None when the answer is empty or not finite.

        :raises PrometheusError: when the service does not answer, or answers with an error.
        """
        return number(await self._shared("query", {"query": promql, "time": f"{at:.3f}"}))

    async def series(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        """Every series' value at ``start``, ``start + step``, … up to ``end`` (Unix times in seconds), by its labels.

        One answer however many moments there are. Values that are not finite are left out.

        :raises PrometheusError: when the service does not answer, or answers with an error.
        """
        given = {"query": promql, "start": f"{start:.3f}", "end": f"{end + step / 1000:.3f}", "step": f"{step:.3f}"}
        answer = await self._shared("query_range", given)
        moments: list[dict[str, float]] = [{} for _ in range(round((end - start) / step) + 1)]
        for it in answer["data"]["result"]:
            name = json.dumps(it["metric"], sort_keys=True)
            for at, text in it["values"]:
                moment = round((float(at) - start) / step)
                if 0 <= moment < len(moments) and math.isfinite(float(text)):
                    moments[moment][name] = float(text)
        return moments

    async def _shared(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        key = (self.url, path, *given.values())
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(path, given))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key, None))
            # Nobody may wait for it any more; its error is then nobody's.
            self._asked[key].add_done_callback(lambda done: done.cancelled() or done.exception())
        found: dict[str, Any] = await asyncio.shield(self._asked[key])
        return found

    async def _ask(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        import aiohttp

        try:
            async with self._session().post(f"{self.url}/api/v1/{path}", data=given, headers=self.headers) as response:
                content = await response.read()
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise away(self.url, error) from error
        try:
            answer: dict[str, Any] = json.loads(content)
            success = answer["status"] == "success"
        except (ValueError, KeyError, TypeError):
            success = False
        if not success:
            raise refused(self.url, response.status, content)
        return answer
