"""Base class of all operators: parsing of arguments, and failures that end in one sentence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowFailException,
    AirflowRescheduleException,
    AirflowSkipException,
    DagRunTriggerException,
    DownstreamTasksSkipped,
    TaskDeferred,
)
from pydantic import ValidationError

from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.links import tell_links
from release_pipelines.core.errors import (
    CredentialsRefused,
    FenceLost,
    Forbidden,
    LeaseHeld,
    MetricsUnavailable,
    PlatformUnavailable,
    ReleaseError,
)
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import MODEL_BRANCH, Value, to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.text import storable

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.airflow.hooks.platform import PlatformHook

V = TypeVar("V", bound=Value)

REASON = "reason"
"""XCom key under which a failing task says why, in one sentence."""

ABORTED = "aborted"
"""XCom key under which a task that a person aborted says ``{"by", "reason"}``."""

TROUBLE = "trouble"
"""XCom key of a failing task whose failure says nothing about the version: the name of the error of what did not answer, or refused."""

RELEASE_ID = "release"
"""XCom key of the release's id, pushed as soon as the history knows it."""

TAKEN_OVER = "taken_over"
"""XCom key of the holder that took the environment away from a release."""

RUN = "{{ dag.dag_id }}/{{ run_id }}"
"""The id of a release that is one DAG run."""

NO_FAILURE = (AirflowSkipException, AirflowRescheduleException, DagRunTriggerException, DownstreamTasksSkipped)
"""Airflow's own signals that happen to be AirflowExceptions."""


class AbortedByPerson(AirflowFailException):
    """A person aborted the release.

    :param by: the person's name.
    :param reason: the reason, in that person's words.
    """

    def __init__(self, by: str, reason: str) -> None:
        super().__init__(f"{by} aborted it: {reason}")
        self.by = by
        self.reason = reason


NOT_THE_VERSION = (PlatformUnavailable, CredentialsRefused, Forbidden, FenceLost, LeaseHeld)
"""Errors that say nothing about the version."""


class OutsideTrouble(AirflowFailException):
    """What is around the version did not answer, or refused.

    :param kind: the name of the error.
    """

    def __init__(self, sentence: str, kind: str) -> None:
        super().__init__(sentence)
        self.kind = kind


def validation_sentence(error: ValidationError) -> str:
    """One sentence about the first invalid field, without its value, which may be a secret."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"] if part != MODEL_BRANCH)
    return f"{error.title}{f' at {where}' if where else ''} does not fit: {first['msg']}."


def is_blank(value: Any) -> bool:
    """Whether an operator's argument is empty: None, or a template that rendered to nothing."""
    return value in (None, "", "null", "None")


def as_value(model: type[V], value: Any, what: str) -> V:
    """An operator's argument as a value of type ``model``.

    :param model: the value's type.
    :param value: an instance of it, a dict (another task's ``.output``) or JSON (a rendered template).
    :param what: the argument's name in the error's sentence.

    :raises ValueError: when it is missing or does not fit.
    """
    if isinstance(value, model):
        return value
    if is_blank(value):
        raise ValueError(f"{what} is missing: the task that gives it has not run, or gave nothing.")
    return model.model_validate_json(value) if isinstance(value, str) else model.model_validate(value)


def worth_another_try() -> tuple[type[Exception], ...]:
    """Errors of services that do not answer. The history is imported here: a DAG file is parsed without it."""
    from release_pipelines.adapters.history import HistoryUnavailable

    return PlatformUnavailable, MetricsUnavailable, HistoryUnavailable


@contextmanager
def explained(context: Context) -> Iterator[None]:
    """Turn every failure into one sentence: in the log's last line and in XCom ``reason``.

    What another try may mend (a platform, a metrics service or a history that does not answer) stays retryable; everything else
    that was foreseen fails the task for good. What was not foreseen is raised as it is, for its traceback, and its
    message stays out of XCom, because nobody knows what is in it.
    """
    try:
        yield
    except NO_FAILURE:
        raise
    except worth_another_try() as error:
        ti: Any = context["ti"]
        if ti.try_number > getattr(ti, "max_tries", ti.try_number):  # it is not tried again
            ti.xcom_push(TROUBLE, type(error).__name__)
        _push(context, str(error))
        raise AirflowException(str(error)) from error
    except ValidationError as error:
        _push(context, validation_sentence(error))
        raise AirflowFailException(validation_sentence(error)) from None
    except AirflowException as error:
        if isinstance(error, OutsideTrouble):
            context["ti"].xcom_push(TROUBLE, error.kind)
        if isinstance(error, AbortedByPerson):
            context["ti"].xcom_push(ABORTED, storable({"by": error.by, "reason": error.reason}))
        _push(context, str(error))
        raise
    except (ReleaseError, ValueError) as error:
        if isinstance(error, NOT_THE_VERSION):
            context["ti"].xcom_push(TROUBLE, type(error).__name__)
        _push(context, str(error))
        raise AirflowFailException(str(error)) from error
    except Exception as error:
        _push(context, f"{context['ti'].task_id} failed with an unforeseen {type(error).__name__}; its log says more.")
        raise


