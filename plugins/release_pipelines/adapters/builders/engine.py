"""A container engine with Docker's API (Docker or Podman), here or elsewhere: builds and pushes images."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.builders._abilities import Abilities, foreign
from release_pipelines.adapters.builders._buildkit import BuildFailed, BuildKit, program
from release_pipelines.core.address import engine_address, json_in
from release_pipelines.core.errors import AddressUnclear, Forbidden, PlatformError, PlatformUnavailable
from release_pipelines.core.model.connection import Connection
from release_pipelines.core.ports.builder import REVISION, Log, Publication, Recipe, RegistryLogin
from release_pipelines.core.text import clean, last_lines, one_line

if TYPE_CHECKING:
    from docker import APIClient

DEFAULT_HOST = "unix:///var/run/docker.sock"

LAST_LINES = 12
"""Maximum number of log lines in an error."""

LINE_LIMIT = 2000
"""Maximum length of one log line, in characters."""

CHUNK_LINES, CHUNK_LIMIT = 1000, 100_000
"""Maximum of lines and of characters that are logged of what an engine says at once."""

DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")

DENIED = ("denied", "unauthorized", "authentication required", "forbidden")
AWAY = (
    "connection refused", "connection reset", "no such host", "i/o timeout", "timeout awaiting", "no route to host",
    "network is unreachable", "server misbehaving", "tls handshake timeout", "unexpected eof", "bad gateway",
    "service unavailable", "gateway timeout", "too many requests", "cannot connect to the docker daemon",
    "error reading from server", "closed unexpectedly", "code = unavailable",
)  # fmt: skip


class Engine:
    """The engine at one address.

    :param connection: its host is the address (``unix:///…``, ``tcp://…``); its extra may hold ``build_args`` for every
        build and, for an engine behind TLS, ``tls``: paths of ``ca``, ``cert`` and ``key``.
    """

    keeps = True

    def __init__(self, connection: Connection) -> None:
        self.host = engine_address(connection) or DEFAULT_HOST
        self.build_args = {key: str(value) for key, value in self._given(connection, "build_args").items()}
        self._tls: Mapping[str, str] = self._given(connection, "tls")
        self._buildkit = BuildKit(self.host, self._tls)

    @staticmethod
    def _given(connection: Connection, key: str) -> Mapping[str, Any]:
        try:
            return json_in(connection, key)
        except AddressUnclear as error:
            raise PlatformError(str(error)) from None

    def client(self, timeout: float = 60) -> APIClient:
        """Docker's client.

        :param timeout: maximum silence of the engine, in seconds.
        :raises PlatformUnavailable: when the engine does not answer.
        """
        import docker
        from docker.constants import MINIMUM_DOCKER_API_VERSION
        from docker.tls import TLSConfig

        tls: Any = False
        if self._tls:
            cert, key = self._tls.get("cert"), self._tls.get("key")
            tls = TLSConfig(client_cert=(cert, key) if cert and key else None, ca_cert=self._tls.get("ca"), verify=True)
        with engine_errors(self.host):
            named = MINIMUM_DOCKER_API_VERSION  # one has to be, and a ping is asked without
            with closing(docker.APIClient(base_url=self.host, version=named, timeout=timeout, tls=tls)) as client:
                version = ping(client).get("Api-Version") or "auto"
            return docker.APIClient(base_url=self.host, version=version, timeout=timeout, tls=tls)

    def check(self) -> str:
        """Say that the engine answers, or raise."""
        return f"The engine answers: version {self.client(timeout=5).version()['Version']}"

    def obstacle(self, dockerfile: Callable[[], str | None], secrets: bool) -> str | None:
        """Why this engine cannot build a Dockerfile, in a sentence; None: it can, as far as can be told."""
        client = self.client()
        with engine_errors(self.host):
            return abilities(client).obstacle(dockerfile, secrets)

    def build(
        self, recipe: Recipe, tag: str | None, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Build an image, and return its id: by BuildKit where the engine has it and this worker can ask it, else by the classic builder.

        Layers that the engine has are used again, but by Podman only without arguments.
        """
        client = self.client(timeout)
        with engine_errors(what):
            can = abilities(client)
            text = (recipe.folder / recipe.dockerfile).read_text(errors="replace")
            if sentence := can.obstacle(lambda: text, bool(recipe.secrets)):
                raise PlatformError(sentence)
            buildx = program() if can.by_buildkit else None
            if buildx is None:
                return self._classic(client, can.podman is not None, recipe, tag, login, what, timeout, log)
        try:
            return self._buildkit.build(buildx, recipe, {**self.build_args, **recipe.args}, tag, login, log)
        except BuildFailed as error:
            raise engine_failure(what, error.explanation, error.log) from None

    def cannot_publish(
        self, publication: Publication, dockerfile: Callable[[], str | None], target: str | None
    ) -> str | None:
        """Why this engine cannot push what it builds at once, in a sentence; None: it can, as far as can be told."""
        client = self.client()
        with engine_errors(self.host):
            can = abilities(client)
            if sentence := can.cannot_publish(
                publication.shown(), _by_containerd(client) if can.by_buildkit else False
            ):
                return sentence
        return foreign(self._buildkit, can.name, publication.platforms, dockerfile, target)

    def publish(
        self, recipe: Recipe, publication: Publication, login: RegistryLogin | None, what: str, timeout: float, log: Log
    ) -> str:
        """Build an image by BuildKit, push it without a tag, and return its digest, from BuildKit's own metadata."""
        text = (recipe.folder / recipe.dockerfile).read_text(errors="replace")
        if sentence := self.cannot_publish(publication, lambda: text, recipe.target):
            raise PlatformError(sentence)
        buildx = program()
        assert buildx is not None  # noqa: S101 - or it cannot
        args = {**self.build_args, **recipe.args}
        try:
            return self._buildkit.publish(buildx, recipe, args, publication, login, log)
        except BuildFailed as error:
            raise engine_failure(what, error.explanation, error.log) from None

    def stop(self) -> None:
        """End the build that runs, if BuildKit does it; the classic builder ends when nobody listens any more."""
        self._buildkit.stop()

    def _classic(
        self,
        client: APIClient,
        podman: bool,
        recipe: Recipe,
        tag: str | None,
        login: RegistryLogin | None,
        what: str,
        timeout: float,
        log: Log,
    ) -> str:
        if login:
            client.login(login.user, login.password, registry=login.host)
        lines = client.build(
            path=str(recipe.folder),
            dockerfile=recipe.dockerfile,
            tag=tag,
            target=recipe.target or "",
            buildargs={**self.build_args, **recipe.args},
            labels=dict(recipe.labels),
            timeout=timeout,
            # The cache of Podman (seen in 4.3) gives ``ENV X=${X}`` the value that X had before.
            nocache=bool(recipe.args) and podman,
            rm=True,
            forcerm=True,
            decode=True,
        )
        return image_built(lines, what, log)

    def push(
        self, name: str, tag: str, commit: str | None, login: RegistryLogin | None, what: str, log: Log
    ) -> str | None:
        """Push an image, and return the digest that the engine names."""
        from docker.errors import ImageNotFound

        client = self.client(timeout=600)
        auth = {"username": login.user, "password": login.password} if login else None
        with engine_errors(what):
            try:
                labels = client.inspect_image(f"{name}:{tag}")["Config"].get("Labels") or {}
            except ImageNotFound:
                raise PlatformError(f"The engine has no image {name}:{tag}: it was removed, build it again.") from None
            if commit and labels.get(REVISION) != commit:
                raise PlatformError(
                    f"{name}:{tag} on the engine was built from commit {labels.get(REVISION) or 'unknown'}, "
                    f"not from {commit}: another build has taken its place, build it again."
                )
            return digest_pushed(client.push(name, tag=tag, auth_config=auth, stream=True, decode=True), what, log)


BUILDER = Engine


def ping(client: APIClient) -> Mapping[str, str]:
    """What the engine says of itself at once. For ``/version`` a Podman starts half a dozen programs: more than a second."""
    from docker.errors import DockerException, create_api_error_from_http_exception
    from requests import ConnectionError, HTTPError, Timeout

    try:
        answer = client.get(f"{client.base_url}/_ping", timeout=client.timeout)
    except Timeout:
        raise
    except ConnectionError as error:  # it was never there: it is the first question, and what goes away answers that
        raise DockerException(str(error)) from error
    try:
        answer.raise_for_status()
    except HTTPError as error:
        create_api_error_from_http_exception(error)
    headers: Mapping[str, str] = answer.headers
    return headers


def is_podman(client: APIClient) -> bool:
    """Whether the engine is a Podman."""
    return "Libpod-Api-Version" in ping(client)


def abilities(client: APIClient) -> Abilities:
    """What the engine can build. Docker says which builder is its own: 2 is BuildKit."""
    said = ping(client)
    podman = said.get("Libpod-Api-Version")
    named = re.search(r"Docker/([^ ]+)", said.get("Server") or "")
    number = podman or (named[1] if named else "of an unknown version")
    return Abilities(
        name=f"{'Podman' if podman else 'Docker'} {number}",
        podman=tuple(int(it) for it in re.findall(r"\d+", number)[:2]) if podman else None,
        buildkit=not podman and said.get("Builder-Version") == "2",
        buildx=program() is not None,
    )


def _by_containerd(client: APIClient) -> bool:
    """Whether the engine keeps its images by containerd: only then it can have an index, and push it."""
    return ["driver-type", "io.containerd.snapshotter.v1"] in (client.info().get("DriverStatus") or [])


def image_built(lines: Iterable[dict[str, Any]], what: str, log: Log) -> str:
    """The image's id at the end of a build's log.

    :raises PlatformError: with the log's last lines, when the build failed.
    """
    last: deque[str] = deque(maxlen=LAST_LINES)
    image = ""
    for line in lines:
        if "error" in line:
            raise engine_failure(what, f"failed: {one_line(line['error'])}", last)
        image = (line.get("aux") or {}).get("ID") or image
        for chunk_line in last_lines(line.get("stream", ""), CHUNK_LINES, CHUNK_LIMIT):
            text = clean(chunk_line, LINE_LIMIT)
            last.append(text)
            log(text)
    if not image:
        raise engine_failure(what, "ended without an image", last)
    return image


def digest_pushed(lines: Iterable[dict[str, Any]], what: str, log: Log) -> str | None:
    """The digest that a push's log names."""
    digest: str | None = None
    last_status: dict[str | None, str] = {}
    for line in lines:
        if "error" in line or "errorDetail" in line:
            explanation = one_line((line.get("errorDetail") or {}).get("message") or line.get("error"))
            if any(word in explanation.lower() for word in DENIED):
                raise Forbidden(f"{what}: the registry refuses these credentials: {explanation}.")
            raise engine_failure(what, f"failed: {explanation}")
        status, layer = one_line(line.get("status") or "", LINE_LIMIT), line.get("id")
        match = DIGEST.search(status)
        digest = (line.get("aux") or {}).get("Digest") or (match and match.group(1)) or digest
        if status and last_status.get(layer) != status:
            last_status[layer] = status
            log(f"{layer}: {status}" if layer else status)
    return digest


@contextmanager
def engine_errors(engine: str) -> Iterator[None]:
    """The one place where errors of Docker's client become ours.

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
        explanation = one_line(error.explanation or error)
        if error.status_code in (401, 403):
            raise Forbidden(f"The engine refuses ({engine}): {explanation}.") from error
        raise engine_failure(engine, f"failed: {explanation}", final=not error.is_server_error()) from error
    except (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise PlatformUnavailable(f"The engine was silent for too long ({engine}).") from error
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, ConnectionError) as error:
        raise PlatformUnavailable(f"The engine went away ({engine}): {type(error).__name__}.") from error
    except docker.errors.DockerException as error:
        explanation = one_line(str(error).partition("(Caused by")[0])
        raise PlatformUnavailable(f"The engine does not answer ({engine}): {explanation}.") from error


def engine_failure(what: str, explanation: str, log: Iterable[str] = (), *, final: bool = True) -> PlatformError:
    """The error behind the engine's words.

    :param log: last lines of what it was doing.
    :param final: another try is of no use, unless the words say that something cannot be reached.
    """
    words = explanation.lower()
    if "no space left on device" in words or any("no space left on device" in line.lower() for line in log):
        return PlatformError(f"The engine's disk is full ({what}): remove images that are not needed.")
    away = any(word in words for word in AWAY)
    sentence = f"The engine cannot reach what it needs ({what}): {explanation}." if away else f"{what} {explanation}."
    lines = "\n".join(log)
    message = f"{sentence} The last lines of the log:\n{lines}" if lines else sentence
    return PlatformUnavailable(message) if away or not final else PlatformError(message)
