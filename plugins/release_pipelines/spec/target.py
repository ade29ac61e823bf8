"""From what a team wrote to the target that a release works with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines.core.model.target import Target

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


def target(spec: ReleaseSpec, environment: str) -> Target:
    """One app in one environment: names filled in, replicas and variables of the environment merged.

    :param environment: name of one of the release's environments.
    :raises KeyError: when the app does not go there.
    """
    app, where = spec.app, spec.environment(environment)
    differs = next(it for it in app.environments if it.name == environment)
    workload = app.workloads[0]
    workload = workload.model_copy(
        update={
            "name": workload.name or app.name,
            "env": {**workload.env, **differs.env},
            **({"replicas": differs.replicas} if differs.replicas else {}),
        }
    )

    def filled(text: str | None) -> str | None:
        return text and text.replace("{app}", app.name).replace("{namespace}", where.namespace)

    target = Target(
        app=app.name,
        environment=environment,
        platform=where.platform,
        platform_connection=where.connections.platform,
        registry_connection=where.connections.registry,
        prometheus_connection=where.connections.prometheus,
        namespace=where.namespace,
        workload=workload,
        router=where.router.model_copy(update={"route": filled(where.router.route) or app.name}),
        url=filled(where.address.url) or "",
        host=filled(where.address.host),
        preview_host=filled(where.address.preview or (where.address.host and f"preview.{where.address.host}")),
        settles_within=where.address.settles_within,
        version_header=app.version_header,
    )
    return app.strategy.strategy.adapt(app.strategy.chosen, target)
