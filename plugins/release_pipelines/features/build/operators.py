"""From a version to a digest: find the commit, test and build the image, push it; or look up an image that exists."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowTaskTimeout

from release_pipelines.airflow.hooks.engine import EngineHook, engine_errors, engine_failure, is_podman
from release_pipelines.airflow.hooks.git import Found, GitHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.operator import ReleaseOperator
from release_pipelines.core.errors import Forbidden, PlatformError
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json

if TYPE_CHECKING:
    from airflow.sdk import Context

TRY_AGAIN = {"retries": 3, "retry_delay": timedelta(seconds=10)}
"""For what depends on services that may be away for a moment. What is refused fails at once all the same."""

LAST_LINES = 12
DIGEST = re.compile(r"digest: (sha256:[0-9a-f]{64})")
REVISION = "org.opencontainers.image.revision"
VERSION = "org.opencontainers.image.version"
CREATED = "org.opencontainers.image.created"


class ResolveCommitOperator(ReleaseOperator):
    """Find the commit that a version is built from.

    :param repository: a Git URL, or a folder that is a Git repository.
    :param branch: its newest commit is taken when the version has no tag (``v1.2.3`` or ``1.2.3``).
    :param version: the version; a commit's hash is taken as such.
    :param since: the commit that runs now, if it is known.
    :param git_conn_id: connection with the credentials of a private repository.
    :return: ``{"commit", "ref", "version", "changes"}``; ``changes`` lists the commits since ``since``, for people.
    """

    template_fields = ("repository", "branch", "version", "since")

    def __init__(
        self,
        *,
        repository: str,
        branch: str = "main",
        version: str,
        since: str = "",
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.repository = repository
        self.branch = branch
        self.version = version
        self.since = since
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> dict[str, str]:
        git = GitHook(self.repository, self.git_conn_id)
        found = git.resolve(self.version, self.branch)
        self.log.info("%s is %s (%s).", self.version, found.commit, found.ref)
        return {"commit": found.commit, "ref": found.ref, "version": self.version, "changes": self._changes(git, found)}

    def _changes(self, git: GitHook, found: Found) -> str:
        """The commits since the one that runs; a history that was rewritten is no reason to stop."""
        if not self.since:
            return ""
        try:
            return "\n".join(git.changes(self.since, found.commit)) or "none"
        except PlatformError as error:
            self.log.warning("The changes since %s cannot be listed: %s", self.since, error)
            return ""


class ImageBuildOperator(ReleaseOperator):
    """Build an image from a commit on a container engine; its log lines are the task's.

    Layers that the engine has are used again, but by Podman only where ``args`` is empty. Labels name the commit, the version, and when the commit was made.

    :param repository: a Git URL, or a folder that is a Git repository.
    :param commit: full hash of what is built.
    :param image: repository in the registry, with or without the registry's host.
    :param version: becomes the image's tag.
    :param engine_conn_id: the engine; extra ``build_args`` of its connection go into every build.
    :param registry_conn_id: the registry whose host the image's name begins with; also where base images come from.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param target: stage to build; None: the last one.
    :param args: build arguments, over those of the connection.
    :param labels: further labels.
    :param timeout: seconds that the build may take.
    :param git_conn_id: connection with the credentials of a private repository.
    :return: ``{"image", "tag", "id"}``.
    """

    template_fields = ("repository", "commit", "image", "version", "args")
    keeps = True

    def __init__(
        self,
        *,
        repository: str,
        commit: str,
        image: str,
        version: str,
        engine_conn_id: str,
        registry_conn_id: str | None = None,
        context: str = ".",
        dockerfile: str = "Dockerfile",
        target: str | None = None,
        args: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        timeout: float = 1800,
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, "execution_timeout": timedelta(seconds=timeout), **kwargs})
        self.repository = repository
        self.commit = commit
        self.image = image
        self.version = version
        self.engine_conn_id = engine_conn_id
        self.registry_conn_id = registry_conn_id
        self.context = context
        self.dockerfile = dockerfile
        self.target = target
        self.args = args or {}
        self.labels = labels or {}
        self.timeout = timeout
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> dict[str, str]:
        registry = RegistryHook(self.registry_conn_id) if self.registry_conn_id else None
        name = registry.repository(self.image) if registry else self.image
        git = GitHook(self.repository, self.git_conn_id)
        try:
            with git.checkout(self.commit) as source:
                folder = folder_inside(source, self.context, self.dockerfile)
                found = self._build(f"{name}:{self.version}", folder, git.commit_time(source), registry)
        except AirflowTaskTimeout:
            raise PlatformError(
                f"{self._what(name)} took longer than {self.timeout:g} s: see the last lines of its log, "
                "or give it more time with `build.timeout`."
            ) from None
        self.log.info("Built %s:%s, %s.", name, self.version, found)
        return {"image": name, "tag": self.version, "id": found}

    def _what(self, name: str) -> str:
        return f"Building {name}:{self.version}"

    def _build(self, tag: str, folder: Path, created: str, registry: RegistryHook | None) -> str:
        engine = EngineHook(self.engine_conn_id)
        client = engine.get_conn(timeout=self.timeout)
        what = self._what(tag.rpartition(":")[0])
        labels = {REVISION: self.commit, VERSION: self.version, CREATED: created, **self.labels}
        with engine_errors(what):
            if registry and registry.auth:
                client.login(registry.auth[0], registry.auth[1], registry=registry.host)
            lines = client.build(
                path=str(folder),
                dockerfile=self.dockerfile,
                tag=tag if self.keeps else None,
                target=self.target or "",
                buildargs={**engine.build_args, **self.args},
                labels=labels,
                timeout=self.timeout,
                nocache=bool(self.args) and is_podman(client),
                rm=True,
                forcerm=True,
                decode=True,
            )
            return self._follow(lines, what)

    def _follow(self, lines: Iterable[dict[str, Any]], what: str) -> str:
        """Log what the engine says, and give the image's id.

        :raises PlatformError: with the log's last lines, when the build failed.
        """
        last: deque[str] = deque(maxlen=LAST_LINES)
        found = ""
        for line in lines:
            if "error" in line:
                raise engine_failure(what, f"failed: {line['error'].strip().rstrip('.')}", last)
            found = (line.get("aux") or {}).get("ID") or found
            for text in line.get("stream", "").splitlines():
                if text.strip():
                    last.append(text.rstrip())
                    self.log.info("%s", text.rstrip())
        if not found:
            raise engine_failure(what, "ended without an image", last)
        return found


class ImageTestOperator(ImageBuildOperator):
    """Run an app's tests by building the stage that runs them; nothing is kept but the layers.

    Takes the arguments of :class:`ImageBuildOperator`; ``target`` is the stage of the tests.
    """

    keeps = False

    def _what(self, name: str) -> str:
        return f"The tests of {name}:{self.version} (stage {self.target})"


class ImagePushOperator(ReleaseOperator):
    """Push a built image and find out its digest, from the engine and from the registry itself.

    :param app: the app's name.
    :param image: repository in the registry, with or without the registry's host.
    :param version: the tag.
    :param commit: the commit that the image must have been built from.
    :param engine_conn_id: the engine that built it.
    :param registry_conn_id: where it goes.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.
    """

    template_fields = ("image", "version", "commit")

    def __init__(
        self,
        *,
        app: str,
        image: str,
        version: str,
        commit: str | None = None,
        engine_conn_id: str,
        registry_conn_id: str,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.app = app
        self.image = image
        self.version = version
        self.commit = commit
        self.engine_conn_id = engine_conn_id
        self.registry_conn_id = registry_conn_id

    def work(self, context: Context) -> dict[str, Any]:
        registry = RegistryHook(self.registry_conn_id)
        name = registry.repository(self.image)
        said = self._push(name, registry)
        digest = registry.digest_of(self.image, self.version)
        if digest is None or (said and said != digest):
            raise PlatformError(
                f"{name}:{self.version} was pushed as {said or 'an unknown digest'}, but the registry has "
                f"{digest or 'no such tag'}: does somebody else push this version?"
            )
        self.log.info("Pushed %s:%s as %s.", name, self.version, digest)
        return to_json(
            Artifact(app=self.app, version=self.version, image=name, digest=digest, commit=self.commit or None)
        )

    def _push(self, name: str, registry: RegistryHook) -> str | None:
        from docker.errors import ImageNotFound

        what = f"Pushing {name}:{self.version}"
        client = EngineHook(self.engine_conn_id).get_conn(timeout=600)
        auth = {"username": registry.auth[0], "password": registry.auth[1]} if registry.auth else None
        with engine_errors(what):
            try:
                labels = client.inspect_image(f"{name}:{self.version}")["Config"].get("Labels") or {}
            except ImageNotFound:
                raise PlatformError(
                    f"The engine has no image {name}:{self.version}: it was removed, build it again."
                ) from None
            if self.commit and labels.get(REVISION) != self.commit:
                raise PlatformError(
                    f"{name}:{self.version} on the engine was built from commit {labels.get(REVISION) or 'unknown'}, "
                    f"not from {self.commit}: another build has taken its place, build it again."
                )
            return self._follow(client.push(name, tag=self.version, auth_config=auth, stream=True, decode=True), what)

    def _follow(self, lines: Iterable[dict[str, Any]], what: str) -> str | None:
        """Log what the engine says, and give the digest that it names."""
        digest: str | None = None
        told: dict[str | None, str] = {}
        for line in lines:
            if "error" in line or "errorDetail" in line:
                said = str((line.get("errorDetail") or {}).get("message") or line.get("error")).strip().rstrip(".")
                if any(
                    word in said.lower() for word in ("denied", "unauthorized", "authentication required", "forbidden")
                ):
                    raise Forbidden(f"{what}: the registry refuses these credentials: {said}.")
                raise engine_failure(what, f"failed: {said}")
            status, layer = line.get("status") or "", line.get("id")
            match = DIGEST.search(status)
            digest = (line.get("aux") or {}).get("Digest") or (match and match.group(1)) or digest
            if status and told.get(layer) != status:
                told[layer] = status
                self.log.info("%s", f"{layer}: {status}" if layer else status)
        return digest


class ResolveDigestOperator(ReleaseOperator):
    """Find the digest of an image that was built elsewhere.

    :param app: the app's name.
    :param image: repository in the registry, with or without the registry's host.
    :param version: the tag.
    :param registry_conn_id: the registry.
    :return: the :class:`~release_pipelines.core.model.artifact.Artifact` as a dict.
    """

    template_fields = ("image", "version")

    def __init__(self, *, app: str, image: str, version: str, registry_conn_id: str, **kwargs: Any) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.app = app
        self.image = image
        self.version = version
        self.registry_conn_id = registry_conn_id

    def work(self, context: Context) -> dict[str, Any]:
        registry = RegistryHook(self.registry_conn_id)
        name = registry.repository(self.image)
        digest = registry.digest_of(self.image, self.version)
        if digest is None:
            raise PlatformError(f"The registry has no image {name}:{self.version}: push it, or name another version.")
        self.log.info("%s:%s is %s.", name, self.version, digest)
        return to_json(Artifact(app=self.app, version=self.version, image=name, digest=digest))


def folder_inside(source: Path, context: str, dockerfile: str | None = None) -> Path:
    """The folder ``context`` of a checkout.

    :raises ValueError: when it is outside, is not there, or has no such Dockerfile.
    """
    folder = (source / context).resolve()
    if not folder.is_relative_to(source.resolve()):
        raise ValueError(
            f"`build.context` is {context}, which is outside the repository: a folder inside it is expected."
        )
    if not folder.is_dir():
        raise ValueError(f"`build.context` is {context}, but this commit has no such folder.")
    if dockerfile and not (folder / dockerfile).is_file():
        raise ValueError(f"`build.dockerfile` is {dockerfile}, but this commit has no such file in {context}.")
    return folder
