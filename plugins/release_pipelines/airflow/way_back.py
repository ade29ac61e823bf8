"""What a release would go back to, and whether the registry still has it (R8)."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from release_pipelines.core.tags import IMAGE_TAGS, tags_of
from release_pipelines.core.way_back import first_whole, missing, sentence

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.observation import Observed
    from release_pipelines.spec.release import ReleaseSpec

log = logging.getLogger(__name__)


def obstacle(spec: ReleaseSpec, platforms: Sequence[str] = (), *, unknown_too: bool = False) -> str | None:
    """Why a release could not be taken back, without a full stop; None: it could, or nothing runs to go back to.

    :param platforms: those of the machines; empty: all that the image has.
    :param unknown_too: whether it is an obstacle that nobody can tell.
    """
    from airflow.sdk.exceptions import AirflowNotFoundException

    from release_pipelines.airflow.hooks.history import HistoryHook
    from release_pipelines.airflow.hooks.platform import PlatformHook
    from release_pipelines.airflow.hooks.registry import RegistryHook
    from release_pipelines.core.errors import ReleaseError
    from release_pipelines.spec.target import target

    app, production = spec.app.name, spec.production
    where = target(spec, production.name)
    try:
        history = HistoryHook().history()
        observed = PlatformHook(where).call(lambda platform: platform.observe(where))
        back = _back(history, observed, app, production.name)
        if back is None:
            return None
        registry = RegistryHook(production.connections.registry).get_conn()
        template = spec.app.part("image_tag", str)
        tags = tags_of([template] if template else IMAGE_TAGS, back.version, app)
        gone = missing(registry, back, platforms, tags)
        if not gone:
            return None
        return sentence(
            app, back.version, gone, first_whole(registry, _older(history, app, production.name, back), platforms)
        )
    except (ReleaseError, AirflowNotFoundException) as error:
        log.warning("Whether there is a way back could not be asked: %s", error)
        if not unknown_too:
            return None
        return f"Whether {app} could be rolled back is not known: {str(error).rstrip('.')}"


def _back(history: History, observed: Observed, app: str, environment: str) -> Artifact | None:
    """What R8 would go back to: what stable runs, or else the newest that was good; None: there is nothing."""
    from release_pipelines.core.model.artifact import Artifact

    stable = observed.track("stable")
    if stable.digest and stable.image:
        version = stable.version or f"what runs ({stable.digest[:19]})"
        return Artifact(app=app, version=version, image=stable.image, digest=stable.digest)
    return history.last_good(app, environment)


def _older(history: History, app: str, environment: str, than: Artifact) -> Iterator[Artifact]:
    """The other versions that are good, newest first."""
    for it in history.stability(app, environment):
        if it.good and it.digest != than.digest and (found := history.artifact_of(app, it.version)):
            yield found
