"""Airflow's notifier that posts to an HTTP address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseHook
from airflow.sdk.exceptions import AirflowNotFoundException

from release_pipelines.adapters.notifiers.webhook import apost, post, request_of
from release_pipelines.airflow.connections import values_of
from release_pipelines.airflow.notifiers.base import ReleaseNotifier, no_connection
from release_pipelines.core.address import request_headers, web_address
from release_pipelines.core.errors import AddressUnclear
from release_pipelines.core.ports.notifier import NotSent

if TYPE_CHECKING:
    import httpx
    from airflow.sdk import Connection, Context


class WebhookNotifier(ReleaseNotifier):
    """POSTs the notice as JSON. Any 2xx answer is a success, also 204 without a body.

    :param notice: the :class:`~release_pipelines.core.model.notice.Notice` or its dict.
    :param connection: Airflow connection of type ``http``: its host may be the whole URL, or scheme, port and path stand in other
        fields. A login and a password are sent as basic authentication, a password alone as bearer token, and ``headers`` of its extra
        as they are.
    """

    def __init__(self, *, connection: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.connection = connection

    def notify(self, context: Context) -> None:
        try:
            request = self._request(BaseHook.get_connection(self.connection))
        except AirflowNotFoundException:
            raise no_connection(self.connection) from None
        post(request, self.connection)

    async def async_notify(self, context: Context) -> None:
        try:
            request = self._request(await BaseHook.aget_connection(self.connection))
        except AirflowNotFoundException:
            raise no_connection(self.connection) from None
        await apost(request, self.connection)

    def _request(self, connection: Connection) -> httpx.Request:
        try:
            values = values_of(connection)
            url, headers = web_address(values), request_headers(values)
        except AddressUnclear as error:
            raise NotSent(str(error).rstrip(".")) from None
        return request_of(self.notice, self.connection, url, headers)
