"""Airflow connection of kind ``container_host`` → a container engine that builds and pushes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from airflow.sdk import BaseHook

from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from docker import APIClient

DEFAULT_HOST = "unix:///var/run/docker.sock"


class EngineHook(BaseHook):
    """A Docker or Podman engine, here or elsewhere.

    The connection's host is its address (``unix:///…``, ``tcp://…``); its extra may hold ``build_args`` for every build
    and, for an engine behind TLS, ``tls``: paths of ``ca``, ``cert`` and ``key``.

    :param engine_conn_id: the connection.
    """

    conn_name_attr = "engine_conn_id"
    default_conn_name = "container_engine"
    conn_type = "container_host"
    hook_name = "Container host"

    def __init__(self, engine_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.engine_conn_id = engine_conn_id

    def get_conn(self, timeout: float = 60) -> APIClient:
        """The engine's client.

        :param timeout: seconds that the engine may be silent.
        :raises PlatformUnavailable: when the engine does not answer.
        """
        import docker

        connection = self.get_connection(self.engine_conn_id)
        host = connection.host or DEFAULT_HOST
        with engine_errors(host):
            return docker.APIClient(base_url=host, version="auto", timeout=timeout, tls=self._tls(connection))

    @property
    def build_args(self) -> dict[str, str]:
        """Build arguments that every build on this engine gets."""
        found = self.get_connection(self.engine_conn_id).extra_dejson.get("build_args") or {}
        return {str(key): str(value) for key, value in found.items()}

    def test_connection(self) -> tuple[bool, str]:
        """What the Test button of Airflow's connection form does."""
        try:
            return True, f"The engine answers: version {self.get_conn(timeout=5).version()['Version']}"
        except PlatformError as error:
            return False, str(error)

    @staticmethod
    def _tls(connection: Connection) -> object:
        from docker.tls import TLSConfig

        tls = connection.extra_dejson.get("tls")
        if not tls:
            return False
        pair = (tls["cert"], tls["key"]) if tls.get("cert") and tls.get("key") else None
        return TLSConfig(client_cert=pair, ca_cert=tls.get("ca"), verify=True)


@contextmanager
def engine_errors(engine: str) -> Iterator[None]:
    """Turn what goes wrong between here and the engine into a sentence.

    :param engine: its address, or what was being done there.
    :raises PlatformUnavailable: it does not answer, went away, or has trouble of its own.
    :raises Forbidden: it refuses these credentials.
    :raises PlatformError: it says no.
    """
    import docker.errors
    import requests.exceptions
    import urllib3.exceptions

    try:
        yield
    except docker.errors.APIError as error:
        said = " ".join(str(error.explanation or error).split()).rstrip(".")
        if error.status_code in (401, 403):
            raise Forbidden(f"The engine refuses ({engine}): {said}.") from error
        raise engine_failure(engine, f"failed: {said}", final=not error.is_server_error()) from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise PlatformUnavailable(f"The engine was silent for too long ({engine}).") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise PlatformUnavailable(f"The engine went away ({engine}): {type(error).__name__}.") from error
    except docker.errors.DockerException as error:
        said = str(error).partition("(Caused by")[0].rstrip(" .")
        raise PlatformUnavailable(f"The engine does not answer ({engine}): {said}.") from error


def is_podman(client: APIClient) -> bool:
    """Whether the engine is a Podman. Its cache (seen in 4.3) gives ``ENV X=${X}`` the value that X had before."""
    parts = client.version().get("Components") or []
    return any("podman" in str(part.get("Name")).lower() for part in parts)


AWAY = (
    "connection refused", "connection reset", "no such host", "i/o timeout", "timeout awaiting", "no route to host",
    "network is unreachable", "server misbehaving", "tls handshake timeout", "unexpected eof", "bad gateway",
    "service unavailable", "gateway timeout", "too many requests",
)  # fmt: skip


def engine_failure(what: str, said: str, log: Iterable[str] = (), *, final: bool = True) -> PlatformError:
    """The error behind the engine's words.

    :param log: last lines of what it was doing.
    :param final: another try is of no use, unless the words say that something cannot be reached.
    """
    low = said.lower()
    if "no space left on device" in low or any("no space left on device" in line.lower() for line in log):
        return PlatformError(f"The engine's disk is full ({what}): remove images that are not needed.")
    away = any(word in low for word in AWAY)
    sentence = f"The engine cannot reach what it needs ({what}): {said}." if away else f"{what} {said}."
    lines = "\n".join(log)
    told = f"{sentence} The last lines of the log:\n{lines}" if lines else sentence
    return PlatformUnavailable(told) if away or not final else PlatformError(told)
