"""Builds by BuildKit, inside a Docker Engine: by Docker's buildx, because the Python client knows the classic builder only."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from release_pipelines.core.errors import PlatformError
from release_pipelines.core.ports.builder import Log, Recipe, RegistryLogin
from release_pipelines.core.text import clean, one_line

PLUGINS = (
    "/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
    "/usr/local/lib/docker/cli-plugins",
)  # fmt: skip
"""Where packages put buildx."""

KEPT = re.compile(
    r"PATH|HOME|USER|TMPDIR|SSH_AUTH_SOCK|SSL_CERT_(FILE|DIR)|XDG_\w+|(https?|no|all)_proxy|(HTTPS?|NO|ALL)_PROXY"
)
"""Variables of the worker that a build's process gets; others may be secrets of other things."""

OUTPUT = re.compile(r"#\d+ \d+\.\d+ ?(.*)")
"""A line that a step of the build wrote."""
LINE_BYTES = 1_000_000
SECONDS_TO_END = 5.0
MASK = "***"
LEAST = 4
"""Minimum length of a line of a secret that is one by itself, in characters: brackets are none."""
WORD = re.compile(r"""[^\s=:"',;@/]{8,}(?![^\s=:"',;@/]|\s*[=:])""")
HOST = re.compile(r"[a-z-]+(\.[a-z-]+)+")
DOCKER_HUB = "https://index.docker.io/v1/"
"""Docker's own name for its registry in configurations."""


class BuildFailed(Exception):
    """The build ended without an image.

    :param explanation: why, in the builder's words.
    :param log: the last lines that its steps wrote.
    """

    def __init__(self, explanation: str, log: Iterable[str]) -> None:
        super().__init__(explanation)
        self.explanation = explanation
        self.log = list(log)


def program() -> str | None:
    """Where buildx is on this worker; None: nowhere."""
    own = [Path(it).expanduser() / "cli-plugins" for it in (os.environ.get("DOCKER_CONFIG") or "~/.docker",)]
    places = [os.environ.get("PATH", ""), *map(str, own), *PLUGINS]
    return shutil.which("docker-buildx", path=os.pathsep.join(places))


def masked(text: str, secrets: Iterable[str]) -> str:
    """The text without secrets: neither whole, nor one of their lines, nor a longer word that is no key, as in a file of settings."""
    hidden = set()
    for secret in secrets:
        hidden |= {secret.strip(), *(line.strip() for line in secret.splitlines() if len(line.strip()) >= LEAST)}
        hidden |= {word for word in WORD.findall(secret) if not HOST.fullmatch(word)}
    for part in sorted(filter(None, hidden), key=len, reverse=True):
        text = text.replace(part, MASK)
    return text


def command(recipe: Recipe, args: Mapping[str, str], tag: str | None, image_file: Path) -> list[str]:
    """The arguments of buildx. Of secrets they hold only where each is found."""
    given = {
        "--builder": "default",
        "--progress": "plain",
        "--iidfile": str(image_file),
        "--target": recipe.target,
        "--tag": tag,
    }
    options = [f"{key}={value}" for key, value in given.items() if value]
    options += [f"--build-arg={key}={value}" for key, value in args.items()]
    options += [f"--label={key}={value}" for key, value in recipe.labels.items()]
    for number, (name, secret) in enumerate(recipe.secrets.items()):
        where = f"env={_variable(number)}" if secret.path is None else f"src={secret.path}"
        quoted = '"' + where.replace('"', '""') + '"'  # buildx reads it as CSV
        options.append(f"--secret=id={name},{quoted}")
    return ["build", *options, f"--file={recipe.folder / recipe.dockerfile}", str(recipe.folder)]


