"""Amazon ECR: its API by moto, its registry by a server that wants the login of that API and forwards to a real registry.

moto knows neither immutable tags of the registry, nor the end of a login, nor replication: these answers are those of AWS' API reference.
"""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from release_pipelines.adapters.registries.ecr import Amazon, Ecr, Token, is_ecr
from release_pipelines.airflow.hooks.registry import RegistryHook, with_login
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.platform import Connections
from release_pipelines.core.ports.registry import Images, PreparesRepositories, Replicates
from tests import registries
from tests.adapters.history.conftest import digest, free_port

KEYS = {"login": "AKIAIOSFODNN7EXAMPLE", "password": "secret-of-aws"}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.plain(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture(scope="module")
def aws() -> Iterator[str]:
    """The address of AWS' API."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


class Logins:
    """AWS as far as it gives logins, each good for a while."""

    def __init__(self, valid: float = 43_200.0) -> None:
        self.valid = valid
        self.given: list[str] = []

    def token(self) -> Token:
        self.given.append(f"login-{len(self.given) + 1}")
        return Token(
            "AWS", self.given[-1], "https://123456789012.dkr.ecr.eu-central-1.amazonaws.com", time.time() + self.valid
        )

    def amazon(self, client: Any = None) -> Amazon:
        return Amazon(self.token, lambda: client)


def server(plain: str, logins: Logins) -> type[registries.Answers]:
    """A registry that takes the last login only."""

    class Server(registries.Answers):
        behind = plain

        def instead(self) -> tuple[int, dict[str, str], bytes] | None:
            known = logins.given and base64.b64encode(f"AWS:{logins.given[-1]}".encode()).decode()
            if self.headers.get("Authorization") == f"Basic {known}":
                return None
            return 401, {"Www-Authenticate": 'Basic realm="https://ecr.example/",service="ecr.amazonaws.com"'}, b""

    return Server


def at(address: str, amazon: Amazon, **extra: Any) -> Ecr:
    return Ecr(Connection("registry", address, extra={"insecure": True, "aws_conn_id": "aws", **extra}), amazon)


def test_connections_of_ecr_are_known_by_their_type_their_host_or_their_credentials() -> None:
    host = "123456789012.dkr.ecr.eu-central-1.amazonaws.com"
    assert is_ecr(Connection("aws"))
    assert is_ecr(Connection("registry", host))
    assert is_ecr(Connection("docker", f"https://{host}"))
    assert is_ecr(Connection("registry", "registry.example", extra={"aws_conn_id": "aws"}))
    assert not is_ecr(Connection("registry", "registry.example"))
    assert not is_ecr(Connection("registry", f"{host}.attacker.example"))


def test_a_login_is_asked_for_once_and_again_before_it_runs_out(plain: str) -> None:
    logins = Logins()
    with registries.serving(server(plain, logins)) as address:
        registry = at(address, logins.amazon())
        assert isinstance(registry, Images)
        assert isinstance(registry, PreparesRepositories)
        assert isinstance(registry, Replicates)
        for _ in range(3):
            assert registry.digest_of("shop", "none") is None
        assert logins.given == ["login-1"]
        logins.valid = 300.0  # less than what a push may take
        registry._token = logins.token()
        logins.valid = 43_200.0
        assert registry.login
        assert registry.login.password == "login-3"
        assert "login-3" not in repr(registry.login)


def test_a_login_that_is_not_taken_any_more_is_renewed_in_the_midst_of_an_upload(plain: str) -> None:
    logins = Logins()
    with registries.serving(server(plain, logins)) as address:
        registry = at(address, logins.amazon())
        registry.digest_of("shop", "none")
        logins.token()  # the first one is good no more, hours before its time
        entry = registries.single(registry, "renewed/shop", "linux/amd64")
        assert registry.image("renewed/shop", entry["digest"])
        assert logins.given == ["login-1", "login-2", "login-3"]


def test_the_registry_of_an_aws_connection_is_that_of_its_account_or_of_the_one_that_it_names() -> None:
    logins = Logins()
    own = Ecr(Connection("aws"), logins.amazon())
    assert own.repository("shop") == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop"
    assert not own.insecure
    extra = {"registry_id": "210987654321", "region_name": "eu-west-1"}
    other = Ecr(Connection("aws", extra=extra), logins.amazon())
    assert (other.host, other.account) == ("210987654321.dkr.ecr.eu-west-1.amazonaws.com", "210987654321")


def test_a_repository_is_created_where_the_connection_says_so(
    aws: str, plain: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint_url": aws, "region_name": "eu-central-1"}
    monkeypatch.setenv("AIRFLOW_CONN_AWS", json.dumps({"conn_type": "aws", **KEYS, "extra": extra}))
    wanted = {"imageTagMutability": "IMMUTABLE", "imageScanningConfiguration": {"scanOnPush": True}}
    registry = {
        "conn_type": "registry",
        "host": plain,
        "extra": {"aws_conn_id": "aws", "insecure": True, "region_name": "eu-central-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(registry))
    made = RegistryHook("registry").get_conn()
    assert isinstance(made, Ecr)
    assert made.login
    assert made.login.user == "AWS"
    made.prepare("team/shop")  # nobody has asked for it
    client = made._amazon.client()
    assert client.describe_repositories()["repositories"] == []
    registry["extra"]["create_repository"] = wanted  # type: ignore[index]
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(registry))
    made = RegistryHook("registry").get_conn()
    assert isinstance(made, Ecr)
    made.prepare("team/shop")
    made.prepare("team/shop")
    (found,) = client.describe_repositories()["repositories"]
    assert (found["repositoryName"], found["imageTagMutability"]) == ("team/shop", "IMMUTABLE")


def test_the_hook_opens_the_registry_of_an_aws_connection(aws: str, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = {"endpoint_url": aws, "region_name": "eu-central-1"}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"conn_type": "aws", **KEYS, "extra": extra}))
    assert RegistryHook("registry").repository("shop") == "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop"


def test_engines_and_clusters_pull_with_ecrs_login_and_never_with_the_keys_of_aws(
    aws: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"endpoint_url": aws, "region_name": "eu-central-1"}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"conn_type": "aws", **KEYS, "extra": extra}))
    values = with_login(RegistryHook.get_connection("registry"))
    auth = Connections(Connection(), values, lambda: None).registry_auth  # type: ignore[arg-type,return-value]
    assert auth
    assert (auth["serveraddress"], auth["username"]) == ("123456789012.dkr.ecr.eu-central-1.amazonaws.com", "AWS")
    assert KEYS["password"] not in auth.values()
    away = {"endpoint_url": f"http://127.0.0.1:{free_port()}", "region_name": "eu-central-1"}
    monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps({"conn_type": "aws", **KEYS, "extra": away}))
    values = with_login(RegistryHook.get_connection("registry"))
    assert (values.login, values.password) == (None, None)


def test_an_unknown_repository_is_created_by_the_first_upload(
    plain: str,
) -> None:  # stubbed: NAME_UNKNOWN as AWS answers it
    logins, created = Logins(), []
    exists = type("RepositoryAlreadyExistsException", (Exception,), {})
    client = SimpleNamespace(
        exceptions=SimpleNamespace(RepositoryAlreadyExistsException=exists),
        create_repository=lambda **given: created.append(given),
    )

    class Server(server(plain, logins)):  # type: ignore[misc]
        def instead(self) -> Any:
            if self.command == "POST" and not created:
                return 404, {}, b'{"errors": [{"code": "NAME_UNKNOWN", "message": "The repository does not exist"}]}'
            return super().instead()

    with registries.serving(Server) as address:
        with pytest.raises(PlatformError, match="NAME_UNKNOWN"):
            registries.single(at(address, logins.amazon(client)), "first/shop", "linux/amd64")
        registry = at(address, logins.amazon(client), create_repository="true", registry_id="210987654321")
        registries.single(registry, "first/shop", "linux/amd64")
    assert created == [{"registryId": "210987654321", "repositoryName": "first/shop"}]


def test_replication_is_told_by_region_and_account() -> None:  # stubbed: moto does not know it
    asked: list[Any] = []
    statuses = [
        {"region": "eu-west-1", "registryId": "123456789012", "status": "COMPLETE"},
        {"region": "us-east-1", "registryId": "123456789012", "status": "FAILED", "failureCode": "AccessDenied"},
        {"region": "eu-west-1", "registryId": "210987654321", "status": "IN_PROGRESS"},
    ]

    def describe(**given: Any) -> dict[str, Any]:
        asked.append(given)
        return {"replicationStatuses": statuses}

    client = SimpleNamespace(describe_image_replication_status=describe)
    registry = Ecr(Connection("aws", extra={}), Logins().amazon(client))
    assert registry.replicated("shop", digest("a")) == {
        "123456789012/eu-west-1": "COMPLETE",
        "eu-west-1": "COMPLETE",
        "123456789012/us-east-1": "FAILED (AccessDenied)",
        "us-east-1": "FAILED (AccessDenied)",
        "210987654321/eu-west-1": "IN_PROGRESS",
    }
    assert asked == [{"registryId": "123456789012", "repositoryName": "shop", "imageId": {"imageDigest": digest("a")}}]


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", Forbidden),
        ("ExpiredTokenException", CredentialsRefused),
        ("ThrottlingException", PlatformUnavailable),
        ("InvalidParameterException", PlatformError),
    ],
)
def test_what_aws_refuses_is_a_sentence(code: str, error: type[Exception]) -> None:
    from botocore.exceptions import ClientError

    def refuse() -> Token:
        raise ClientError({"Error": {"Code": code, "Message": "User is not authorized."}}, "GetAuthorizationToken")

    registry = at("registry.example", Amazon(refuse, lambda: None))
    with pytest.raises(
        error, match=f"Amazon ECR refuses GetAuthorizationToken for a login \\({code}\\): User is not authorized"
    ):
        registry.digest_of("shop", "1.0.0")


def test_images_are_deleted_by_the_api_of_aws() -> None:  # stubbed: the answers are those of AWS' API reference
    asked: list[Any] = []
    failures: list[dict[str, Any]] = []

    def delete(**given: Any) -> dict[str, Any]:
        asked.append(given)
        return {"imageIds": [], "failures": failures}

    registry = Ecr(Connection("aws"), Logins().amazon(SimpleNamespace(batch_delete_image=delete)))
    registry.delete("shop", digest("a"))
    assert asked == [
        {"registryId": "123456789012", "repositoryName": "shop", "imageIds": [{"imageDigest": digest("a")}]}
    ]
    failures.append({"failureCode": "ImageNotFound", "failureReason": "Requested image not found"})
    registry.delete("shop", digest("a"))
    failures[:] = [
        {"failureCode": "ImageReferencedByManifestList", "failureReason": "Requested image referenced by manifest list"}
    ]
    with pytest.raises(
        PlatformError, match=r"does not delete shop@sha256:a+: Requested image referenced by manifest list"
    ):
        registry.delete("shop", digest("a"))
