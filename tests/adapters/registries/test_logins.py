"""How registries want to be logged in at, each as its documentation says: servers here, in front of a real registry, that behave so."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from release_pipelines.core.errors import Forbidden, PlatformError, PlatformUnavailable
from tests import registries

SBOM = "application/vnd.cyclonedx+json"
JSON_KEY = json.dumps({"type": "service_account", "private_key": "-----BEGIN PRIVATE KEY-----\nab:cd\n"})
AZURE_USER = "00000000-0000-0000-0000-000000000000"


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with registries.plain(tmp_path_factory.mktemp("registry")) as address:
        yield address


class Tokens(registries.Answers):
    """Gives tokens for a repository, for reading or also for writing, and lets nobody in without one."""

    realm, service = "/token", "registry"
    user, password = "", ""
    field = "token"
    uses = 1_000
    given: dict[str, list[str]] = {}
    answers: list[int] = []

    def instead(self) -> tuple[int, dict[str, str], bytes] | None:
        if self.path.partition("?")[0] == self.realm:
            return self.token()
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        name = self.path.removeprefix("/v2/").partition("/")[0]
        wanted = f"repository:{name}:pull" + (",push" if self.command in ("POST", "PUT", "PATCH") else "")
        left = self.given.get(token)
        if left and left[0].startswith(wanted) and len(left) <= self.uses:
            left.append("used")
            return None
        host = self.headers["Host"]
        challenge = f'Bearer realm="http://{host}{self.realm}",service="{self.service}",scope="{wanted}"'
        return 401, {"WWW-Authenticate": challenge}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'

    def token(self) -> tuple[int, dict[str, str], bytes]:
        if self.answers:
            return self.answers.pop(0), {}, b""
        if self.command == "POST":  # OAuth2, as Azure's and Docker's documentation have it
            form = {it: value[0] for it, value in parse_qs(self.sent.decode()).items()}
            allowed = (form["grant_type"], form["refresh_token"], self.user) == (
                "refresh_token",
                self.password,
                AZURE_USER,
            )
            scope, service = form["scope"], form["service"]
        else:
            query = {it: value[0] for it, value in parse_qs(urlsplit(self.path).query).items()}
            basic = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
            allowed = self.headers.get("Authorization") == f"Basic {basic}" and self.user != AZURE_USER
            scope, service = query["scope"], query["service"]
        if not allowed or service != self.service:
            return 401, {}, b'{"errors": [{"code": "UNAUTHORIZED"}]}'
        made = f"token-{len(self.given)}"
        self.given[made] = [scope]
        return 200, {}, json.dumps({self.field: made, "expires_in": 300}).encode()


KINDS: dict[str, dict[str, Any]] = {
    "harbor": {"realm": "/service/token", "service": "harbor-registry", "user": "robot$shop+ci", "password": "secret:1"},
    "github": {"realm": "/token", "service": "ghcr.io", "user": "octocat", "password": "ghp_secret"},
    "google_access_token": {"realm": "/v2/token", "service": "europe-docker.pkg.dev", "user": "oauth2accesstoken", "password": "ya29.x"},
    "google_json_key": {"realm": "/v2/token", "service": "europe-docker.pkg.dev", "user": "_json_key", "password": JSON_KEY},
    "azure_principal": {"realm": "/oauth2/token", "service": "shop.azurecr.io", "user": "b4c1", "password": "x", "field": "access_token"},
    "azure_exchanged": {"realm": "/oauth2/token", "service": "shop.azurecr.io", "user": AZURE_USER, "password": "ey", "field": "access_token"},
}  # fmt: skip


def server(plain: str, **more: Any) -> type[Tokens]:
    return type("Server", (Tokens,), {"behind": plain, "given": {}, "answers": [], **more})


@pytest.mark.parametrize("kind", KINDS)
def test_images_are_written_and_read_with_the_tokens_of_each_registry(plain: str, kind: str) -> None:
    made = server(plain, **KINDS[kind])
    with registries.serving(made) as address:
        registry = registries.at(address, login=made.user, password=made.password)
        entry = registries.single(registry, kind, "linux/amd64")
        attached = registry.attach(kind, entry["digest"], SBOM, SBOM, b"sbom", {})
        registry.tag(kind, entry["digest"], "1.0.0")
        assert [it.digest for it in registry.referrers(kind, entry["digest"])] == [attached]
        assert registry.tags(kind)
        assert registry.digest_of(kind, "1.0.0") == entry["digest"]
        assert len(made.given) <= 4  # one for reading, one for each way of writing: kept, and not asked for each time
        wrong = registries.at(address, login=made.user, password="wrong")
        with pytest.raises(Forbidden, match=r"does not let this connection read") as caught:
            wrong.digest_of(kind, "1.0.0")
        assert "wrong" not in str(caught.value)


def test_a_token_that_runs_out_is_renewed_as_often_as_it_takes(plain: str) -> None:
    made = server(plain, **{**KINDS["harbor"], "uses": 2})
    with registries.serving(made) as address:
        registry = registries.at(address, login=made.user, password=made.password)
        entry = registries.single(registry, "long", "linux/amd64")
        registry.attach("long", entry["digest"], SBOM, SBOM, b"sbom", {})
        assert len(made.given) > 4
        assert registry.referrers("long", entry["digest"])


def test_a_token_service_that_is_away_is_worth_another_try(plain: str) -> None:
    made = server(plain, **{**KINDS["harbor"], "answers": [503, 429]})
    with registries.serving(made) as address:
        registry = registries.at(address, login=made.user, password=made.password)
        for status in (503, 429):
            with pytest.raises(PlatformUnavailable, match=f"status {status}"):
                registry.digest_of("away", "1.0.0")
        assert registry.digest_of("away", "1.0.0") is None


def test_credentials_are_not_sent_unencrypted_to_a_token_service_that_an_encrypted_registry_names(plain: str) -> None:
    import httpx

    made = server(plain, **KINDS["harbor"])
    with registries.serving(made) as address:
        registry = registries.at(address, login=made.user, password=made.password)
        registry.insecure = False
        with (
            httpx.Client() as client,
            pytest.raises(PlatformError, match=r"sent unencrypted to http://.*: https:// is expected"),
        ):
            registry._renew(client, "read shop ", f'Bearer realm="http://{address}/token",service="harbor-registry"')
    assert made.given == {}


def test_an_upload_that_goes_elsewhere_carries_no_credentials(plain: str) -> None:
    seen: list[str | None] = []

    class Elsewhere(registries.Answers):
        behind = plain

        def instead(self) -> None:
            seen.append(self.headers.get("Authorization"))

    with registries.serving(Elsewhere) as elsewhere:
        made = server(plain, **KINDS["harbor"])

        class Sends(made):  # type: ignore[misc, valid-type]
            def forwarded(self) -> tuple[int, dict[str, str], bytes]:
                status, headers, body = super().forwarded()
                if status == 202:
                    headers = {**headers, "Location": headers["Location"].replace(plain, elsewhere)}
                return status, headers, body

        with registries.serving(Sends) as address:
            registry = registries.at(address, login=made.user, password=made.password)
            assert registries.single(registry, "elsewhere", "linux/amd64")
    assert seen
    assert set(seen) == {None}
