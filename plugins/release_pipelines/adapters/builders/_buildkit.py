"""Builds by BuildKit, inside a Docker Engine or a daemon of its own: by Docker's buildx, because the Python client knows the classic builder only."""

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
from release_pipelines.core.ports.builder import Log, Publication, Recipe, RegistryLogin
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
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INSPECT = ("inspect", "--bootstrap")
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


def command(
    recipe: Recipe, args: Mapping[str, str], tag: str | None, image_file: Path, builder: str = "default"
) -> list[str]:
    """The arguments of buildx. Of secrets they hold only where each is found."""
    given = {
        "--builder": builder,
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
        options.append(f"--secret=id={name},{_quoted(where)}")
    return ["build", *options, f"--file={recipe.folder / recipe.dockerfile}", str(recipe.folder)]


def publishing(publication: Publication, metadata: Path, *, times: bool) -> list[str]:
    """The arguments of buildx for an image that is pushed at once, by its digest alone.

    :param metadata: the file in which the build says what it made.
    :param times: whether the builder can also change the times of the files in the image.
    """
    output = ["type=image", _quoted(f"name={publication.name}"), "push=true", "push-by-digest=true"]
    output += ["name-canonical=true", *_plain(publication)]
    options = [f"--metadata-file={metadata}"]
    if publication.platforms:
        options.append(f"--platform={','.join(publication.platforms)}")
    if publication.provenance:
        options.append("--attest=type=provenance,mode=min")
    if publication.epoch is not None:
        options.append(f"--build-arg=SOURCE_DATE_EPOCH={publication.epoch}")
        output += ["rewrite-timestamp=true"] if times else []
    if publication.cache:
        ref = ["type=registry", _quoted(f"ref={publication.cache}"), *_plain(publication)]
        # A cache that cannot be kept, where tags are immutable, is no reason to have no image.
        kept = [*ref, "mode=max", "image-manifest=true", "oci-mediatypes=true", "ignore-error=true"]
        options += [f"--cache-from={','.join(ref)}", f"--cache-to={','.join(kept)}"]
    return [*options, f"--output={','.join(output)}"]


def _plain(publication: Publication) -> list[str]:
    return ["registry.insecure=true"] if publication.insecure else []


def _quoted(field: str) -> str:
    """A field as buildx reads it, which is CSV."""
    return '"' + field.replace('"', '""') + '"'


class BuildKit:
    """One build.

    :param host: the address of the engine, or of the daemon.
    :param tls: paths of ``ca``, ``cert`` and ``key``; empty: no TLS.
    :param daemon: whether it is a BuildKit of its own, without an engine around it.
    """

    def __init__(self, host: str, tls: Mapping[str, str], *, daemon: bool = False) -> None:
        self.host = host
        self.tls = tls
        self.builder = "release" if daemon else "default"
        self.daemon = daemon
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
        """Build an image, and return its id: empty where a daemon keeps none.

        :raises BuildFailed: when there is none in the end.
        """
        with self._environment(recipe, login) as (env, folder):
            image = folder / "image"
            words = [buildx, *command(recipe, args, tag, image, self.builder)]
            self._create(buildx, env)
            explanation, last = self._run(words, env, recipe, log)
            try:
                return image.read_text().strip()
            except OSError:
                if self.daemon and explanation is None:
                    return ""
                raise BuildFailed(explanation or "ended without an image", last) from None

    def publish(
        self,
        buildx: str,
        recipe: Recipe,
        args: Mapping[str, str],
        publication: Publication,
        login: RegistryLogin | None,
        log: Log,
    ) -> str:
        """Build an image, push it, and return the digest that the build says it has.

        :raises BuildFailed: when there is none in the end.
        """
        with self._environment(recipe, login) as (env, folder):
            metadata = folder / "metadata.json"
            words = [buildx, *command(recipe, args, None, folder / "image", self.builder)]
            words[2:2] = publishing(publication, metadata, times=self.daemon)
            self._create(buildx, env)
            explanation, last = self._run(words, env, recipe, log)
            try:
                digest = json.loads(metadata.read_text()).get("containerimage.digest")
            except (OSError, ValueError, AttributeError):
                digest = None
            if explanation is None and isinstance(digest, str) and DIGEST.fullmatch(digest):
                return digest
            raise BuildFailed(explanation or "ended without a digest", last)

    def platforms(self, buildx: str) -> list[str]:
        """The platforms that it can run programs of, its own first.

        :raises BuildFailed: when it does not say.
        """
        with self._environment(Recipe(Path()), None) as (env, folder):
            self._create(buildx, env)
            lines = [
                it.decode(errors="replace").strip() for it in self._lines([buildx, *INSPECT, self.builder], env, folder)
            ]
        found = [line.partition(":")[2] for line in lines if line.startswith("Platforms:")]
        if not found:
            raise BuildFailed("does not say for which platforms it can build", [clean(it, 300) for it in lines[-6:]])
        return [it.strip().rstrip("*") for it in ",".join(found).split(",") if it.strip()]

    def _create(self, buildx: str, env: dict[str, str]) -> None:
        """Let buildx know a daemon: for this one build, in the folder that is gone after it."""
        if not self.daemon:
            return
        options = [f"--driver-opt={_quoted(f'{key}={Path(it).absolute()}')}" for key, it in self._certificates()]
        words = [buildx, "create", f"--name={self.builder}", "--driver=remote", *options, self.host]
        said = [
            clean(it.decode(errors="replace"), 300).strip()
            for it in self._lines(words, env, Path(env["DOCKER_CONFIG"]))
        ]
        if self._ended:
            raise BuildFailed(f"failed: {one_line(' '.join(said))}", [])

    def _certificates(self) -> Iterator[tuple[str, str]]:
        for key, name in (("cacert", "ca"), ("cert", "cert"), ("key", "key")):
            if self.tls.get(name):
                yield key, self.tls[name]

    def _run(self, words: list[str], env: dict[str, str], recipe: Recipe, log: Log) -> tuple[str | None, Iterable[str]]:
        """Log what a build says. Gives why it failed (None: it did not), and the last lines that its steps wrote."""
        hidden = list(_values(recipe))
        last: deque[str] = deque(maxlen=12)
        explanation: str | None = None
        for raw in self._lines(words, env, recipe.folder):
            line = clean(masked(raw.decode("utf-8", errors="replace"), hidden), 2000).rstrip()
            if not line:
                continue
            log(line)
            if output := OUTPUT.fullmatch(line):
                last.append(output[1])
            elif line.startswith("ERROR: "):
                explanation = f"failed: {one_line(line.removeprefix('ERROR: ').removeprefix('failed to solve: '))}"
        if not self._ended:
            return None, last
        return explanation or "ended without an image", last

    _ended = 0
    """The exit code of the command that ended last."""

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
            self._ended = process.wait()
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
                "DOCKER_CONFIG": name,
                "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",  # they would make the tag an index of several manifests
                "NO_COLOR": "1",
            }
            for number, secret in enumerate(recipe.secrets.values()):
                if secret.path is None:
                    env[_variable(number)] = secret.value or ""
            if not self.daemon:
                env["DOCKER_HOST"] = re.sub(r"^https?://", "tcp://", self.host.replace("http+unix://", "unix://"))
            if self.tls and not self.daemon:
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
