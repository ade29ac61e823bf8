"""What an app's own release asks of trains: whether one holds the app, and whether one has its approval."""

from __future__ import annotations

import logging
import time
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, NamedTuple

from airflow.sdk.exceptions import AirflowFailException, AirflowRescheduleException

from release_pipelines.airflow.notes import note_now
from release_pipelines.core.approvers import allowed_approvers, approves_alone, is_one_of
from release_pipelines.core.model.person import Identity
from release_pipelines.core.model.release_id import run_of
from release_pipelines.core.model.units import lasting

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.core.model.person import Asked
    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.spec.release import ReleaseSpec

log = logging.getLogger(__name__)

LOOK_SECONDS = 30.0
"""Pause between two looks whether a train has given an app free, in seconds."""
PARAMETER = "train"
"""The parameter of an app's DAG that names its train. It is a hint for people: what counts is what the train has recorded."""


class Given(NamedTuple):
    """An approval that was given for a whole train.

    :param by: who gave it, by the name that is kept.
    """

    train: str
    by: str


def train_in_the_way(history: History, app: str, environment: str, release: str, urgent: str | None) -> str | None:
    """Why a release has to wait for a train, in a sentence; None: no train has the app, or it is this release's own.

    An urgent release passes: the train finds that the app has moved on.

    :param release: the release's id.
    :param urgent: why it is urgent; empty: it is not.
    """
    train = history.train_of(app, environment)
    if train is None or urgent:
        return None
    ticket = history.ticket(app, run_of(release)[1])
    if ticket is not None and ticket[0] == train:
        return None
    return f"{app} in {environment} belongs to {train} until that train has ended."


def wait_for_train(
    history: History, app: str, environment: str, release: str, urgent: str | None, when_busy: str
) -> None:
    """Go on where no train has the app; else wait without a worker slot, or refuse, as the app's file says.

    :param when_busy: ``wait`` or ``refuse``.
    :raises AirflowFailException: where it is refused.
    :raises AirflowRescheduleException: Airflow's way to look again later.
    """
    busy = train_in_the_way(history, app, environment, release, urgent)
    if busy is None:
        return
    if when_busy == "refuse":
        raise AirflowFailException(busy)
    log.info("%s Waiting.", busy)
    note_now(release, f"{busy} Waiting.")
    raise AirflowRescheduleException(datetime.now(timezone.utc) + timedelta(seconds=LOOK_SECONDS))


def own_train(history: History, app: str, release: str) -> tuple[str, TrainApp] | None:
    """The train that has started a release, with what it knows of the app; None: none has."""
    return history.ticket(app, run_of(release)[1])


def approved_by_train(
    history: History, spec: ReleaseSpec, release: str, artifact: Artifact, asked: Asked
) -> tuple[Given | None, str | None]:
    """The approval that a release has from its train, if it counts here; else why it does not, in a sentence.

    It counts for the digest that was shown, as long as an approval of this app holds, while the train has the app, and where whoever
    gave it may approve this app and is nobody who asked for it.

    :param asked: who asked for the release.
    """
    production, alone = spec.production, spec.app.approval.self_approval
    ticket = own_train(history, artifact.app, release)
    if ticket is None:
        return None, None
    train, planned = ticket
    by = Identity(planned.approver_id, planned.approver)
    if planned.approved_at is None:
        return None, f"Nobody who may approve {artifact.app} has answered for {train}."
    if history.train_of(artifact.app, production.name) != train:
        return None, f"{train} does not hold {artifact.app} any more."
    if time.time() - planned.approved_at > spec.app.approval.valid_for:
        return None, f"The approval of {train} held for {lasting(spec.app.approval.valid_for)}, and that has passed."
    if planned.digest != artifact.digest:
        return None, f"{by} approved {planned.digest} for {train}, and it is {artifact.digest} now."
    allowed = allowed_approvers(production.approvers, *asked, self_approval=alone)
    if approves_alone(by, *asked, self_approval=alone) or not is_one_of(allowed, by):
        return None, f"{by}, who approved {train}, may not approve {artifact.app}."
    return Given(train, str(by)), None
