"""What runs on stable. A release goes beside it, and back to it, whether its digest is known or not (R8, R17)."""

from __future__ import annotations

from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.observation import Observed, TrackStatus


def first_release(observed: Observed, digest: str | None = None) -> bool:
    """R17: nothing runs that could take the traffic back.

    Stable has no replicas at all; or none of them is ready, no release has held there, and what is stated there cannot become
    ready or is the version that is being released.

    :param digest: what is being released, where that is known already.
    """
    stable = observed.track("stable")
    if stable.ready or observed.note.last_good is not None:
        return False
    is_own = digest is not None and stable.digest == digest
    return not stable.wanted or stable.failure is not None or is_own


def unnamed(observed: Observed) -> bool:
    """Whether something runs on stable, and nobody has said by which digest."""
    return observed.track("stable").digest is None and not first_release(observed) and runs(observed.track("stable"))


def runs(status: TrackStatus) -> bool:
    """Whether the track has replicas, or is to have them."""
    return status.wanted > 0 or status.ready > 0


def coming(observed: Observed) -> bool:
    """Whether stable was scaled or changed a moment ago: what it runs will be known, or ready, soon."""
    stable = observed.track("stable")
    if not runs(stable) or stable.settled or stable.failure:
        return False
    return stable.digest is None or (stable.ready == 0 and observed.note.last_good is None)


def recalled(observed: Observed, deployment: Deployment) -> Observed:
    """The observation, with the digest that a deployment found on stable, where the same image runs and the platform names none."""
    stable = observed.track("stable")
    same = stable.version == deployment.previous_version and deployment.previous_image in (None, stable.image)
    if stable.digest or not runs(stable) or not same:
        return observed
    named = stable.model_copy(update={"digest": deployment.previous_digest})
    return observed.model_copy(update={"tracks": {**observed.tracks, "stable": named}})


def artifact_that_runs(status: TrackStatus, like: Artifact) -> Artifact | None:
    """What a track runs, by the full reference that it runs by; None where its digest is not known.

    :param like: an artifact of the same app: its repository, where the platform does not say which it is.
    """
    if status.digest is None:
        return None
    return Artifact(
        app=like.app,
        version=status.version or UNKNOWN_VERSION,
        image=status.image or like.image,
        digest=status.digest,
    )
