"""Commands to a running release: pause, resume, promote, skip, abort."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import REASON, ReleaseOperator
from release_pipelines.airflow.people import asked_by
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.command import CommandKind, not_answered
from release_pipelines.core.model.lease import LEASE_SECONDS
from release_pipelines.features.commands.rights import refusal
from release_pipelines.features.commands.triggers import RefusedTrigger
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target as target_of

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.records import Release


class ReleaseControlOperator(ReleaseOperator):
    """Give the app's running release a command, and say what it did. Recorded with who gave it.

    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param app: the app's name.
    :param action: ``pause`` (the hold's clock stops), ``resume``, ``skip`` (this hold ends now, as passed), ``promote`` (every
        hold that is left ends now, as passed) or ``abort`` (all traffic goes back at once).
    :param reason: why, in a person's words; an abort needs one.
    :param requested_by: who asks, for runs that no signed-in user triggered.
    :param wait: seconds that the answer is waited for.
    :return: ``{"release", "action", "by", "effect"}``. Refused in one sentence where nothing runs, or that person may not.

    Templated: ``app``, ``action``, ``reason``, ``requested_by``.
    XCom: return value, ``reason``: what it came to in a sentence, also when it fails.
    """

    template_fields = ("app", "action", "reason", "requested_by")

    def __init__(
        self,
        *,
        apps: Path,
        config: Path,
        app: str,
        action: str,
        reason: str = "",
        requested_by: str = "",
        wait: float = 5.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.apps = apps
        self.config = config
        self.app = app
        self.action = action
        self.reason = reason
        self.requested_by = requested_by
        self.wait = wait

    def work(self, context: Context) -> dict[str, str]:
        run: Any = context["dag_run"]
        asked = asked_by(run, self.requested_by)
        if asked.requester is None:
            raise AirflowFailException("Nobody is named who asks for this: give `requested_by`.")
        spec, history = spec_of(self.app.strip(), self.apps, self.config), HistoryHook().history()
        running, reason = running_release(history, spec), self.reason.strip()
        approvers, alone = spec.production.approvers, spec.app.approval.self_approval
        known = history.steered(running.id) if running else None
        # A robot that says for whom it asks has no more rights than that person, nor than it has itself.
        for name in filter(None, asked):
            no = refusal(self.action, name, reason, known, approvers, alone)
            if no or running is None:
                raise AirflowFailException(f"{spec.app.name}: {no}")
        assert running is not None  # noqa: S101 - or it was refused
        by = str(asked)
        command = history.command(running.id, self.action, by, reason or None)  # type: ignore[arg-type]
        effect = history.answered(command, self.wait).effect or silence(spec, self.action)  # type: ignore[arg-type]
        self.log.info("%s: %s by %s: %s", running.id, self.action, by, effect)
        context["ti"].xcom_push(REASON, f"{spec.app.name} {running.version}: {self.action} by {by}: {effect}")
        return {"release": running.id, "action": self.action, "by": by, "effect": effect}


class AnsweringControlOperator(ReleaseControlOperator):
    """The same for a form: a refusal is the log's last line, and the run's note, without a stack trace above it.

    Parameters, templates and XCom as :class:`ReleaseControlOperator`.
    """

    def execute(self, context: Context) -> Any:
        """Give the command; a trigger ends the task of a refused one, since an exception of a task is always shown with its stack."""
        run: Any = context["dag_run"]
        try:
            return super().execute(context)
        except AirflowFailException as refusal:
            self.log.error("%s", refusal)
            note_now(f"{run.dag_id}/{run.run_id}", str(refusal))  # at once: Airflow tries the task once more
            self.defer(trigger=RefusedTrigger(), method_name="refused", kwargs={"sentence": str(refusal)})

    def refused(self, context: Context, event: Any, sentence: str) -> None:
        """Only where triggers do not end tasks themselves."""
        raise AirflowFailException(sentence)


def silence(spec: ReleaseSpec, kind: CommandKind) -> str:
    """Why a command has no answer, as far as that can be seen: who has the traffic, and when the release was heard of last."""
    target = target_of(spec, spec.production.name)
    try:
        observed = PlatformHook(target).call(lambda platform: platform.observe(target))
    except PlatformError as error:
        return f"{not_answered(kind)} ({error})"
    shares = ", ".join(f"{track} has {observed.weight(track)} %" for track in ("stable", *observed.beside))
    last = observed.lease.expires_at - LEASE_SECONDS if observed.lease else time.time()
    return not_answered(kind, f"{shares} of the traffic" if observed.route else "", time.time() - last)


def running_release(history: History, spec: ReleaseSpec) -> Release | None:
    """The app's release that has begun and not ended; where others wait for it, the one that holds production."""
    running = history.running(spec.app.name, spec.production.name)
    if len(running) > 1:
        target = target_of(spec, spec.production.name)
        lease = PlatformHook(target).call(lambda platform: platform.observe(target)).lease
        running = [it for it in running if lease and it.id == lease.holder] or running
    return running[0] if running else None
