"""Right before an environment is touched: may it be, by its calendars?"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException

from release_pipelines.airflow.hooks.history import HistoryHook, record
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import (
    RUN,
    ReleaseOperator,
    abort_watch,
    as_value,
    checked_event,
    explained,
    is_blank,
)
from release_pipelines.airflow.windows import goes_on, may_begin, moment, planned_at, standing_at, too_late
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.window import WindowRule
from release_pipelines.features.window.changed import changed_since
from release_pipelines.features.window.triggers import WindowTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.calendars import Standing
    from release_pipelines.core.model.person import Person


class WaitForWindowOperator(ReleaseOperator):
    """Go on while the calendars are open; else wait for that, deferred, or refuse. Holds no worker slot, and may wait for weeks.

    Then everything is asked again that the approval was given for: the digest, what stable runs, what was found, whether it went back
    anywhere, and whether whoever approved it still may.

    :param rule: the :class:`~release_pipelines.core.model.window.WindowRule` or its dict.
    :param target: the app in its environment.
    :param artifact: the artifact that is released.
    :param preflight: what :class:`~release_pipelines.features.preflight.operators.PreflightOperator` returned.
    :param release: the release's id.
    :param approval_holds: seconds that the approval holds; None: there is none.
    :param approvers: who could approve: names, or a :class:`~release_pipelines.core.model.person.Person` with several of them.
    :param start_at: the wall time, with its zone, that the release is planned for; empty: it begins in the first window.
    :param overridden: why an urgent release does not keep to its calendars; empty: it does.
    :return: ``{"sentence", "began_at", "overridden"}``: why it may begin, since when it does, and ``overridden``.

    Templated: ``artifact``, ``preflight``, ``release``, ``overridden``, ``start_at``.
    XCom: return value; ``decision`` (``expired``) when the approval does not hold any more; ``aborted`` when a person ends the
    release; ``reason`` when it fails.
    """

    template_fields = ("artifact", "preflight", "release", "overridden", "start_at")

    def __init__(
        self,
        *,
        rule: WindowRule | dict[str, Any],
        target: Target | dict[str, Any],
        artifact: Any,
        preflight: Any,
        release: str = RUN,
        approval_holds: float | None = None,
        approvers: Sequence[str | Person] = (),
        overridden: Any = None,
        start_at: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rule = rule
        self.target = target
        self.artifact = artifact
        self.preflight = preflight
        self.release = release
        self.approval_holds = approval_holds
        self.approvers = approvers
        self.overridden = overridden
        self.start_at = start_at

    def work(self, context: Context) -> Any:
        rule, now = as_value(WindowRule, self.rule, "rule"), time.time()
        history = HistoryHook().history()
        abort_watch(history, self.release)()
        approval = history.approval(self.release) if self.approval_holds else None
        expires_at = approval.at + self.approval_holds if approval and self.approval_holds else None
        if expires_at is not None and now >= expires_at:
            self._expire(
                context, f"its approval held until {moment(expires_at, rule.time_zone)}, and no window opened by then"
            )
        standing, overridden = standing_at(rule, now), None if is_blank(self.overridden) else str(self.overridden)
        planned_for = planned_at(rule, self.start_at)
        if not overridden and now < planned_for:
            words = f"Waits until {moment(planned_for, rule.time_zone)}, for which it is planned."
            self._wait(rule, words, expires_at, planned_for)
        if not overridden and not may_begin(rule, standing, now):
            return self._closed(rule, standing, expires_at)
        if approval is not None:
            artifact, target = as_value(Artifact, self.artifact, "artifact"), as_value(Target, self.target, "target")
            if changed := changed_since(approval, artifact, target, self.preflight, self.approvers, history):
                self._expire(context, changed)
        sentence = overridden or f"It may begin: {standing.sentence}"
        self.log.info("%s.", sentence)
        began = {"began_at": now, "environment": rule.environment}
        record(HistoryHook().history, "record_event", self.release, "window", f"{sentence}.", None, began)
        return {"sentence": sentence, "began_at": now, "overridden": overridden}

    def _closed(self, rule: WindowRule, standing: Standing, expires_at: float | None) -> Any:
        words = goes_on(rule, standing)
        if rule.when_closed == "refuse":
            raise AirflowFailException(
                f"{too_late(rule, standing)} Start again then: this app does not wait (`when_closed: refuse`)."
            )
        self._wait(rule, words, expires_at, standing.opens_at)

    def _wait(self, rule: WindowRule, words: str, expires_at: float | None, opens_at: float | None) -> NoReturn:
        if expires_at is not None:
            words += f" The approval holds until {moment(expires_at, rule.time_zone)}."
        self.log.info(words)
        note_now(self.release, words)
        told = {"open": False, "opens_at": opens_at, "expires_at": expires_at}
        record(HistoryHook().history, "record_event", self.release, "window", words, None, told)
        trigger = WindowTrigger(
            rule=to_json(rule), release=self.release, expires_at=expires_at, start_at=self.start_at or None
        )
        self.defer(trigger=trigger, method_name="woken")
        raise AssertionError("it has been deferred")

    def _expire(self, context: Context, why: str) -> None:
        context["ti"].xcom_push("decision", "expired")
        raise AirflowFailException(f"{why}. Start the release again to have it approved again.")

    def woken(self, context: Context, event: dict[str, Any]) -> Any:
        """The wait has ended: everything is looked at again."""
        with explained(context):
            checked_event(event)
        return self.execute(context)
