"""The plan of a rollback (R8), made from the state of the environment."""

from typing import Literal

from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.route import NOT_TAKEN
from release_pipelines.core.stable import runs


class RollbackPlan(Stored):
    """The plan of a rollback.

    ``return_traffic``: stable still runs the last good version, so the traffic goes back to it in one write.
    ``redeploy``: stable itself was changed, so it gets the last good version back by a rolling update.
    ``person``: nothing can be done safely by itself; ``sentence`` says why.
    """

    kind: Literal["return_traffic", "redeploy", "person"]
    digest: str | None = None
    version: str | None = None
    artifact: Artifact | None = None
    sentence: str


def plan_rollback(
    observed: Observed, bad_digest: str | None, recorded_good: Artifact | None, *, decided: bool = False
) -> RollbackPlan:
    """Choose the kind of rollback.

    :param observed: the state of the environment.
    :param bad_digest: the digest that must not stay; None: what stable runs, whose digest nobody knows.
    :param recorded_good: newest artifact of the history that was promoted and held, and is not the bad one; or what ran.
    :param decided: whether a person has decided to go back: then a healthy track beside stable keeps the traffic only until stable
        is ready (R18).
    """
    stable = observed.track("stable")
    not_taken = observed.note.step == NOT_TAKEN
    serving = next((it for it in observed.beside if observed.weight(it) == 100 and observed.track(it).ready), None)
    noted_good = observed.route.note.last_good if observed.route else None
    good = next((it for it in (noted_good, recorded_good) if it is not None and it.digest != bad_digest), None)
    healthy = serving is not None and observed.track(serving).digest == bad_digest
    if not_taken and healthy and not decided:
        return RollbackPlan(
            kind="person",
            sentence=f"stable did not take the version, and runs {stable.named}; "
            f"the traffic stays on the healthy {serving}, and a person has to decide",
        )
    if good and recorded_good and good.digest == recorded_good.digest:
        good = recorded_good  # by the repository that it ran from
    unknown = stable.digest is None and bad_digest is not None and runs(stable)
    if unknown and not decided:
        return RollbackPlan(  # not the bad one: a release puts nothing there but digests
            kind="person",
            sentence=f"stable runs {stable.tagged}, whose digest nobody knows, so it was left as it is: "
            "a person has to see that it is what has to run",
        )
    if (stable.digest and stable.digest != bad_digest) or unknown:
        is_rolling_back = (
            good is not None and good.digest == stable.digest and not stable.settled and not stable.failure
        )
        if good is not None and is_rolling_back and (stable.ready == 0 or stable.updated < stable.ready):
            return _redeploy(good)  # on its way back already: some replicas still run the bad version, or none is ready
        if stable.ready == 0:
            return RollbackPlan(
                kind="person",
                sentence=f"stable ({stable.named}) has no ready replica to take the traffic: "
                f"{stable.failure or stable.waiting or 'a person is needed'}",
            )
        return RollbackPlan(
            kind="return_traffic",
            digest=stable.digest,
            version=stable.version,
            sentence=f"all traffic back to {stable.named}, which still runs on stable",
        )
    if healthy and not decided:
        return RollbackPlan(
            kind="person",
            sentence=f"stable did not take the version, and runs {stable.named}; "
            f"the traffic stays on the healthy {serving}, and a person has to decide",
        )
    if good is None:
        return RollbackPlan(kind="person", sentence="nothing good is known to go back to, so nothing was changed")
    return _redeploy(good)


def _redeploy(good: Artifact) -> RollbackPlan:
    return RollbackPlan(
        kind="redeploy",
        digest=good.digest,
        version=good.version,
        artifact=good,
        sentence=f"stable gets {good.version} back by a rolling update",
    )
