"""What an app's file asks of a builder elsewhere, and what of it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from release_pipelines.core.model.source import without_login
from release_pipelines.core.ports.builder import Publication
from release_pipelines.core.ports.remote_builder import REMOTE_BUILDERS, Order
from release_pipelines.features.build.spec import BuildSpec
from release_pipelines.spec.feature import Mistake

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


def remote_mistakes(spec: ReleaseSpec, build: BuildSpec) -> Iterator[Mistake]:
    """What of the file does not fit a builder elsewhere."""
    builder, first = build.builder, spec.environments[0]
    assert builder is not None  # noqa: S101 - asked only where there is one
    if not builder.connection and not first.connections.engine:
        yield Mistake(
            "build.builder", "no connection", "`connection`, the Airflow connection that leads to the builder"
        )
    if build.secrets:
        yield Mistake(
            "build.secrets", f"secrets with the builder `{builder.kind}`", "none: it reads its own, where it is"
        )
    kind = REMOTE_BUILDERS.get(builder.kind)
    if expected := kind.misfit(builder.settings):
        yield Mistake("build.builder.settings", ", ".join(sorted(builder.settings)) or "nothing", expected)
        return
    orders = [_order(spec, build, build.target, True)]
    if build.test_target:
        orders.append(_order(spec, build, build.test_target, False))
    for sentence in dict.fromkeys(kind.cannot(it, builder.settings) for it in orders):
        if sentence:
            yield Mistake("build.builder", f"`{builder.kind}`", f"a builder that can do it: {sentence.rstrip('.')}")


def _order(spec: ReleaseSpec, build: BuildSpec, target: str | None, pushes: bool) -> Order:
    """What will be asked, but for what only a release knows."""
    publication = Publication(
        name=spec.app.image or spec.app.name,
        platforms=tuple(build.platforms),
        cache=build.cache if pushes else None,
        provenance=build.provenance and pushes,
        epoch=0 if build.reproducible else None,
    )
    return Order(
        key="", repository=without_login(build.repository), commit="", publication=publication, tag="x" if pushes else None,
        version="", context=build.context, dockerfile=build.dockerfile, target=target, args=build.args,
    )  # fmt: skip
