"""From a version to a digest: checkout, tests, image; or an image that was built elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.source import repository_misfit, without_login
from release_pipelines.core.templates import field, passed, text
from release_pipelines.features.build.spec import BuildSpec, ImageTag
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Mistake, Problem, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class BuildFeature(Feature):
    """The key ``build``. Without it the digest behind the version's tag is resolved."""

    app_keys = {
        "build": Key(BuildSpec | None),
        "image_tag": Key(
            ImageTag | None,
            description="How versions are tagged in the registry, like `release-{version}`; default: as the version, also after a `v`",
        ),
    }

    def mistakes(self, spec: ReleaseSpec) -> Iterable[Mistake]:
        first, build = spec.environments[0], build_of(spec)
        if build and (expected := repository_misfit(build.repository)):
            yield Mistake("build.repository", f"`{without_login(build.repository)}`", expected)
        if build and build.builder:
            from release_pipelines.features.build.remote import remote_mistakes

            yield from remote_mistakes(spec, build)
        elif build and not first.connections.engine:
            yield Mistake(
                "build",
                f"no engine in {first.name}.yaml",
                f"`connections.engine` in {first.name}.yaml, which builds the image",
            )

    def before_build(self, spec: ReleaseSpec, version: str) -> Iterator[Problem]:
        """Whether there is a commit of the version, and an engine that can build it."""
        from release_pipelines.features.build.operators.obstacles import obstacles

        build = build_of(spec)
        return map(Problem, obstacles(spec, build, version) if build else ())

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment is not None:
            return
        build = build_of(spec)
        if build is None:
            tag = {"Image": text("build.resolve_digest", "source")}
            yield FeatureTask("resolve_digest", Slot.SOURCE, _resolve_digest, group="build", evidence=tag)
            return
        # Commit and push stand outside of the groups: a group that another one leads back into is drawn after it.
        built_from = {"Built from": text("resolve_commit", "source")}
        yield FeatureTask("resolve_commit", Slot.SOURCE, _resolve_commit, evidence=built_from)
        if build.test_target:
            evidence = {"App's tests": passed("build.test")}
            yield FeatureTask("test", Slot.BUILD, _test, group="build", evidence=evidence, optional=True)
        yield FeatureTask("build_image", Slot.BUILD, _build_image, group="build", order=1)
        facts = {"Changes since": field("resolve_commit", "changes")}
        yield FeatureTask("push_image", Slot.PUBLISH, _push, facts=facts)


def build_of(spec: ReleaseSpec) -> BuildSpec | None:
    """What the app's file says under ``build``."""
    return spec.app.part("build", BuildSpec)


def _image(spec: ReleaseSpec) -> str:
    return spec.app.image or spec.app.name


def _image_tag(spec: ReleaseSpec) -> str | None:
    return spec.app.part("image_tag", str)


def _resolve_digest(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.build.operators import ResolveDigestOperator

    return ResolveDigestOperator(
        task_id=task_id,
        app=scene.spec.app.name,
        image=_image(scene.spec),
        version=scene.version,
        registry_conn_id=scene.spec.environments[0].connections.registry,
        image_tag=_image_tag(scene.spec),
        digest="{{ (dag_run.conf or {}).get('digest') or '' }}",
    )


def _source(build: BuildSpec) -> dict[str, Any]:
    return {"repository": build.repository, "git_conn_id": build.git_connection}


def _resolve_commit(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.build.operators import ResolveCommitOperator

    build = build_of(scene.spec)
    assert build is not None  # noqa: S101 - the task exists only with it
    preflight = scene.id_of(Slot.PREFLIGHT)
    running = f"{{{{ ((ti.xcom_pull(task_ids='{preflight}') or {{}}).get('before') or {{}}).get('commit') or '' }}}}"
    return ResolveCommitOperator(
        task_id=task_id,
        version=scene.version,
        since=running,
        release=scene.release,
        context=build.context,
        branch=build.branch,
        tag=build.tag,
        app=scene.spec.app.name,
        version_scheme=scene.spec.app.version_scheme,
        **_source(build),
    )


def _on_engine(scene: Scene) -> tuple[BuildSpec, dict[str, Any]]:
    """What building and testing have in common."""
    build, connections = build_of(scene.spec), scene.spec.environments[0].connections
    assert build is not None  # noqa: S101 - the task exists only with it
    return build, {
        "image": _image(scene.spec),
        "version": scene.version,
        "commit": field("resolve_commit", "commit"),
        "context": build.context,
        "dockerfile": build.dockerfile,
        "args": build.args,
        "secrets": {name: it.model_dump(exclude_none=True) for name, it in build.secrets.items()},
        "app": scene.spec.app.name,
        "image_tag": _image_tag(scene.spec),
        "engine_conn_id": connections.engine,
        "registry_conn_id": connections.registry,
        "timeout": build.timeout,
        **_source(build),
    }


def _test(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.build.operators import ImageTestOperator

    build, engine = _on_engine(scene)
    if build.builder:
        return _elsewhere(task_id, scene, build, target=build.test_target, pushes=False)
    return ImageTestOperator(task_id=task_id, target=build.test_target, **engine)


def _build_image(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.build.operators import ImageBuildOperator

    build, engine = _on_engine(scene)
    if build.builder:
        return _elsewhere(task_id, scene, build, target=build.target)
    return ImageBuildOperator(task_id=task_id, target=build.target, **engine, **_publication(build))


def _publication(build: BuildSpec) -> dict[str, Any]:
    return {
        "platforms": build.platforms,
        "cache": build.cache,
        "provenance": build.provenance,
        "reproducible": build.reproducible,
    }


def _elsewhere(task_id: str, scene: Scene, build: BuildSpec, **more: Any) -> Any:
    from release_pipelines.features.build.operators import RemoteImageBuildOperator

    builder, connections = build.builder, scene.spec.environments[0].connections
    assert builder is not None  # noqa: S101 - or it is not elsewhere
    return RemoteImageBuildOperator(
        task_id=task_id,
        kind=builder.kind,
        builder_conn_id=builder.connection or connections.engine or "",
        settings=builder.settings,
        commit=field("resolve_commit", "commit"),
        ref=field("resolve_commit", "ref"),
        image=_image(scene.spec),
        version=scene.version,
        registry_conn_id=connections.registry,
        context=build.context,
        dockerfile=build.dockerfile,
        args=build.args,
        image_tag=_image_tag(scene.spec),
        app=scene.spec.app.name,
        timeout=build.timeout,
        **_publication(build),
        **_source(build),
        **more,
    )


def _push(task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.build.operators import ImagePushOperator

    build, connections = build_of(scene.spec), scene.spec.environments[0].connections
    assert build is not None  # noqa: S101 - the task exists only with it
    return ImagePushOperator(
        task_id=task_id,
        app=scene.spec.app.name,
        image=_image(scene.spec),
        version=scene.version,
        commit=field("resolve_commit", "commit"),
        engine_conn_id=connections.engine or "",
        registry_conn_id=connections.registry,
        image_tag=_image_tag(scene.spec),
        digest=field("build.build_image", "digest"),
        tagged=build.builder is not None,
        tags=list(build.tags),
    )


FEATURE = BuildFeature()
