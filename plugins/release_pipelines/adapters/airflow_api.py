"""Airflow's REST API, as somebody asks it who is not inside of Airflow."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from release_pipelines.core.address import parts_of, web_address
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import httpx

    from release_pipelines.core.model.connection import Connection

TIMEOUT = 30.0
"""Maximum time for an answer, in seconds."""
CREATED, NOT_KNOWN, NO_RIGHT, UNKNOWN, THERE_ALREADY = 201, 401, 403, 404, 409


class AirflowRefused(ReleaseError):
    """Airflow does not answer, or says no; the sentence says why."""


class Answer(NamedTuple):
    """An answer: its HTTP status, and the JSON in it; None where it has none."""

    status: int
    content: Any

    @property
    def detail(self) -> str:
        """What Airflow says of a request that it does not take."""
        said = self.content.get("detail") if isinstance(self.content, dict) else None
        return one_line(said if isinstance(said, str) else str(said or "it said nothing"))[:300]


class AirflowApi:
    """Airflow's REST API at a connection's address, with a token that is asked for once.

    :param connection: its address; login and password of a user, or a token as its password.
    """

    def __init__(self, connection: Connection) -> None:
        import httpx

        self._connection = connection
        self._client = httpx.Client(base_url=web_address(connection).rstrip("/"), timeout=TIMEOUT)
        self._token: str | None = None

    def __enter__(self) -> AirflowApi:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def start(self, dag_id: str, run_id: str, conf: dict[str, Any]) -> Answer:
        """Start a run of a DAG; ``409`` where it is there already."""
        body = {"dag_run_id": run_id, "logical_date": None, "conf": conf}
        return self.ask("POST", f"dags/{quote(dag_id, safe='')}/dagRuns", body)

    def run(self, dag_id: str, run_id: str, more: str = "") -> Answer:
        """A run of a DAG, or what is behind it.

        :param more: like ``/taskInstances/preflight``.
        """
        return self.ask("GET", f"dags/{quote(dag_id, safe='')}/dagRuns/{quote(run_id, safe='')}{more}")

    def ask(self, method: str, path: str, body: Any = None) -> Answer:
        """Ask for something below ``/api/v2``.

        :raises AirflowRefused: when it does not answer, has an error of its own, or does not know who asks.
        """
        import httpx

        try:
            if self._token is None:
                self._token = token_of(self._client, self._connection)
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = self._client.request(method, f"/api/v2/{path}", json=body, headers=headers)
        except (httpx.HTTPError, httpx.InvalidURL, KeyError, ValueError) as error:
            raise AirflowRefused(f"{self._where} {_why(error)}.") from None
        if answer.status_code == NOT_KNOWN:
            raise AirflowRefused(f"{self._where} does not know this token: it is wrong, or has expired (status 401).")
        if answer.status_code == NO_RIGHT:
            raise AirflowRefused(f"{self._where} does not let this account do that (status {answer.status_code}).")
        if answer.is_server_error:
            raise AirflowRefused(f"{self._where} answers with status {answer.status_code}.")
        try:
            return Answer(answer.status_code, answer.json() if answer.content else None)
        except ValueError:
            raise AirflowRefused(f"{self._where} does not answer as Airflow does: that is no JSON.") from None

    @property
    def _where(self) -> str:
        address = self._client.base_url
        return f"Airflow at {address.host}" + (f":{address.port}" if address.port else "")


def token_of(client: httpx.Client, connection: Connection) -> str:
    """A token of the connection's user; where it has no login, its password is one."""
    parts = parts_of(connection)
    if not parts.login:
        return parts.password
    answer: Any = client.post("/auth/token", json={"username": parts.login, "password": parts.password})
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def _why(error: Exception) -> str:
    """What was in the way, without the whole address: it may hold credentials."""
    import httpx

    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        if status == NOT_KNOWN:
            return "does not take this login: the user or the password is wrong (status 401)"
        return f"does not answer as Airflow does: it gives no token (status {status})"
    if isinstance(error, httpx.TransportError):
        return "cannot be reached"
    return f"does not answer as Airflow does: {type(error).__name__}"
