"""Addresses: whichever form Airflow was given, the one that was meant is asked, and no credentials go out by a scheme that nobody named."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest
from airflow.sdk import Connection

from release_pipelines.adapters.builders.engine import Engine
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.airflow.connections import values_of
from release_pipelines.airflow.hooks.prometheus import base_url, headers
from release_pipelines.core.address import engine_address, web_address
from release_pipelines.core.errors import AddressUnclear, MetricsUnavailable, PlatformError
from release_pipelines.core.ports.platform import Connections


def connection(given: str | dict[str, Any]) -> Connection:
    if isinstance(given, str):
        return Connection.from_uri(given, "metrics") if "://" in given else Connection.from_json(given, "metrics")
    return Connection(conn_id="metrics", **{"conn_type": "prometheus", **given})


def meant(given: str | dict[str, Any]) -> str:
    return web_address(values_of(connection(given)))


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://ann:pw@prom.example.org", "https://prom.example.org"),
        ("https://ann:pw@prom.example.org:8443/prometheus", "https://prom.example.org:8443/prometheus"),
        ("http://ann:pw@prom:9090", "http://prom:9090"),
        ("http://ann:pw@prom:9090/https", "https://prom:9090"),
        ("prometheus://prom:9090/prometheus", "http://prom:9090/prometheus"),
        ("prometheus://https://ann:pw@prom.example.org:8443/a/b", "https://prom.example.org:8443/a/b"),
        ("prometheus://https%3A%2F%2Fprom.example.org%2Fprom", "https://prom.example.org/prom"),
        ("prometheus://http://prom/prometheus", "http://prom/prometheus"),
        ("prometheus://ann:pw@prom:443", "https://prom:443"),
        ("prometheus://ann:pw@prom/?scheme=https", "https://prom"),
        ("prometheus+https://ann:pw@prom", "https://prom"),
        ("prometheus://[fd00::1]:9090/a", "http://[fd00::1]:9090/a"),
        ('{"conn_type": "https", "password": "t", "host": "prom", "port": "8443"}', "https://prom:8443"),
        ('{"conn_type": "http", "password": "t", "host": "prom", "schema": "https"}', "https://prom"),
        ({"host": "HTTPS://prom.example.org", "password": "t"}, "https://prom.example.org"),
        ({"host": "https://prom", "schema": "http", "password": "t"}, "https://prom"),
        ({"host": "https://prom", "schema": "/prometheus", "port": 1}, "https://prom:1/prometheus"),
        ({"host": "https://prom/a", "schema": "b"}, "https://prom/a"),
        ({"host": "fd00::1", "port": 9090}, "http://[fd00::1]:9090"),
        ({"host": "prom:9090", "port": 9090}, "http://prom:9090"),
        ({"host": " prom "}, "http://prom"),
        ({"host": "http://prom", "password": "t"}, "http://prom"),
    ],
)
def test_every_form_gives_the_address_that_was_meant(given: str | dict[str, Any], url: str) -> None:
    assert meant(given).rstrip("/") == url
    assert base_url(connection(given)) == url


@pytest.mark.parametrize(
    ("given", "url"),
    [
        ("https://hooks.example.org/services/T0/B0/x", "https://hooks.example.org/services/T0/B0/x"),
        ("https://hooks.example.org/x/?sig=a%2Fb&verify=false", "https://hooks.example.org/x/?sig=a%2Fb"),
        ("http://https://hooks.example.org/x", "https://hooks.example.org/x"),
        ({"host": "https://hooks.example.org/x/?sig=1", "port": 8443}, "https://hooks.example.org:8443/x/?sig=1"),
        ({"host": "hooks.example.org", "schema": "https", "extra": '{"a": "b"}'}, "https://hooks.example.org"),
    ],
)
def test_a_webhook_keeps_its_path_and_its_query(given: str | dict[str, Any], url: str) -> None:
    assert meant(given) == url


def asked(given: Connection) -> tuple[str, dict[str, str]]:
    return base_url(given), headers(given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "prometheus://ann:pw@prom.example.org",
            "has credentials and says neither http nor https: https://prom.example",
        ),
        (
            {"host": "ann:pw@prom", "port": 9090},
            "has credentials and says neither http nor https: https://prom:9090 is",
        ),
        ({"host": "prom", "extra": '{"headers": {"X-Api-Key": "pw"}}'}, "has credentials and says neither http nor"),
        ({"host": "http://prom", "schema": "https", "password": "pw"}, "says both http and https"),
        ("https://http://ann:pw@prom", "says both http and https"),
        ("https://https://prom", "has no host"),
        ({"host": "ftp://prom", "password": "pw"}, "has the scheme `ftp` in its host: http:// or https:// is expected"),
        ({}, "has no host"),
        ({"host": "http://prom", "extra": '{"headers": "pw"}'}, "`headers` in its extra that is no JSON object"),
    ],
)
def test_what_cannot_be_told_is_one_sentence_and_nothing_goes_out(given: str | dict[str, Any], said: str) -> None:
    with pytest.raises(MetricsUnavailable, match=r"The Airflow connection `metrics` ") as caught:
        asked(connection(given))
    assert said in str(caught.value)
    assert "pw" not in str(caught.value)


def test_credentials_come_from_the_fields_or_from_the_address() -> None:
    assert headers(connection({"host": "https://ann:p%40ss@prom"})) == {"Authorization": "Basic YW5uOnBAc3M="}
    assert headers(connection({"host": "https://ann:x@prom", "password": "t"})) == {"Authorization": "Bearer t"}
    by_uri = "https://prom/?headers=" + "%7B%22X-Scope-OrgID%22%3A%20%22a%22%7D"
    assert headers(connection(by_uri)) == {"X-Scope-OrgID": "a"}
    assert headers(connection({"host": "prom", "extra": "[1]"})) == {}


def registry(given: str | dict[str, Any]) -> Distribution:
    return Distribution(values_of(connection(given)))


@pytest.mark.parametrize(
    ("given", "host", "insecure"),
    [
        ("registry://ann:pw@registry.example.org:5000", "registry.example.org:5000", False),
        ("registry://ann:pw@registry.example.org/?insecure=false", "registry.example.org", False),
        ("registry://ann:pw@registry:5000/?insecure=true", "registry:5000", True),
        ("registry://ann:pw@ghcr.io/acme", "ghcr.io/acme", False),
        ("http://ann:pw@registry.example.org", "registry.example.org", False),
        ({"host": "http://registry:5000"}, "registry:5000", True),
        ({"host": "https://index.docker.io/v1/"}, "index.docker.io", False),
        ({"host": "registry.example.org/team", "port": 5000}, "registry.example.org:5000/team", False),
    ],
)
def test_a_registry_is_named_as_images_name_it(given: str | dict[str, Any], host: str, insecure: bool) -> None:
    it = registry(given)
    assert (it.host, it.insecure) == (host, insecure)
    assert it.repository("shop") == f"{host}/shop"
    assert it.repository(f"{host}/shop") == f"{host}/shop"


def test_a_registrys_path_stands_once_in_an_image() -> None:
    it = registry("registry://ann:pw@ghcr.io/acme")
    assert it.repository("acme/shop") == "ghcr.io/acme/shop"
    assert it.login is not None
    assert it.login.host == "ghcr.io"


def test_a_cluster_pulls_from_the_registry_with_its_port() -> None:
    values = values_of(connection("registry://ann:pw@registry.example.org:5000"))
    auth = Connections(values, values, lambda: None).registry_auth  # type: ignore[arg-type, return-value]
    assert auth == {"serveraddress": "registry.example.org:5000", "username": "ann", "password": "pw"}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("container-host://tcp://engine:2376", "tcp://engine:2376"),
        ("container-host://engine:2375", "tcp://engine:2375"),
        ("container-host:///run/podman.sock", "unix:///run/podman.sock"),
        ("container-host://unix:///run/podman.sock", "unix:///run/podman.sock"),
        ("container-host://%2Frun%2Fpodman.sock", "unix:///run/podman.sock"),
        ({"host": "unix:///run/podman.sock"}, "unix:///run/podman.sock"),
        ({"host": "tcp://engine", "port": 2375}, "tcp://engine:2375"),
        ({"host": "https://engine:2376"}, "https://engine:2376"),
        ({}, ""),
    ],
)
def test_an_engine_is_found_at_its_socket_or_its_port(given: str | dict[str, Any], address: str) -> None:
    assert engine_address(values_of(connection(given))) == address


def test_an_engines_options_are_read_from_a_uri_too() -> None:
    arguments = quote(json.dumps({"PROXY": "http://proxy"}))
    assert Engine(values_of(connection(f"container-host://engine:1/?build_args={arguments}"))).build_args == {
        "PROXY": "http://proxy"
    }
    with pytest.raises(PlatformError, match="`metrics` has a `tls` in its extra that is no JSON object"):
        Engine(values_of(connection("container-host://engine:1/?tls=yes")))


def test_an_error_of_an_address_is_one_of_a_release() -> None:
    with pytest.raises(AddressUnclear):
        meant({})
