"""Amazon Elastic Container Registry: its login runs out, its repositories have to be created, and it copies images to other regions."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.core.address import is_on, json_in, parts_of
from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import RegistryLogin
from release_pipelines.core.text import one_line

if TYPE_CHECKING:
    import httpx

HOST = re.compile(r"(\d{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.aws)")
EARLY = 600.0
"""So long before its login runs out a new one is asked for, in seconds: what is pushed meanwhile ends with the old one."""
DENIED = ("AccessDeniedException", "AccessDenied", "UnauthorizedOperation")
STRANGERS = (
    "UnrecognizedClientException",
    "ExpiredTokenException",
    "InvalidSignatureException",
    "InvalidClientTokenId",
)
BUSY = ("ThrottlingException", "ServerException", "ServiceUnavailable", "InternalFailure")


@dataclass(frozen=True)
class Token:
    """A login.

    :param endpoint: the registry's address.
    :param expires_at: when it runs out, in seconds since 1970.
    """

    user: str
    password: str = field(repr=False)
    endpoint: str
    expires_at: float


@dataclass(frozen=True)
class Amazon:
    """How AWS is asked, by credentials that somebody else keeps.

    :param token: gives a new login of the registry.
    :param client: gives boto3's client of ECR.
    """

    token: Callable[[], Token]
    client: Callable[[], Any]


def is_ecr(connection: Connection) -> bool:
    """Whether a connection is one of ECR: of type ``aws`` or ``ecr``, with ECR's host, or with ``aws_conn_id`` in its extra."""
    server = parts_of(connection).server
    return (
        connection.kind in ("aws", "ecr") or bool(HOST.fullmatch(server)) or bool(connection.extra.get("aws_conn_id"))
    )


