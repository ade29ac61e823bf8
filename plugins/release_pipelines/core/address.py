"""The address that a connection means, in whichever form it was written.

Airflow keeps a connection as fields. Its form as a URI puts ``https`` into the type, a path into ``schema`` and a query into the extra;
people write whole URLs into ``host``, or a name there and the rest into the other fields. All of them name one address.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlencode

from release_pipelines.core.errors import AddressUnclear
from release_pipelines.core.model.connection import Connection

WEB = ("http", "https")
SECRET_HEADERS = re.compile(r"auth|cookie|key|secret|token", re.IGNORECASE)
OPTIONS = (
    "headers", "verify", "cert", "proxies", "timeout", "stream", "trust_env", "allow_redirects", "max_redirects", "check_response",
    "scheme", "schema", "protocol", "insecure", "__extra__",
)  # fmt: skip
"""Words in an extra that are no part of an address' query: ours, and those of Airflow's own HTTP connections."""


@dataclass(frozen=True)
class Parts:
    """What a connection says of an address; what it does not say is empty. Its text shows nothing that may be secret."""

    scheme: str = ""
    server: str = ""
    path: str = field(default="", repr=False)
    query: str = field(default="", repr=False)
    login: str = ""
    password: str = field(default="", repr=False)
    schemes: frozenset[str] = frozenset()
    """All schemes of the web that it names, in any of its fields."""


def parts_of(connection: Connection) -> Parts:
    """Split a connection's address: ``server`` is a name with the port, if there is one."""
    host, extra = (connection.host or "").strip(), connection.extra
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "", host.lstrip("/")
    authority, path, query = _split(rest)
    userinfo, _, server = authority.rpartition("@")
    login, _, password = (unquote(it) for it in userinfo.partition(":"))
    if connection.login or connection.password:
        login, password = connection.login or "", connection.password or ""
    schema = (connection.schema or "").strip()
    said = [scheme, schema, *(str(extra.get(it) or "") for it in ("scheme", "schema", "protocol"))]
    schemes = frozenset(it for word in said if (it := word.strip(":/").lower()) in WEB)
    is_path = bool(schema.strip("/")) and schema.strip(":/").lower() not in WEB
    if is_path and not path.strip("/"):
        path = f"/{schema.lstrip('/')}"
    if not separator and not query and (is_path or connection.kind.lower() == "https"):
        query = _query_in(extra)
    return Parts(scheme.lower(), _with_port(server.strip(), connection.port), path, query, login, password, schemes)


def web_address(connection: Connection) -> str:
    """The address of something that is asked by HTTP, without credentials: these are headers (:func:`request_headers`).

    :raises AddressUnclear: where it cannot be told: credentials never go out by http because nobody said https.
    """
    parts, where = parts_of(connection), _named(connection)
    if parts.scheme and parts.scheme not in WEB:
        raise AddressUnclear(f"{where} has the scheme `{parts.scheme}` in its host: http:// or https:// is expected.")
    if not parts.server or parts.server.startswith(":"):
        raise AddressUnclear(f"{where} has no host: its address, like https://metrics.example.org, is expected there.")
    if re.search(r"[\s\\]", parts.server):
        raise AddressUnclear(f"{where} has a host with a space in it: an address like https://… is expected there.")
    url = f"{_scheme_of(connection, parts)}://{parts.server}{parts.path}"
    return f"{url}?{parts.query}" if parts.query else url


def registry_host(connection: Connection) -> str:
    """A registry as images name it: server, port, and the path that all of them have, if there is one."""
    parts = parts_of(connection)
    path = re.sub(r"^/v[12](?=/|$)", "", parts.path.rstrip("/"))  # of its API, as `docker login` writes it
    return f"{parts.server}{path}" if parts.server else ""


