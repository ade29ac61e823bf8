"""Amazon CodeBuild: a project of the team's builds and pushes, and says which digest it pushed by a variable that it exports."""

from __future__ import annotations

import asyncio
import hashlib
import math
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from pydantic import Field, ValidationError

from release_pipelines.core.errors import CredentialsRefused, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.base import Value
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.remote_builder import Clients, Order, RemoteBuilder, Standing
from release_pipelines.core.text import one_line

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
MINUTES = (5, 2160)
"""Of a build: what CodeBuild allows."""
BUSY = ("ThrottlingException", "Throttling", "TooManyRequestsException", "RequestLimitExceeded", "ServiceUnavailable", "InternalFailure",
        "InternalError", "InternalServerError", "AccountLimitExceededException")  # fmt: skip
REFUSED = ("ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException", "SignatureDoesNotMatch",
           "RequestExpired")  # fmt: skip


class Settings(Value):
    """What has to be known of it."""

    project: str = Field(min_length=1)
    region: str | None = None
    digest_variable: str = Field("RELEASE_DIGEST", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")


class CodeBuild:
    """Builds of one project.

    :param client: makes boto3's client of CodeBuild.
    """

    def __init__(self, client: Callable[[], Any], settings: Settings) -> None:
        self._make = client
        self._client: Any = None
        self.settings = settings

    async def start(self, order: Order) -> str:
        """Start a build of the commit; the same order within five minutes is the same build."""
        answer = await self._ask("start_build", **request(order, self.settings))
        return str(answer["build"]["id"])

    async def look(self, build: str) -> Standing:
        """How far a build is: see :func:`standing`."""
        answer = await self._ask("batch_get_builds", ids=[build])
        found = [it for it in answer.get("builds") or [] if it.get("id") == build]
        if not found:
            raise PlatformError(f"CodeBuild knows no build {build} any more: whether it succeeded is not known.")
        return standing(found[0], self.settings.digest_variable)

    async def stop(self, build: str) -> None:
        """Stop a build."""
        await self._ask("stop_build", id=build)

    async def _ask(self, question: str, **arguments: Any) -> Any:
        return await asyncio.to_thread(self._asked, question, arguments)

    def _asked(self, question: str, arguments: Mapping[str, Any]) -> Any:
        with _errors(self.settings.project):
            if self._client is None:
                self._client = self._make()
            return getattr(self._client, question)(**arguments)


class CodeBuildKind:
    """Builds by CodeBuild."""

    connection_type = "aws"

    def misfit(self, settings: Mapping[str, Any]) -> str | None:
        """What is expected in place of these settings."""
        try:
            Settings.model_validate(dict(settings))
        except ValidationError as error:
            found = error.errors(include_url=False, include_context=False, include_input=False)[0]
            return f"`project`, the name of a project of CodeBuild, and perhaps `region` and `digest_variable` ({'.'.join(map(str, found['loc']))}: {found['msg']})"
        return None

    def cannot(self, order: Order, settings: Mapping[str, Any]) -> str | None:
        """The project's buildspec says how is built: what BuildKit would be asked for stands there."""
        if order.tag is None:
            return "A project of CodeBuild runs the app's tests itself: `build.test_target` cannot be asked of it."
        asked = [it for it in order.publication.shown() if it != "`build.reproducible`"]
        if asked:
            return f"{' and '.join(asked)} cannot be asked of CodeBuild: its project's buildspec says how is built."
        return None

    @asynccontextmanager
    async def open(
        self, connection: Connection, clients: Clients, settings: Mapping[str, Any]
    ) -> AsyncIterator[RemoteBuilder]:
        """Builds by a connection of type ``aws``."""
        given = Settings.model_validate(dict(settings))
        yield CodeBuild(lambda: clients.aws("codebuild", given.region), given)


REMOTE_BUILDER = CodeBuildKind()


def request(order: Order, settings: Settings) -> dict[str, Any]:
    """What CodeBuild is asked. The build gets the order as variables, and build arguments by their own names."""
    told = {
        **order.args,
        "RELEASE_IMAGE": order.publication.name,
        "RELEASE_TAG": order.tag or "",
        "RELEASE_VERSION": order.version,
        "RELEASE_COMMIT": order.commit,
        "RELEASE_CONTEXT": order.context,
        "RELEASE_DOCKERFILE": order.dockerfile,
        "RELEASE_TARGET": order.target or "",
    }
    if order.publication.epoch is not None:
        told["SOURCE_DATE_EPOCH"] = str(order.publication.epoch)
    minutes = min(max(math.ceil(order.timeout / 60), MINUTES[0]), MINUTES[1])
    return {
        "projectName": settings.project,
        "sourceVersion": order.commit,
        "idempotencyToken": hashlib.sha256(order.key.encode()).hexdigest(),
        "timeoutInMinutesOverride": minutes,
        "environmentVariablesOverride": [
            {"name": name, "value": value, "type": "PLAINTEXT"} for name, value in told.items()
        ],
    }


def standing(build: Mapping[str, Any], variable: str) -> Standing:
    """How far a build is, by CodeBuild's answer.

    After a phase that failed, CodeBuild goes on with POST_BUILD: a build has succeeded when each of its phases has.

    :param variable: the exported variable that holds the digest.
    :raises PlatformError: where it failed, or it cannot be told that it did not.
    """
    name, status = str(build.get("id")), str(build.get("buildStatus"))
    failed = [
        it
        for it in build.get("phases") or []
        if it.get("phaseStatus") not in (None, "SUCCEEDED", "IN_PROGRESS", "QUEUED")
    ]
    if failed:
        first = failed[0]
        said = [
            one_line(": ".join(filter(None, (it.get("statusCode"), it.get("message")))))
            for it in first.get("contexts") or []
        ]
        why = "; ".join(it for it in said if it) or "CodeBuild says no more"
        raise PlatformError(
            f"The build {name} failed in phase {first.get('phaseType')} ({first.get('phaseStatus')}): {why}. {_log_of(build)}".strip()
        )
    if status == "IN_PROGRESS":
        return Standing(f"The build {name} is in phase {build.get('currentPhase') or 'unknown'}")
    if status != "SUCCEEDED":
        raise PlatformError(f"The build {name} ended as {status}: no digest is taken from it. {_log_of(build)}".strip())
    wanted, built = str(build.get("sourceVersion") or ""), str(build.get("resolvedSourceVersion") or "")
    if COMMIT.fullmatch(wanted) and COMMIT.fullmatch(built) and wanted != built:
        raise PlatformError(f"The build {name} was made of commit {built}, {wanted} was asked for.")
    exported = {it.get("name"): it.get("value") for it in build.get("exportedEnvironmentVariables") or []}
    digest = str(exported.get(variable) or "").strip()
    if not DIGEST.fullmatch(digest):
        found = f"exports {variable} as {one_line(digest, 80)!r}" if digest else f"exports no {variable}"
        raise PlatformError(
            f"The build {name} succeeded, but {found}: the digest that it pushed is expected there, like sha256:…, as one of "
            "`env: exported-variables` in the project's buildspec."
        )
    return Standing(f"The build {name} succeeded", ended=True, digest=digest)


def _log_of(build: Mapping[str, Any]) -> str:
    link = (build.get("logs") or {}).get("deepLink")
    return f"Its log: {one_line(link)}" if link else ""


@contextmanager
def _errors(project: str) -> Iterator[None]:
    """The one place where botocore's errors become ours."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    try:
        yield
    except ClientError as error:
        said = error.response.get("Error", {})
        code, sentence = str(said.get("Code")), one_line(said.get("Message") or error)
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in REFUSED:
            raise CredentialsRefused(f"AWS does not accept the credentials for CodeBuild: {code}.") from error
        if code in ("AccessDenied", "AccessDeniedException") or status == 403:
            raise Forbidden(f"The connection's account may not build with {project}: {sentence}.") from error
        if code in BUSY or status >= 500 or status == 429:
            raise PlatformUnavailable(f"CodeBuild is busy ({project}): {code}: {sentence}.") from error
        raise PlatformError(f"CodeBuild refuses ({project}): {code}: {sentence}.") from error
    except (NoCredentialsError, ProfileNotFound) as error:
        raise PlatformError(f"AWS cannot be asked for {project}: {one_line(error)}") from error
    except BotoCoreError as error:
        raise PlatformUnavailable(f"CodeBuild does not answer ({project}): {one_line(error)}") from error