def checked_event(event: dict[str, Any]) -> dict[str, Any]:
    """The event of a trigger, unless it reports an abort or an error.

    :raises AbortedByPerson: when a person aborted the release.
    :raises AirflowFailException: when the event carries an error, like a refusal of the platform.
    """
    if event.get("aborted"):
        raise AbortedByPerson(event["aborted"]["by"], event["aborted"]["reason"])
    if event.get("error") and event.get("kind") in {it.__name__ for it in NOT_THE_VERSION}:
        raise OutsideTrouble(event["error"], event["kind"])
    if event.get("error"):
        raise AirflowFailException(event["error"])
    return event


def checked_lease(observed: Observed, lease: Lease, target: Target) -> Observed:
    """The observation, after a check that the release still holds the lease.

    :raises FenceLost: when somebody else, or nobody, holds it.
    """
    if observed.lease is None or observed.lease.fence != lease.fence:
        holder = f"{observed.lease.holder} holds it" if observed.lease else "nobody holds it"
        raise FenceLost(f"The lease of {target.app} in {target.environment} is not this release's any more: {holder}.")
    return observed


def known_expired(watched: dict[str, Any] | None) -> dict[str, Any]:
    """Arguments of ``take_lease`` for a lease that :class:`~release_pipelines.airflow.triggers.LeaseFreeTrigger` saw expire."""
    return {"expired": Lease.model_validate(watched)} if watched else {}


def looks_expired(hook: PlatformHook, target: Target) -> bool:
    """Whether somebody else's lease says that it has expired: then watching it tells whether its holder's clock is wrong."""
    lease = hook.call(lambda platform: platform.observe(target)).lease
    return lease is not None and lease.expires_at <= time.time()


def history_of(context: Context, release: str, artifact: Artifact) -> History:
    """The history with a row for ``release``, which operators that run without a preflight task have to create."""
    run: Any = context["dag_run"]
    history = HistoryHook().history()
    history.begin(release, artifact.app, run.dag_id, run.run_id, artifact.version, run.triggering_user_name)
    return history


def judging_arguments(stage: Stage | None, lease: Any, deployment: Any, artifact: Artifact) -> dict[str, Any]:
    """Arguments with which a trigger goes on judging a stage while it waits for something else.

    Empty without a stage, and after a first release (R17), when there is no older version that could take the traffic back.
    """
    if stage is None or is_blank(deployment):
        return {}
    begun = as_value(Deployment, deployment, "deployment")
    if begun.first:
        return {}
    return {
        "artifact": to_json(artifact),
        "fence": as_value(Lease, lease, "lease").fence,
        "stage": to_json(stage),
        "previous": to_json(begun.good) if begun.good else None,
    }


def recorded_verdict(
    context: Context, event: dict[str, Any], release: str, target: Target, artifact: Artifact
) -> Verdict:
    """Store the verdict of a trigger's event in XCom ``verdict`` and, with its measurements, in the history (R13).

    The trigger has moved the traffic already.

    :raises AbortedByPerson: when the event says that a person ended the release.
    """
    verdict = Verdict.model_validate(event["verdict"])
    context["ti"].xcom_push("verdict", to_json(verdict))
    samples = [Sample.model_validate(sample) for sample in event.get("samples") or []]

    def opened() -> History:
        return history_of(context, release, artifact)

    record(opened, "record_verdict", release, target.environment, verdict, samples)
    for note in event.get("notes") or []:
        record(opened, "record_event", release, "drift", note, target.environment)
    checked_event(event)
    return verdict


def abort_watch(history: History, release: str) -> Callable[[], None]:
    """A check for ``abort`` commands, for tasks that work in a worker (triggers check by themselves).

    :return: a function that raises :class:`AbortedByPerson` when there is such a command, whether another task of the
        release has answered it already or not: nothing revokes an abort.
    """

    def look() -> None:
        for command in history.commands(release):
            if command.kind == "abort":
                history.answer(command.id, "Ended what was being done; what was changed goes back.")
                raise AbortedByPerson(command.by, command.reason or "no reason given")

    return look


def _push(context: Context, reason: str) -> None:
    context["ti"].xcom_push(REASON, storable(reason))


class ReleaseOperator(BaseOperator):
    """Base: a subclass writes :meth:`work`; its failures explain themselves (see :func:`explained`)."""

    def execute(self, context: Context) -> Any:
        """Do the work; called by Airflow."""
        try:
            with explained(context):
                return storable(self.work(context))
        except TaskDeferred:
            tell_links(self, context["ti"])
            raise

    def work(self, context: Context) -> Any:
        """Do the subclass's work.

        :return: the value for XCom.
        """
        raise NotImplementedError


def release_id(context: Context) -> str:
    """A release is one DAG run, and a run that is cleared as a whole is another release (R1)."""
    run: Any = context["dag_run"]
    return f"{run.dag_id}/{run.run_id}#{run.clear_number}"
