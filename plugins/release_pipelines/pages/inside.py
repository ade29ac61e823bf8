"""Requests to Airflow's own REST API from inside its server, with the right of who asks: Airflow's checks and log hold for them, too."""

from __future__ import annotations

from typing import Any

import httpx
from starlette.requests import Request

from release_pipelines.pages.plugin import AROUND

SECONDS = 10.0
"""How long Airflow has for an answer, in seconds."""


async def ask_airflow(request: Request, method: str, path: str, body: dict[str, Any]) -> tuple[int, str]:
    """Send a request to Airflow as the person who asks us.

    :param request: theirs; its cookie or bearer is theirs, too.
    :param path: below Airflow's own, like ``/api/v2/dags``.
    :return: the answer's status, and what it says in words.
    """
    app = request.scope.get(AROUND) or _airflow()
    client = request.client
    transport = httpx.ASGITransport(app, client=(client.host, client.port) if client else ("127.0.0.1", 0))
    headers = {"Authorization": f"Bearer {token_of(request)}", "Accept": "application/json"}
    async with httpx.AsyncClient(transport=transport, base_url="http://airflow", timeout=SECONDS) as inside:
        answer = await inside.request(method, path, json=body, headers=headers)
    return answer.status_code, _said(answer)


def token_of(request: Request) -> str:
    """The token with which somebody is signed in."""
    from airflow.api_fastapi.auth.managers.base_auth_manager import COOKIE_NAME_JWT_TOKEN

    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" and token else request.cookies.get(COOKIE_NAME_JWT_TOKEN, "")


def _said(answer: httpx.Response) -> str:
    try:
        detail = answer.json().get("detail", "")
    except (ValueError, AttributeError):
        return ""
    return detail if isinstance(detail, str) else ""


def _airflow() -> Any:
    from airflow.api_fastapi.app import cached_app

    return cached_app()
