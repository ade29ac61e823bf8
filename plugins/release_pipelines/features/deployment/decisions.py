"""What a deployment finds: whether it is the first release, and what a rollback goes back to."""

from __future__ import annotations

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.stable import artifact_that_runs, first_release

__all__ = ["first_release", "good_before"]


def good_before(observed: Observed, artifact: Artifact, recorded: Artifact | None) -> Artifact | None:
    """What a rollback of stable goes back to: what held before; else what runs and is ready, though no release put it there.

    What runs comes back by the repository that it runs from, wherever the app's images are pushed today.

    :param recorded: the newest artifact that the history knows as good.
    """
    stable = observed.track("stable")
    ran = artifact_that_runs(stable, artifact) if stable.ready else None
    known = (observed.note.last_good, recorded, ran)
    good = next((it for it in known if it is not None and it.digest != artifact.digest), None)
    if good and ran and good.digest == ran.digest:
        return good.model_copy(update={"image": ran.image})
    return good
