"""What a deployment finds: whether it is the first release, and what a rollback goes back to."""

from __future__ import annotations

from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.observation import Observed


def first_release(observed: Observed) -> bool:
    """R17: nothing runs that could take the traffic back."""
    stable = observed.track("stable")
    known_good = observed.route.note.last_good if observed.route else None
    return stable.digest is None or (stable.ready == 0 and known_good is None)


def good_before(observed: Observed, artifact: Artifact, recorded: Artifact | None) -> Artifact | None:
    """What a rollback of stable goes back to: what held before; else what runs and is ready, though no release put it there.

    :param recorded: the newest artifact that the history knows as good.
    """
    stable = observed.track("stable")
    noted = observed.route.note.last_good if observed.route else None
    ran = None
    if stable.digest and stable.ready:
        ran = artifact.model_copy(
            update={
                "digest": stable.digest,
                "version": stable.version or UNKNOWN_VERSION,
                "commit": None,
                "evidence": {},
            }
        )
    return next((it for it in (noted, recorded, ran) if it is not None and it.digest != artifact.digest), None)
