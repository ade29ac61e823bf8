"""Airflow connection ``prometheus`` → a client that asks for numbers."""

from __future__ import annotations

import ast
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.adapters.outbound import certificates
from release_pipelines.airflow.connections import values_of
from release_pipelines.core.errors import AddressUnclear, MetricsUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from prometheus_api_client import PrometheusConnect

    from release_pipelines.adapters.metrics.prometheus import PrometheusReader


def base_url(connection: Connection) -> str:
    """The address in the connection, before the path of a question; see :mod:`release_pipelines.core.address`.

    :raises MetricsUnavailable: where that cannot be told.
    """
    from release_pipelines.core.address import web_address

    with _readable():
        return web_address(values_of(connection)).partition("?")[0].rstrip("/")


def headers(connection: Connection) -> dict[str, str]:
    """Bearer token (the connection's password without a login) or basic authentication, and ``headers`` of its extra as they are:
    the tenant of Mimir, Cortex or Thanos, say."""
    from release_pipelines.core.address import request_headers

    with _readable():
        return request_headers(values_of(connection))


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except AddressUnclear as error:
        raise MetricsUnavailable(str(error).rstrip(".")) from None


def verify(connection: Connection) -> bool | str:
    """How a certificate is checked: by ``verify`` of the connection's extra (a file of certificates, or false for not at all), else by
    the file that the environment names, else by what the system trusts.

    :raises MetricsUnavailable: when that file does not exist here.
    """
    asked = values_of(connection).extra.get("verify")
    if isinstance(asked, str) and asked.strip().lower() in ("true", "false", ""):
        asked = asked.strip().lower() != "false"
    if asked is False:
        return False
    if isinstance(asked, str):
        where, path = f"`verify` of the connection `{connection.conn_id}`", asked
    elif named := certificates():
        where, path = named
    else:
        return True
    if not os.path.exists(path):
        raise MetricsUnavailable(f"{where} names {path}, which is not here: a file of certificates is expected")
    return path


class PrometheusHook(BaseHook):
    """One-off reads in operators, by ``prometheus-api-client``.

    :param prometheus_conn_id: connection of type ``prometheus``: host is its URL, or a name that scheme, port and path in other fields
        complete; login and password for basic authentication, the password alone for a bearer token; ``headers`` and ``verify`` in its
        extra. Operators and triggers reach it alike: by the same headers, certificates and proxies (``HTTP_PROXY``, ``HTTPS_PROXY``,
        ``NO_PROXY``).
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
        from requests import Session
        from urllib3.util.retry import Retry

        from release_pipelines.adapters.metrics.prometheus import TIMEOUT, read_to_the_limit

        connection = self.get_connection(self.prometheus_conn_id)
        # Tasks are tried again by Airflow; a retry here would only hide the answer behind "too many".
        given, session = headers(connection), Session()
        session.verify = verify(connection)
        session.hooks["response"].append(read_to_the_limit)
        # A ~/.netrc would take the place of the connection's own credentials.
        auth = (lambda request: request) if "Authorization" in given else None
        return PrometheusConnect(
            url=base_url(connection),
            headers=given,
            timeout=TIMEOUT,
            retry=Retry(total=0),
            session=session,
            auth=auth,
        )

    async def get_async_conn(self) -> PrometheusReader:
        """An asynchronous client, for triggers."""
        from release_pipelines.adapters.metrics.prometheus import PrometheusReader

        async def read() -> tuple[str, dict[str, str]]:
            connection = await self.aget_connection(self.prometheus_conn_id)
            return base_url(connection), headers(connection)

        connection = await self.aget_connection(self.prometheus_conn_id)
        return PrometheusReader(base_url(connection), headers(connection), read, verify=verify(connection))

    def reader(self) -> PrometheusReader:
        """The same client, for operators that ask on a loop of their own."""
        from release_pipelines.adapters.metrics.prometheus import PrometheusReader

        connection = self.get_connection(self.prometheus_conn_id)
        return PrometheusReader(base_url(connection), headers(connection), verify=verify(connection))

    def query(self, promql: str) -> float | None:
        """The query's one number now; None when the answer is empty or not finite.

        :raises MetricsUnavailable: when the service does not answer, or answers with an error.
        """
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import JSONDecodeError
        from urllib3.exceptions import HTTPError

        from release_pipelines.adapters.metrics.prometheus import away, number, refused

        client = self.get_conn()
        try:
            return number(client.custom_query(promql))
        except PrometheusApiClientException as error:
            match = re.fullmatch(r"HTTP Status Code (\d+) \((b.*)\)", str(error), re.DOTALL)
            status, content = (int(match[1]), ast.literal_eval(match[2])) if match else (0, b"")
            raise refused(client.url, status, content) from error
        except (JSONDecodeError, KeyError, TypeError) as error:
            raise refused(client.url, 200, b"") from error
        except (OSError, HTTPError) as error:  # every error of requests, and a file of certificates that holds none
            raise away(client.url, error) from error

    def check(self) -> None:
        """Raise :class:`MetricsUnavailable` unless the service answers a trivial query."""
        self.query("vector(1)")

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            self.check()
        except MetricsUnavailable as error:
            return False, str(error)
        return True, "Prometheus answers"


async def open_metrics(prometheus_conn_id: str) -> PrometheusReader:
    """The metrics service of a connection: what core's loops measure with."""
    return await PrometheusHook(prometheus_conn_id).get_async_conn()
