"""SBOMs of images and of source code."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.images import fetched
from release_pipelines.airflow.operator import RUN, ReleaseOperator
from release_pipelines.core.errors import PlatformError

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.sbom import Sbom

CYCLONEDX, SPDX = "application/vnd.cyclonedx+json", "application/spdx+json"


class Made(NamedTuple):
    """An SBOM, and of which platform's image it is; None: of source code."""

    sbom: Sbom
    platform: str | None


class SbomOperator(ReleaseOperator):
    """List what an image, or source code, is made of, as CycloneDX and SPDX documents (Syft makes them).

    They are texts of the release where the history knows it: ``sbom.cdx.json`` and ``sbom.spdx.json``; of an image of several
    platforms ``sbom-linux-arm64.cdx.json`` and so on.

    :param image: repository of the image, with or without the registry's host.
    :param digest: digest of the image, or of its index; each platform has its own SBOM.
    :param registry_conn_id: where the image is.
    :param repository: instead of ``image``: a Git URL, or a folder that is a Git repository.
    :param commit: full hash of what is listed.
    :param context: folder inside the repository.
    :param git_conn_id: connection with the credentials of a private repository.
    :param release: the release's id.
    :param folder: where the documents are written, too.
    :return: ``{"sentence", "kept", "sboms"}``: where they are kept (names in the release, paths of files), and for each
        ``{"platform", "digest", "components", "unread"}``. Fails when nothing could be identified, or nothing keeps them.

    Templated: ``image``, ``digest``, ``repository``, ``commit``, ``release``, ``folder``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("image", "digest", "repository", "commit", "release", "folder")

    def __init__(
        self,
        *,
        image: str | None = None,
        digest: str | None = None,
        registry_conn_id: str = "registry",
        repository: str | None = None,
        commit: str | None = None,
        context: str = ".",
        git_conn_id: str | None = None,
        release: str = RUN,
        folder: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        if (image is None) == (repository is None):
            raise ValueError("Either `image` with `digest`, or `repository` with `commit`, is expected.")
        if (digest is None) if image is not None else (commit is None):
            raise ValueError(f"`{'digest' if image is not None else 'commit'}` is missing: it says what is listed.")
        self.image = image
        self.digest = digest
        self.registry_conn_id = registry_conn_id
        self.repository = repository
        self.commit = commit
        self.context = context
        self.git_conn_id = git_conn_id
        self.release = release
        self.folder = folder

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.adapters.sbom import NotIdentified

        try:
            made = list(self._of_image() if self.image is not None else self._of_source())
        except NotIdentified as error:
            raise PlatformError(f"The SBOM is unknown: {error}.") from error
        documents = dict(_documents(made))
        kept = [*self._attached(documents), *self._written(documents)]
        if not kept:
            raise PlatformError(
                f"Nothing keeps the SBOM: the history knows no release {self.release}, and no `folder` is named."
            )
        unread = [path for it in made for path in it.sbom.unread]
        more = f"; {len(unread)} could not be read, like {unread[0]}" if unread else ""
        sentence = f"It is made of {_counted(made)}{more}."
        self.log.info("%s It is kept as %s.", sentence, ", ".join(kept))
        return {
            "sentence": sentence,
            "kept": kept,
            "sboms": [
                {
                    "platform": it.platform,
                    "digest": it.sbom.subject,
                    "components": len(it.sbom.components),
                    "unread": it.sbom.unread,
                }
                for it in made
            ],
        }

    def _of_image(self) -> Iterator[Made]:
        from release_pipelines.adapters.sbom import of_image

        assert self.image is not None and self.digest is not None  # noqa: S101, PT018 - the constructor has looked
        for layout, it in fetched(self.registry_conn_id, self.image, self.digest):
            yield Made(of_image(layout, self.image, it.digest), it.platform)

    def _of_source(self) -> Iterator[Made]:
        from release_pipelines.adapters.git import folder_inside
        from release_pipelines.adapters.sbom import of_source

        assert self.repository is not None and self.commit is not None  # noqa: S101, PT018 - the constructor has looked
        name = self.repository.rstrip("/").rpartition("/")[2].removesuffix(".git")
        with GitHook(self.repository, self.git_conn_id).checkout(self.commit, self.context, lfs=False) as source:
            yield Made(of_source(folder_inside(source, self.context), name, self.commit), None)

    def _attached(self, documents: dict[str, tuple[str, str]]) -> list[str]:
        """Names under which the release has them; none where the history knows no such release."""
        from release_pipelines.adapters.history import UnknownRelease

        history = HistoryHook().history()
        try:
            for name, (media_type, content) in documents.items():
                history.attach(self.release, name, media_type, content)
        except UnknownRelease:
            return []
        return list(documents)

    def _written(self, documents: dict[str, tuple[str, str]]) -> list[str]:
        if not self.folder:
            return []
        folder = Path(self.folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for name, (_, content) in documents.items():
                (folder / name).write_text(content, encoding="utf-8")
        except OSError as error:
            raise PlatformError(f"The SBOM cannot be written to {folder}: {error.strerror}.") from error
        return [str(folder / name) for name in documents]


def _counted(made: list[Made]) -> str:
    counts = [len(it.sbom.components) for it in made]
    words = [f"{count} package{'s' if count != 1 else ''}" for count in counts]
    if len(made) == 1:
        return words[0]
    return " and ".join(f"{count} on {it.platform}" for count, it in zip(words, made, strict=True))


def _documents(made: list[Made]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Names of documents to their media types and texts."""
    for it in made:
        mark = f"-{it.platform.replace('/', '-')}" if it.platform and len(made) > 1 else ""
        yield f"sbom{mark}.cdx.json", (CYCLONEDX, it.sbom.cyclonedx)
        yield f"sbom{mark}.spdx.json", (SPDX, it.sbom.spdx)
