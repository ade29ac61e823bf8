"""From a commit to an image by a builder elsewhere: Amazon CodeBuild, a Job of Kubernetes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.hooks.remote_builder import RemoteBuilderHook
from release_pipelines.airflow.loop import run
from release_pipelines.airflow.operator import ReleaseOperator, checked_event, explained
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.tags import tags_of
from release_pipelines.features.build.operators._publication import epoch_of, prepared, publication_of
from release_pipelines.features.build.operators._tries import TRY_AGAIN
from release_pipelines.features.build.triggers import RemoteBuildTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.ports.registry import Registry
    from release_pipelines.core.ports.remote_builder import Order


class RemoteImageBuildOperator(ReleaseOperator):
    """Build an image from a commit by a builder that fetches the commit itself, and pushes the image. Deferred: holds no worker slot.

    What counts is the digest that the build itself says it pushed. It is compared with what the tag names in the registry afterwards, and
    the image's label with the commit: a tag that was there before, a build of another commit, or one that only looks as if it had succeeded
    gives no digest.

    :param kind: ``codebuild`` (a project that exports the digest), ``kubernetes_job``, or one of another package.
    :param builder_conn_id: connection of type ``aws``, or ``kubernetes``.
    :param settings: what this kind has to know: ``{"project": …}``, or ``{"image": …, "namespace": …}``.
    :param repository: the repository's address. Its credentials are the builder's own.
    :param commit: full hash of what is built.
    :param ref: the branch or tag that it was found by.
    :param image: repository in the registry, with or without the registry's host.
    :param version: becomes the image's tag, unless ``image_tag`` says otherwise.
    :param registry_conn_id: the registry.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param target: stage to build; None: the last one.
    :param args: build arguments.
    :param labels: further labels.
    :param image_tag: template of the image's tag, like ``release-{version}``; None: the version.
    :param app: the app's name, for ``image_tag``.
    :param pushes: False: nothing is pushed, as for a stage that runs the app's tests.
    :param platforms: like ``linux/arm64``: the image is an index of one image for each.
    :param cache: ``registry``: steps are kept in the registry; None: nowhere.
    :param provenance: whether the builder attests how the image was built.
    :param reproducible: whether the commit's time stands for all times in the image.
    :param timeout: seconds that the build may take.
    :param git_conn_id: connection by which this worker reads the commit's time, where ``reproducible`` asks for it.
    :return: ``{"image", "tag", "id", "digest"}``; ``id`` is what the build is called there.

    Templated: ``repository``, ``commit``, ``ref``, ``image``, ``version``, ``args``, ``settings``.
    XCom: return value; ``build``, what it is called while it runs; ``reason`` when it fails.
    """

    template_fields = ("repository", "commit", "ref", "image", "version", "args", "settings")

    def __init__(
        self,
        *,
        kind: str,
        builder_conn_id: str,
        repository: str,
        commit: str,
        image: str,
        version: str,
        registry_conn_id: str,
        settings: dict[str, Any] | None = None,
        ref: str = "",
        context: str = ".",
        dockerfile: str = "Dockerfile",
        target: str | None = None,
        args: dict[str, str] | None = None,
        labels: dict[str, str] | None = None,
        image_tag: str | None = None,
        app: str | None = None,
        pushes: bool = True,
        platforms: list[str] | None = None,
        cache: str | None = None,
        provenance: bool = False,
        reproducible: bool = False,
        timeout: float = 1800,
        git_conn_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{**TRY_AGAIN, **kwargs})
        self.kind = kind
        self.builder_conn_id = builder_conn_id
        self.settings = settings or {}
        self.repository = repository
        self.commit = commit
        self.ref = ref
        self.image = image
        self.version = version
        self.registry_conn_id = registry_conn_id
        self.context = context
        self.dockerfile = dockerfile
        self.target = target
        self.args = args or {}
        self.labels = labels or {}
        self.image_tag = image_tag
        self.app = app
        self.pushes = pushes
        self.platforms = platforms or []
        self.cache = cache
        self.provenance = provenance
        self.reproducible = reproducible
        self.timeout = timeout
        self.git_conn_id = git_conn_id

    def work(self, context: Context) -> None:
        from release_pipelines.core.ports.remote_builder import REMOTE_BUILDERS

        registry = RegistryHook(self.registry_conn_id).get_conn()
        hook = RemoteBuilderHook(self.kind, self.builder_conn_id, self.settings)
        opened = hook.builder()
        order = self._order(context, registry)
        if sentence := REMOTE_BUILDERS.get(self.kind).cannot(order, self.settings):
            raise PlatformError(sentence)
        before = None
        if self.pushes:
            prepared(registry, self.image)
            before = registry.digest_of(self.image, self._tag)

        async def start() -> str:
            async with opened as builder:
                return await builder.start(order)

        build = run(start())
        self.log.info("Started %s by %s: it builds commit %s.", build, self.kind, self.commit)
        context["ti"].xcom_push("build", build)
        self.defer(
            trigger=RemoteBuildTrigger(
                kind=self.kind,
                builder_conn_id=self.builder_conn_id,
                settings=self.settings,
                build=build,
                until=time.time() + self.timeout,
            ),
            method_name="ended",
            kwargs={"build": build, "before": before},
        )

    def ended(
        self, context: Context, event: dict[str, Any], build: str = "", before: str | None = None
    ) -> dict[str, str]:
        """The build has ended: what it says is compared with the registry."""
        from release_pipelines.core.built import check_built

        with explained(context):
            said = checked_event(event).get("digest")
            registry = RegistryHook(self.registry_conn_id).get_conn()
            name = registry.repository(self.image)
            found = {"image": name, "tag": self._tag, "id": build}
            if not self.pushes:
                return found
            if not said:
                raise PlatformError(f"The build {build} does not say which digest it pushed.")
            digest = check_built(
                registry, self.image, self._tag, said, self.commit, before=before, says=f"The build {build}"
            )
            if before == digest:
                self.log.warning("%s:%s was %s before the build began, of the same commit.", name, self._tag, digest)
            return {**found, "digest": digest}

    @property
    def _tag(self) -> str:
        return tags_of([self.image_tag or "{version}"], self.version, self.app)[0]

    def _order(self, context: Context, registry: Registry) -> Order:
        from release_pipelines.core.ports.builder import REVISION, VERSION
        from release_pipelines.core.ports.remote_builder import Order

        ti: Any = context["ti"]
        publication = publication_of(
            registry.repository(self.image),
            registry,
            platforms=self.platforms,
            cache=self.cache if self.pushes else None,
            provenance=self.provenance and self.pushes,
            epoch=self._epoch() if self.reproducible else None,
        )
        return Order(
            key="/".join(
                str(it) for it in (ti.dag_id, ti.run_id, ti.task_id, ti.map_index, ti.try_number, self.commit)
            ),
            repository=self.repository,
            commit=self.commit,
            ref=self.ref,
            publication=publication,
            tag=self._tag if self.pushes else None,
            version=self.version,
            context=self.context,
            dockerfile=self.dockerfile,
            target=self.target,
            args=self.args,
            labels={REVISION: self.commit, VERSION: self.version, **self.labels},
            timeout=self.timeout,
        )

    def _epoch(self) -> int:
        """The commit's time, which this worker reads from the repository."""
        git = GitHook(self.repository, self.git_conn_id).get_conn()
        with git.checkout(self.commit, lfs=False) as folder:
            return epoch_of(git.commit_time(folder))
