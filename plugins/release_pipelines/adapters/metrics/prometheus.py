"""Prometheus, or what speaks like it: questions and answers."""

from __future__ import annotations

import asyncio
import io
import json
import math
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.outbound import ANSWER_BYTES, excerpt, proxy_of, trusting
from release_pipelines.core.errors import BadQuery, MetricsUnavailable
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import aiohttp
    from requests import Response

TIMEOUT = 10.0
"""Seconds that the service has for an answer."""
QUEUE_TIMEOUT = 60.0
"""Seconds until a question fails that waits for others: a thousand canaries that a restarted triggerer picks up ask at once."""

MOMENTS = 10_000
"""Maximum number of moments in one question: Prometheus refuses more than 11,000 points a series, and a hold of days has more."""


def shown(url: str) -> str:
    """The service in a sentence: its address without the credentials that may stand in it."""
    return "Prometheus at " + re.sub(r"(?<=://)[^/@]*@", "", url)


def number(answer: Any) -> float | None:
    """The one number in an instant query's answer, or in its bare result; None when it is empty or not a number.

    :raises MetricsUnavailable: when the answer holds several series, or none that can be read.
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
            raise BadQuery(
                f"one number is expected, the query gives {len(result)} series: aggregate it, for example with sum()"
            )
    except (KeyError, ValueError):
        raise BadQuery(
            "one number is expected, the query gives text or a range: use a function like increase() over it"
        ) from None
    return value if math.isfinite(value) else None


def refused(url: str, status: int, content: bytes | str) -> MetricsUnavailable:
    """The error behind an answer that is no success: Prometheus' own words where it says any."""
    try:
        answer = json.loads(content)
        said = answer["error"]
    except (ValueError, KeyError, TypeError):
        return MetricsUnavailable(f"{shown(url)} answers with status {status}, where numbers are expected")
    kind = BadQuery if answer.get("errorType") in ("bad_data", "execution") else MetricsUnavailable
    return kind(f"{shown(url)} cannot answer the query: {one_line(said)}")


def too_long(url: str) -> BadQuery:
    """The error behind an answer that was not read to its end."""
    return BadQuery(
        f"{shown(url)} answers the query with more than {ANSWER_BYTES:,} bytes, and was cut short there: aggregate it, for example "
        "with sum()"
    )


def read_to_the_limit(response: Response, **_: Any) -> None:
    """A hook of requests, which reads an answer as a whole, however long it is.

    :raises BadQuery: when it is longer than :data:`~release_pipelines.adapters.outbound.ANSWER_BYTES`.
    """
    content = response.raw.read(ANSWER_BYTES + 1, decode_content=True)
    if len(content) > ANSWER_BYTES:
        response.close()
        raise too_long(response.url.partition("/api/v1/")[0])
    response.raw = io.BytesIO(content)


def away(url: str, error: BaseException) -> MetricsUnavailable:
    """The error behind a request that got no answer, by its first cause that says something to people."""
    why, at = type(error).__name__, error
    while True:
        if "Timeout" in type(at).__name__:
            why = f"no answer within {TIMEOUT:g} s"
            break
        if isinstance(at, ssl.SSLCertVerificationError):
            why = "its certificate is not trusted: `verify` in the connection's extra may name a file of certificates"
            break
        if isinstance(at, socket.gaierror):
            why = "its host name is not known"
            break
        if isinstance(at, OSError) and at.errno:
            why = os.strerror(at.errno).lower()
            break
        cause = at.__cause__ or at.__context__ or next((it for it in at.args if isinstance(it, BaseException)), None)
        if cause is None:
            break
        at = cause
    return MetricsUnavailable(f"{shown(url)} does not answer: {why}")


def _trusted(verify: bool | str) -> ssl.SSLContext | bool:
    if not isinstance(verify, str):
        return verify
    try:
        return trusting(verify)
    except OSError:
        raise MetricsUnavailable(f"{verify} is no file of certificates in PEM, as it is expected") from None


async def _open_session() -> AsyncGenerator[aiohttp.ClientSession, None]:
    """A session for as long as this generator is open."""
    import aiohttp

    loop = asyncio.get_running_loop()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=100),
        timeout=aiohttp.ClientTimeout(total=QUEUE_TIMEOUT, sock_connect=TIMEOUT, sock_read=TIMEOUT),
    )
    try:
        yield session
    finally:
        if PrometheusReader._sessions.get(loop, session) is session:  # else another one has taken its place
            PrometheusReader._sessions.pop(loop, None)
            PrometheusReader._kept.pop(loop, None)
        await session.close()


