"""A feature: a change ticket is opened before production is asked for, and closed when the release goes back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from release_pipelines.core.model.base import Value
from release_pipelines.core.templates import field
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Mistake, Problem, Scene, Slot

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


class Ticket(Value):
    """The key ``change_ticket`` of an app's file."""

    queue: str
    risk: Literal["low", "high"] = "low"


class ChangeTicket(Feature):
    """Only for apps that name a queue."""

    app_keys = {"change_ticket": Key(Ticket | None, description="The queue in which releases are announced")}

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        ticket = spec.app.part("change_ticket", Ticket)
        if ticket and ticket.risk == "high" and spec.app.approval.self_approval:
            yield Mistake("change_ticket.risk", "`high`", "`low`, where people approve their own releases")

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        ticket = spec.app.part("change_ticket", Ticket)
        if ticket and ticket.queue == "closed":
            yield Problem("The queue of change tickets is closed.", urgent=True)

    def summary(self, spec: ReleaseSpec) -> str | None:
        ticket = spec.app.part("change_ticket", Ticket)
        return f"announced in {ticket.queue}" if ticket else None

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        if environment == spec.production.name and spec.app.part("change_ticket", Ticket):
            evidence = {"Change ticket": field(f"before_{environment}.open_ticket", "ticket")}
            yield FeatureTask(
                "open_ticket", Slot.BEFORE_ENVIRONMENT, _open, touches=True, evidence=evidence, revert=_close
            )


def _open(task_id: str, scene: Scene) -> Any:
    from acme_release.operators import OpenTicketOperator

    ticket = scene.spec.app.part("change_ticket", Ticket)
    return OpenTicketOperator(task_id=task_id, queue_name=ticket.queue, release=scene.release)


def _close(task_id: str, scene: Scene) -> Any:
    from acme_release.operators import CloseTicketOperator

    return CloseTicketOperator(task_id=task_id, release=scene.release, trigger_rule="all_done")


FEATURE = ChangeTicket()