class Ecr(Distribution):
    """A registry of an account in a region, also of another account than the credentials'.

    :param connection: its host is the registry's; a connection of type ``aws`` has none, and names ``registry_id`` (an account) in its extra
        where that is not the credentials' own. Extra ``create_repository``: true, or arguments of ECR's ``CreateRepository``.
    :param amazon: how AWS is asked; None: with the credentials that boto3 finds on this machine.
    """

    def __init__(self, connection: Connection, amazon: Amazon | None = None) -> None:
        server, extra = parts_of(connection).server, connection.extra
        self._amazon = amazon or _machine(extra)
        self._token: Token | None = None
        self._one = threading.Lock()
        own = connection.kind == "aws" or not server  # its host, if any, is the address of AWS itself
        account, region = str(extra.get("registry_id") or ""), str(extra.get("region_name") or "")
        host = f"{account}.dkr.ecr.{region}.amazonaws.com" if account and region else ""
        if own:
            self.host = host or "Amazon ECR"  # for a sentence of the next line
            connection = replace(connection, host=host or self._current().endpoint, port=None, schema=None)
        super().__init__(replace(connection, login=None, password=None))
        found = HOST.fullmatch(self._server)
        self.account = account or (found[1] if found else "")
        given = extra.get("create_repository")
        self._creates = given is not None and (isinstance(given, Mapping) or str(given).startswith("{") or is_on(given))
        self._settings = dict(json_in(connection, "create_repository")) if self._creates and not _is_word(given) else {}

    @property
    def login(self) -> RegistryLogin | None:
        """A login that is good for a while yet: to be asked for when it is used, and not kept."""
        token = self._current()
        return RegistryLogin(self._server, token.user, token.password)

    def prepare(self, image: str) -> None:
        """Create the repository of an image where there is none, and the connection says so."""
        if not self._creates:
            return
        name = self.name(image)
        with self._asking("CreateRepository", name):
            client = self._amazon.client()
            of = {"registryId": self.account} if self.account else {}
            try:
                client.create_repository(**of, **self._settings, repositoryName=name)
            except client.exceptions.RepositoryAlreadyExistsException:
                return

    def replicated(self, image: str, digest: str) -> dict[str, str]:
        """How far an image has come in other regions and accounts: ``<region>`` and ``<account>/<region>`` → ECR's word for it."""
        name = self.name(image)
        with self._asking("DescribeImageReplicationStatus", f"{name}@{digest}"):
            of = {"registryId": self.account} if self.account else {}
            answer = self._amazon.client().describe_image_replication_status(
                **of, repositoryName=name, imageId={"imageDigest": digest}
            )
        found: dict[str, str] = {}
        for it in answer.get("replicationStatuses") or []:
            word = str(it.get("status") or "UNKNOWN") + (f" ({it['failureCode']})" if it.get("failureCode") else "")
            found[f"{it.get('registryId')}/{it.get('region')}"] = word
            if it.get("registryId") in (self.account, None):
                found[str(it.get("region"))] = word
        return found

    def delete(self, image: str, digest: str) -> None:
        """Delete a manifest: the registry's own API has no such thing here."""
        name = self.name(image)
        with self._asking("BatchDeleteImage", f"{name}@{digest}"):
            of = {"registryId": self.account} if self.account else {}
            answer = self._amazon.client().batch_delete_image(
                **of, repositoryName=name, imageIds=[{"imageDigest": digest}]
            )
        for it in answer.get("failures") or []:
            if it.get("failureCode") != "ImageNotFound":
                why = one_line(it.get("failureReason") or it.get("failureCode")).rstrip(".")
                raise PlatformError(f"Amazon ECR does not delete {name}@{digest}: {why}.")

    def put_blob(self, client: httpx.Client, name: str, *args: Any, **kwargs: Any) -> bool:
        """Also into a repository that is not there yet, where the connection says so."""
        try:
            return super().put_blob(client, name, *args, **kwargs)
        except PlatformError as error:
            if not self._creates or "NAME_UNKNOWN" not in str(error):
                raise
        self.prepare(name)
        return super().put_blob(client, name, *args, **kwargs)

    def _renew(self, client: httpx.Client, purpose: str, challenge: str) -> bool:
        """A login that AWS does not take any more, whatever its time."""
        with self._one:
            self._token = None
        return True

    def _current(self) -> Token:
        with self._one:
            if self._token is None or self._token.expires_at - EARLY < time.time():
                with self._asking("GetAuthorizationToken", "a login"):
                    self._token = self._amazon.token()
            return self._token

    @contextmanager
    def _asking(self, action: str, what: str) -> Iterator[None]:
        """The one place where AWS' errors become ours."""
        from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

        try:
            yield
        except ClientError as error:
            code, why = (
                str(error.response["Error"].get("Code")),
                one_line(error.response["Error"].get("Message") or error),
            )
            sentence = f"Amazon ECR refuses {action} for {what} ({code}): {why.rstrip('.')}."
            if code in DENIED:
                raise Forbidden(sentence) from error
            if code in STRANGERS:
                raise CredentialsRefused(sentence) from error
            raise (PlatformUnavailable if code in BUSY else PlatformError)(sentence) from error
        except NoCredentialsError as error:
            raise CredentialsRefused(f"Nobody knows credentials of AWS for {action}: {one_line(error)}.") from error
        except BotoCoreError as error:
            raise PlatformUnavailable(f"Amazon ECR does not answer {action}: {one_line(error).rstrip('.')}.") from error


def token_of(answer: Mapping[str, Any]) -> Token:
    """The login in an answer of ``GetAuthorizationToken``."""
    import base64

    data = answer["authorizationData"][0]
    user, _, password = base64.b64decode(data["authorizationToken"]).decode().partition(":")
    return Token(user, password, data["proxyEndpoint"], data["expiresAt"].timestamp())


def _is_word(given: Any) -> bool:
    return not isinstance(given, Mapping) and not str(given).startswith("{")


def _machine(extra: Mapping[str, Any]) -> Amazon:
    def client() -> Any:
        import boto3

        return boto3.client("ecr", region_name=extra.get("region_name"), endpoint_url=extra.get("endpoint_url"))

    return Amazon(lambda: token_of(client().get_authorization_token()), client)


REGISTRY = Ecr
"""Made from a connection."""
