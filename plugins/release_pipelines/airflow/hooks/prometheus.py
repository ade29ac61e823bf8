"""Airflow connection ``prometheus`` → a client that asks for numbers."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.core.errors import MetricsUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from prometheus_api_client import PrometheusConnect

    from release_pipelines.adapters.metrics.prometheus import PrometheusReader


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

        from release_pipelines.adapters.metrics.prometheus import TIMEOUT

        connection = self.get_connection(self.prometheus_conn_id)
        # Tasks are tried again by Airflow; a retry here would only hide the answer behind "too many".
        return PrometheusConnect(
            url=base_url(connection), headers=headers(connection), timeout=TIMEOUT, retry=Retry(total=0)
        )

    async def get_async_conn(self) -> PrometheusReader:
        """An asynchronous client, for triggers."""
        from release_pipelines.adapters.metrics.prometheus import PrometheusReader

        async def read() -> tuple[str, dict[str, str]]:
            connection = await self.aget_connection(self.prometheus_conn_id)
            return base_url(connection), headers(connection)

        return PrometheusReader(*await read(), read)

    def query(self, promql: str) -> float | None:
        """The query's one number now; None when the answer is empty or not finite.

        :raises MetricsUnavailable: when the service does not answer, or answers with an error.
        """
        from prometheus_api_client.exceptions import PrometheusApiClientException
        from requests import JSONDecodeError, RequestException

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
        except RequestException as error:
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