def engine_address(connection: Connection) -> str:
    """The address of a container engine, like ``unix:///run/docker.sock`` or ``tcp://host:2375``; empty where none is given.

    Airflow's form as a URI takes the path of a socket for a schema.
    """
    host, schema = (connection.host or "").strip(), (connection.schema or "").strip()
    if not host:
        return f"unix:///{schema.lstrip('/')}" if schema else ""
    if host.startswith("/"):
        return f"unix://{host}"
    scheme, separator, rest = host.partition("://")
    if scheme in ("unix", "npipe"):
        return host
    server, slash, path = rest.partition("/") if separator else host.partition("/")
    return f"{scheme if separator else 'tcp'}://{_with_port(server, connection.port)}{slash}{path}"


def request_headers(connection: Connection) -> dict[str, str]:
    """Bearer token (a password without a login) or basic authentication, and ``headers`` of the connection's extra as they are.

    :raises AddressUnclear: when ``headers`` cannot be read.
    """
    parts, given = parts_of(connection), headers_in(connection)
    if not parts.password:
        return given
    pair = base64.b64encode(f"{parts.login}:{parts.password}".encode()).decode()
    return {"Authorization": f"Basic {pair}" if parts.login else f"Bearer {parts.password}", **given}


def _scheme_of(connection: Connection, parts: Parts) -> str:
    where = _named(connection)
    kind = re.split(r"[^a-z]+", connection.kind.lower())[-1]
    schemes = parts.schemes | ({"https"} if kind == "https" else set())
    if parts.scheme == "https" or schemes == {"https"}:
        return "https"
    if len(schemes) > 1:
        raise AddressUnclear(
            f"{where} says both http and https: one of them is expected, in its host, like https://{parts.server}."
        )
    if "http" in schemes:
        return "http"
    if parts.server.endswith(":443"):
        return "https"
    secret = parts.password or any(SECRET_HEADERS.search(it) for it in headers_in(connection))
    if kind != "http" and not parts.server.endswith(":80") and secret:
        raise AddressUnclear(
            f"{where} has credentials and says neither http nor https: https://{parts.server} is expected as its host, "
            "or http:// where they may go unencrypted."
        )
    return "http"


def headers_in(connection: Connection) -> dict[str, str]:
    """The ``headers`` of a connection's extra.

    :raises AddressUnclear: when they cannot be read.
    """
    return {str(header): str(value) for header, value in json_in(connection, "headers").items()}


def json_in(connection: Connection, key: str) -> Mapping[str, Any]:
    """A mapping in a connection's extra: as such, or as JSON, which is all that the form as a URI can hold.

    :raises AddressUnclear: when it is neither.
    """
    value = connection.extra.get(key) or {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    if not isinstance(value, Mapping):
        raise AddressUnclear(
            f'{_named(connection)} has a `{key}` in its extra that is no JSON object: {{"name": "value"}} is expected.'
        )
    return value


def is_on(value: Any) -> bool:
    """Whether an option is set; in the form as a URI every option is a text, and ``false`` is one, too."""
    return value.strip().lower() not in ("", "false", "no", "off", "0") if isinstance(value, str) else bool(value)


def _named(connection: Connection) -> str:
    return f"The Airflow connection `{connection.name}`" if connection.name else "The connection"


def _split(rest: str) -> tuple[str, str, str]:
    """Authority, path and query of what stands behind the scheme."""
    match = re.fullmatch(r"([^/?#]*)([^?#]*)(?:\?([^#]*))?.*", rest, re.DOTALL)
    assert match  # noqa: S101 - it fits every text
    return match[1], match[2], match[3] or ""


def _with_port(server: str, port: int | None) -> str:
    """The server with the port, unless it has one; a bare IPv6 address gets its brackets."""
    if server.count(":") > 1 and not server.startswith("["):
        server = f"[{server}]"
    return f"{server}:{port}" if port and not re.search(r":\d+$", server) else server


def _query_in(extra: Mapping[str, Any]) -> str:
    """The query of an address that was written as a URI: Airflow keeps it as the extra."""
    return urlencode({name: it for name, it in extra.items() if isinstance(it, str) and name not in OPTIONS})
