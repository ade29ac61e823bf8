"""What starts an app's releases without a person."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from release_pipelines.core.model.source import Source
from release_pipelines.core.pushes.starts import Starts
from release_pipelines.features.pushes.spec import ForgeUsers
from release_pipelines.spec.feature import Feature, Key, Mistake

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class PushesFeature(Feature):
    """The key ``starts`` of an app, and who the logins of forges are."""

    app_keys = {"starts": Key(Starts | None, None, "What starts a release without a person; default: nothing")}
    environment_keys = {
        "forge_users": Key(
            ForgeUsers, dict, "Logins of forges and registries to user names here: who pushed does not approve"
        )
    }

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        """What starts the app has to be something that it is made from."""
        starts, source = spec.app.part("starts", Starts), spec.app.part("build", Source)
        if starts is None:
            return
        if not (starts.branch or starts.tags or starts.registry or starts.asset):
            yield Mistake("starts", "nothing that starts a release", "`branch`, `tags`, `registry` or `asset`")
        if starts.branch and spec.app.version_scheme != "commit":
            yield Mistake(
                "starts.branch",
                f"versions that are no commits (version_scheme: {spec.app.version_scheme})",
                "`version_scheme: commit`, or `starts.tags: true`",
            )
        if (starts.asset or "").startswith("airflow:"):
            yield Mistake("starts.asset", f"`{starts.asset}`", "an address that does not begin with `airflow:`")
        for key in ("branch", "tags"):
            if getattr(starts, key) and source is None:
                yield Mistake(
                    f"starts.{key}",
                    "an image that is built elsewhere",
                    "`build` with the repository, or `starts.registry: true`",
                )
        for key in ("registry", "asset"):
            if getattr(starts, key) and source is not None:
                yield Mistake(f"starts.{key}", "an image that is built here (`build`)", "`starts.tags: true`")

    def summary(self, spec: ReleaseSpec) -> str | None:
        starts = spec.app.part("starts", Starts)
        if starts is None:
            return None
        what = {"branch": starts.branch, "tags": "tags", "registry": "its registry", "asset": starts.asset}
        return f"started by {', '.join(str(name) for key, name in what.items() if getattr(starts, key))}"


FEATURE = PushesFeature()