class BuildKit:
    """One build.

    :param host: the engine's address.
    :param tls: paths of ``ca``, ``cert`` and ``key``; empty: no TLS.
    """

    def __init__(self, host: str, tls: Mapping[str, str]) -> None:
        self.host = host
        self.tls = tls
        self._process: subprocess.Popen[bytes] | None = None

    def build(
        self,
        buildx: str,
        recipe: Recipe,
        args: Mapping[str, str],
        tag: str | None,
        login: RegistryLogin | None,
        log: Log,
    ) -> str:
        """Build an image, and return its id.

        :raises BuildFailed: when there is none in the end.
        """
        hidden = list(_values(recipe))
        with self._environment(recipe, login) as (env, folder):
            image = folder / "image"
            words = [buildx, *command(recipe, args, tag, image)]
            last: deque[str] = deque(maxlen=12)
            explanation = "ended without an image"
            for raw in self._lines(words, env, recipe.folder):
                line = clean(masked(raw.decode("utf-8", errors="replace"), hidden), 2000).rstrip()
                if not line:
                    continue
                log(line)
                if output := OUTPUT.fullmatch(line):
                    last.append(output[1])
                elif line.startswith("ERROR: "):
                    explanation = f"failed: {one_line(line.removeprefix('ERROR: ').removeprefix('failed to solve: '))}"
            try:
                return image.read_text().strip()
            except OSError:
                raise BuildFailed(explanation, last) from None

    def stop(self) -> None:
        """End the build: the engine ends its part when nobody listens any more."""
        if self._process is not None:
            with contextlib.suppress(OSError):
                self._process.terminate()

    def _lines(self, words: list[str], env: dict[str, str], folder: Path) -> Iterator[bytes]:
        """What a command says, line by line; it ends with whoever reads it."""
        try:
            process = subprocess.Popen(
                words, env=env, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
        except OSError as error:
            raise PlatformError(
                f"Docker's buildx could not be run on this worker: {one_line(error.strerror)}."
            ) from None
        self._process = process
        try:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            yield from iter(lambda: process.stdout.readline(LINE_BYTES), b"")  # type: ignore[union-attr]
            process.wait()
        finally:
            self._process = None
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(SECONDS_TO_END)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            if process.stdout is not None:
                process.stdout.close()

    @contextmanager
    def _environment(self, recipe: Recipe, login: RegistryLogin | None) -> Iterator[tuple[dict[str, str], Path]]:
        """Variables for buildx, and a folder that is gone afterwards: credentials and secrets stand in no argument."""
        with tempfile.TemporaryDirectory(prefix="release-") as name:
            folder = Path(name)
            env = {key: value for key, value in os.environ.items() if KEPT.fullmatch(key)}
            env |= {
                "DOCKER_HOST": re.sub(r"^https?://", "tcp://", self.host.replace("http+unix://", "unix://")),
                "DOCKER_CONFIG": name,
                "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they would make the tag an index of several manifests
                "NO_COLOR": "1",
            }
            for number, secret in enumerate(recipe.secrets.values()):
                if secret.path is None:
                    env[_variable(number)] = secret.value or ""
            if self.tls:
                env |= {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": name}
                for key in ("ca", "cert", "key"):
                    if self.tls.get(key):
                        (folder / f"{key}.pem").symlink_to(Path(self.tls[key]).absolute())
            config = folder / "config.json"
            config.touch(mode=0o600)
            config.write_text(json.dumps(_logins(login)))
            yield env, folder


def _logins(login: RegistryLogin | None) -> dict[str, Any]:
    """Docker's configuration: the logins of whoever runs the worker, and the connection's."""
    path = Path(os.environ.get("DOCKER_CONFIG") or "~/.docker").expanduser() / "config.json"
    try:
        known = json.loads(path.read_text())
    except (OSError, ValueError):
        known = {}
    config: dict[str, Any] = {
        key: known[key] for key in ("auths", "credsStore", "credHelpers", "proxies") if key in known
    }
    if login:
        host = DOCKER_HUB if login.host in ("docker.io", "index.docker.io") else login.host
        auth = base64.b64encode(f"{login.user}:{login.password}".encode()).decode()
        config["auths"] = {**config.get("auths", {}), host: {"auth": auth}}
        config["credHelpers"] = {**config.get("credHelpers", {}), host: ""}  # or a store of the worker's would be asked
    return config


def _values(recipe: Recipe) -> Iterator[str]:
    """The secrets themselves, for what must not be said."""
    for secret in recipe.secrets.values():
        if secret.path is None:
            yield secret.value or ""
            continue
        with contextlib.suppress(OSError):
            yield Path(secret.path).read_text(errors="replace")


def _variable(number: int) -> str:
    return f"RELEASE_PIPELINES_SECRET_{number}"
