"""The notice as JSON to an HTTP address.

By httpx and not by the http provider's hooks: the asynchronous one hides the answer's Retry-After, and both shall behave alike.
"""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from release_pipelines.core.errors import AddressUnclear
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.model.notice import Notice
from release_pipelines.core.ports.notifier import Notifier, NotSent

if TYPE_CHECKING:
    import httpx

TIMEOUT = 10.0
"""Maximum time of one try, in seconds."""
TRIES = 3
PAUSE, MAX_PAUSE = 1.0, 30.0
"""Seconds before the second try, doubled before each later one; and the most that a receiver's Retry-After may ask for."""
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


class _Refused(NotSent):
    """An answer, or none, that another try may mend; ``after`` is what the receiver asked to wait, in seconds."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


def request_of(notice: Notice, connection: str, url: str, headers: Mapping[str, str]) -> httpx.Request:
    """The request that tells the notice.

    :param connection: name of the Airflow connection, for sentences: its address may be a secret.
    """
    import httpx

    body = to_json(notice) | {"urgent": notice.urgent, "title": notice.title}
    try:
        return httpx.Request("POST", url, json=body, headers=dict(headers))
    except httpx.InvalidURL:
        raise NotSent(f"the host of the Airflow connection `{connection}` is no URL") from None


def post(request: httpx.Request, connection: str) -> None:
    """Send the request, again where that may help. Any 2xx answer is a success.

    :raises NotSent: when the receiver did not take it.
    """
    import httpx
    from tenacity import Retrying

    with httpx.Client(timeout=TIMEOUT) as client:
        for attempt in Retrying(**_retries()):
            with attempt, _errors(connection):
                answer = client.send(request, stream=True)  # of what it says only the status counts
                answer.close()
                _check(answer, connection)


async def apost(request: httpx.Request, connection: str) -> None:
    """The same without blocking."""
    import httpx
    from tenacity import AsyncRetrying

    async with httpx.AsyncClient(timeout=TIMEOUT) as client:
        async for attempt in AsyncRetrying(**_retries()):
            with attempt, _errors(connection):
                answer = await client.send(request, stream=True)
                await answer.aclose()
                _check(answer, connection)


@contextmanager
def _errors(connection: str) -> Iterator[None]:
    """The one place where the HTTP client's errors become ours."""
    import httpx

    try:
        yield
    except httpx.TransportError as error:
        raise _Refused(f"webhook `{connection}` did not answer ({type(error).__name__})") from error


def _check(answer: httpx.Response, connection: str) -> None:
    if answer.is_success:
        return
    sentence = f"webhook `{connection}` answered with status {answer.status_code}"
    if answer.status_code in WORTH_ANOTHER_TRY:
        raise _Refused(sentence, retry_after(answer.headers.get("Retry-After"), time.time()))
    raise NotSent(sentence)


def retry_after(header: str | None, now: float) -> float | None:
    """How many seconds a Retry-After header asks to wait: seconds, or a date; None where it says nothing.

    :param now: Unix time in seconds.
    """
    if not header:
        return None
    if header.strip().isdigit():
        return float(header)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(header).timestamp() - now)
    except ValueError:
        return None


def pause(attempt: int, asked: float | None) -> float:
    """Seconds to wait after a try that failed: what the receiver asks for, within bounds, else longer each time."""
    return min(MAX_PAUSE, PAUSE * 2 ** (attempt - 1) if asked is None else asked)


def _retries() -> dict[str, Any]:
    from tenacity import retry_if_exception_type, stop_after_attempt

    def wait(state: Any) -> float:
        return pause(state.attempt_number, state.outcome.exception().after)

    return {
        "retry": retry_if_exception_type(_Refused),
        "stop": stop_after_attempt(TRIES),
        "wait": wait,
        "reraise": True,
    }


class Webhook(Notifier):
    """Requests to an address."""

    def unclear(self, connection: Connection) -> str | None:
        """Whether it can be told where the notice goes, and that no credentials go out unencrypted by mistake."""
        from release_pipelines.core.address import request_headers, web_address

        try:
            web_address(connection)
            request_headers(connection)
        except AddressUnclear as error:
            return str(error).rstrip(".")
        return None


NOTIFIER = Webhook("release_pipelines.airflow.notifiers.webhook.WebhookNotifier", needs=("connection",))
