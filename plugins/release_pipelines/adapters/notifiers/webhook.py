"""The notice as JSON to an HTTP address.

By httpx and not by the http provider's hooks: the asynchronous one hides the answer's Retry-After, and both shall behave alike.
"""

from __future__ import annotations

import email.utils
import time
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.adapters.notifiers.base import NotSent, ReleaseNotifier, missing
from release_pipelines.airflow.hooks.prometheus import base_url, headers
from release_pipelines.core.model.base import to_json

if TYPE_CHECKING:
    import httpx
    from airflow.sdk import Connection, Context

TIMEOUT = 10.0
"""Seconds for one try."""
TRIES = 3
PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds before the second try, doubled before each later one; and the most that a receiver's Retry-After may ask for."""
WORTH_ANOTHER_TRY = (408, 425, 429, 500, 502, 503, 504)


class _Refused(NotSent):
    """An answer, or none, that another try may mend; ``after`` is what the receiver asked to wait, in seconds."""

    def __init__(self, sentence: str, after: float | None = None) -> None:
        super().__init__(sentence)
        self.after = after


class WebhookNotifier(ReleaseNotifier):
    """POSTs the notice as JSON. Any 2xx answer is a success, also 204 without a body.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param connection: Airflow connection of type ``http``: its host may be the whole URL. A login and a password are sent as
        basic authentication, a password alone as bearer token, and ``headers`` of its extra as they are.
    """

    def __init__(self, *, connection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection

    def notify(self, context: Context) -> None:
        import httpx
        from tenacity import Retrying

        try:
            request = self._request(BaseHook.get_connection(self.connection))
        except AirflowNotFoundException:
            raise missing(self.connection) from None
        with httpx.Client(timeout=TIMEOUT) as client:
            for attempt in Retrying(**_retries()):
                with attempt:
                    try:
                        self._check(client.send(request))
                    except httpx.TransportError as error:
                        raise self._away(error) from error

    async def async_notify(self, context: Context) -> None:
        import httpx
        from tenacity import AsyncRetrying

        try:
            request = self._request(await BaseHook.aget_connection(self.connection))
        except AirflowNotFoundException:
            raise missing(self.connection) from None
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            async for attempt in AsyncRetrying(**_retries()):
                with attempt:
                    try:
                        self._check(await client.send(request))
                    except httpx.TransportError as error:
                        raise self._away(error) from error

    def _request(self, connection: Connection) -> httpx.Request:
        import httpx

        more = connection.extra_dejson.get("headers") or {}
        body = to_json(self.notice) | {"urgent": self.notice.urgent, "title": self.notice.title}
        try:
            return httpx.Request("POST", base_url(connection), json=body, headers={**headers(connection), **more})
        except httpx.InvalidURL:
            raise NotSent(f"the host of the Airflow connection `{self.connection}` is no URL") from None

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        sentence = f"webhook `{self.connection}` answered with status {answer.status_code}"
        if answer.status_code in WORTH_ANOTHER_TRY:
            raise _Refused(sentence, retry_after(answer.headers.get("Retry-After"), time.time()))
        raise NotSent(sentence)

    def _away(self, error: Exception) -> _Refused:
        return _Refused(f"webhook `{self.connection}` did not answer ({type(error).__name__})")


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
    return min(LONGEST_PAUSE, PAUSE * 2 ** (attempt - 1) if asked is None else asked)


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
