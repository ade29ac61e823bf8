"""One form for a whole train. An answer counts for the apps whose approvers have given it; the others' own DAGs ask for themselves."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowSkipException

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.notifiers.waiting import WaitingNotifier
from release_pipelines.airflow.operator import explained
from release_pipelines.core.approvers import allowed_approvers, approves_alone, in_words, is_one_of
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.person import Asked, Identity, Person
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.train import digest_of
from release_pipelines.features.approval.form import Known, train_form
from release_pipelines.features.approval.operators.asking import AskingOperator, responder, who_asked
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.target import target as target_of
from release_pipelines.spec.trains import TrainSpec, train_dag_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.core.model.train import TrainApp
    from release_pipelines.spec.release import ReleaseSpec


class TrainApprovalOperator(AskingOperator):
    """Ask once for all apps of a train, with what changes in each of them. Skipped where nothing has to be done.

    :param train: the :class:`~release_pipelines.spec.trains.TrainSpec`.
    :param apps: folder of the app files.
    :param config: folder of the environment files.

    Other parameters, XCom and errors as :class:`AskingOperator`.

    Templated: ``artifact``, ``preflight``, ``release``.
    XCom: return value, with ``counts_for`` and ``asked_again`` (names of apps); ``decision``; ``aborted`` when a person ends the
    train; ``reason`` when it fails.
    """

    def __init__(self, *, train: TrainSpec, apps: Path, config: Path, **kwargs: Any) -> None:
        super().__init__(
            subject=f"Release train {train.name}?",
            target={},
            artifact=None,
            approvers=train.approvers,
            wait=train.approval_timeout,
            time_zone=train.time_zone,
            **kwargs,
        )
        self.train = train
        self.apps = apps
        self.config = config
        self.going: list[tuple[TrainApp, ReleaseSpec]] = []

    def execute(self, context: Context) -> Any:
        """Open the form, unless nothing has to be done."""
        with explained(context):
            self._load()
        if not self.going:
            raise AirflowSkipException("Nothing has to be done.")
        return super().execute(context)

    def execute_complete(
        self, context: Context, event: dict[str, Any], until: str | None = None, reminded: bool = False
    ) -> Any:
        """Record the answer, and for which apps it counts."""
        with explained(context):
            self._load()
        return super().execute_complete(context, event, until, reminded)

    def _load(self) -> None:
        """What is asked about, as the history keeps it, and the apps as their files are now."""
        planned = [it for it in HistoryHook().history().train_apps(self.release) if it.goes]
        self.going = [(it, spec_of(it.app, self.apps, self.config)) for it in planned]
        if not self.going:
            return
        _, spec = self.going[0]
        self.target = target_of(spec, spec.production.name)
        self.artifact = Artifact(
            app=train_dag_id(self.train.name),
            version=", ".join(it.named for it, _ in self.going)[:255],
            image=train_dag_id(self.train.name),
            digest=digest_of(it for it, _ in self.going),
        )
        self.approvers = self.train.approvers or _people(spec for _, spec in self.going)
        self.notifiers = [WaitingNotifier(environment=spec.production)]

    def _question(self) -> tuple[Artifact, Target, dict[str, Any]]:
        import json

        preflight = json.loads(self.preflight) if isinstance(self.preflight, str) else self.preflight
        assert isinstance(self.artifact, Artifact) and isinstance(self.target, Target)  # noqa: S101, PT018 - loaded before
        return self.artifact, self.target, preflight or {}

    def form(self, artifact: Artifact, target: Target, preflight: dict[str, Any]) -> tuple[str, str]:
        """What changes in every app."""
        asked, known = who_asked(preflight), {}
        commits: dict[str, tuple[str | None, str | None]] = {}
        for it, _ in self.going:
            with noted(f"The history does not tell what it knows of {it.named}"):
                history = HistoryHook().history()
                same = (it.app, it.digest or "", self.release)
                now, after = (history.artifact_of(it.app, version or "") for version in (it.before_version, it.version))
                commits[it.app] = (now.commit if now else None, after.commit if after else None)
                known[it.app] = Known(past=history.past_of(*same), evidence=history.evidence_of(*same))
        everything = HistoryHook().history().train_apps(self.release)
        approve = {it.app: in_words(spec.production.approvers, "nobody") for it, spec in self.going}
        body = train_form(
            self.train,
            everything,
            known,
            approve,
            commits,
            requester=str(asked) if asked.requester else None,
            notes=str(preflight.get("notes") or ""),
        )
        return f"Release train {self.train.name}: {artifact.version}?", body

    def _decided(self, context: Context, event: dict[str, Any], artifact: Artifact, preflight: dict[str, Any]) -> Any:
        answer = super()._decided(context, event, artifact, preflight)
        asked, by = who_asked(preflight), responder(event)
        counts = [it.app for it, spec in self.going if _counts(spec, by, asked)]
        history = HistoryHook().history()
        history.approve_train(self.release, counts, by)
        others = [it.app for it, _ in self.going if it.app not in counts]
        sentence = f"{by} approved {', '.join(counts) or 'no app'}"
        sentence += f"; {', '.join(others)} ask for an approval of their own." if others else "."
        history.record_event(self.release, "approved", sentence)
        self.log.info(sentence)
        return {**answer, "counts_for": counts, "asked_again": others}


def _people(specs: Any) -> list[str | Person]:
    """The approvers of all apps, each once."""
    found: list[str | Person] = []
    for spec in specs:
        found += [it for it in spec.production.approvers if it not in found]
    return found


def _counts(spec: ReleaseSpec, by: Identity, asked: Asked) -> bool:
    """Whether an answer is one of the app's own approvers."""
    alone = spec.app.approval.self_approval
    allowed: Sequence[str | Person] = allowed_approvers(spec.production.approvers, *asked, self_approval=alone)
    return is_one_of(allowed, by) and not approves_alone(by, *asked, self_approval=alone)