class PrometheusReader:
    """Asynchronous queries.

    Identical queries that are asked at the same time share one answer, and all readers of an event loop share one
    connection pool: one triggerer may watch a thousand canaries.

    :param url: address of the service.
    :param request_headers: credentials, as headers.
    :param reread: the address and the credentials as they are now: they expire. None: there are no others.
    :param verify: a file of trusted certificates; True: those of the system; False: any certificate will do.
    """

    _kept: dict[asyncio.AbstractEventLoop, AsyncGenerator[aiohttp.ClientSession, None]] = {}
    """An event loop closes the generators that are open in it before it ends (PEP 525), and with them what they hold."""
    _sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}
    _asked: dict[tuple[asyncio.AbstractEventLoop, tuple[str, ...]], asyncio.Future[Any]] = {}

    def __init__(
        self,
        url: str,
        request_headers: dict[str, str],
        reread: Callable[[], Awaitable[tuple[str, dict[str, str]]]] | None = None,
        *,
        verify: bool | str = True,
    ) -> None:
        self.url = url
        self.headers = request_headers
        self.trusted = _trusted(verify)
        self._reread = reread

    async def _session(self) -> aiohttp.ClientSession:
        """The session of this event loop, which ends with it. Nothing is awaited here: all who ask at once get the same one."""
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None or session.closed:
            for other in [known for known in list(self._sessions) if known.is_closed()]:  # in a way that closes nothing
                self._sessions.pop(other, None)
                self._kept.pop(other, None)
            self._kept[loop] = _open_session()
            session = self._sessions[loop] = await anext(self._kept[loop])
        return session

    async def close(self) -> None:
        """Close this event loop's connections, where nobody will ask again."""
        kept = self._kept.get(asyncio.get_running_loop())
        if kept is not None:
            await kept.aclose()

    async def query(self, promql: str, at: float) -> float | None:
        """The query's one number at Unix time ``at``; None when the answer is empty or not finite.

        :raises MetricsUnavailable: when the service does not answer, or answers with an error.
        """
        return number(await self._shared("query", {"query": promql, "time": f"{at:.3f}"}))

    async def series(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        """Every series' value at ``start``, ``start + step``, … up to ``end`` (Unix times in seconds), by its labels.

        Asked in pieces of :data:`MOMENTS`. Values that are not finite are left out.

        :raises MetricsUnavailable: when the service does not answer, or answers with an error.
        """
        found: list[dict[str, float]] = []
        for first in range(0, round((end - start) / step) + 1, MOMENTS):
            until = min(end, start + (first + MOMENTS - 1) * step)
            found += await self._piece(promql, start + first * step, until, step)
        return found

    async def _piece(self, promql: str, start: float, end: float, step: float) -> list[dict[str, float]]:
        given = {"query": promql, "start": f"{start:.3f}", "end": f"{end + step / 1000:.3f}", "step": f"{step:.3f}"}
        answer = await self._shared("query_range", given)
        moments: list[dict[str, float]] = [{} for _ in range(round((end - start) / step) + 1)]
        try:
            for it in answer["data"]["result"]:
                name = json.dumps(it["metric"], sort_keys=True)
                for at, text in it["values"]:
                    moment = round((float(at) - start) / step)
                    if 0 <= moment < len(moments) and math.isfinite(float(text)):
                        moments[moment][name] = float(text)
        except (KeyError, TypeError, ValueError):
            raise refused(self.url, 200, b"") from None
        return moments

    async def _shared(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        # Tenants of one service differ by a header.
        question = (self.url, path, *given.values(), *(text for pair in self.headers.items() for text in pair))
        key = (asyncio.get_running_loop(), question)
        if key not in self._asked:
            self._asked[key] = asyncio.ensure_future(self._ask(path, given))
            self._asked[key].add_done_callback(lambda _: self._asked.pop(key, None))
            # Nobody may wait for it any more; its error is then nobody's.
            self._asked[key].add_done_callback(lambda done: done.cancelled() or done.exception())
        found: dict[str, Any] = await asyncio.shield(self._asked[key])
        return found

    async def _ask(self, path: str, given: dict[str, str]) -> dict[str, Any]:
        status, content = await self._post(path, given)
        if status in (401, 403) and self._reread is not None:
            now = await self._reread()
            if now != (self.url, self.headers):
                self.url, self.headers = now
                status, content = await self._post(path, given)
        try:
            answer: dict[str, Any] = json.loads(content)
            success = answer["status"] == "success"
        except (ValueError, KeyError, TypeError):
            success = False
        if not success:
            raise refused(self.url, status, content)
        return answer

    async def _post(self, path: str, given: dict[str, str]) -> tuple[int, bytes]:
        import aiohttp

        try:
            session = await self._session()
            async with session.post(
                f"{self.url}/api/v1/{path}",
                data=given,
                headers=self.headers,
                ssl=self.trusted,
                proxy=proxy_of(self.url),
            ) as response:
                content = await excerpt(response, ANSWER_BYTES + 1)
                if len(content) > ANSWER_BYTES:
                    raise too_long(self.url)
                return response.status, content
        except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
            raise away(self.url, error) from error
