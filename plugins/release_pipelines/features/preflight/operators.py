"""Before anything is changed: is this release possible, and what is it?"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowRescheduleException

from release_pipelines.airflow.ending import noted
from release_pipelines.airflow.hooks.aws import open_client
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.hooks.prometheus import PrometheusHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import RELEASE_ID, ReleaseOperator, release_id
from release_pipelines.airflow.people import asked_by
from release_pipelines.airflow.stable import known_stable
from release_pipelines.airflow.trains import PARAMETER as TRAIN
from release_pipelines.airflow.trains import wait_for_train
from release_pipelines.airflow.triggers import LeaseFreeTrigger
from release_pipelines.core.approvers import allowed_approvers, in_words
from release_pipelines.core.errors import PlatformError, ReleaseError
from release_pipelines.core.model.artifact import UNKNOWN_VERSION, Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.model.person import Asked
from release_pipelines.core.model.source import Source
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import Target
from release_pipelines.core.model.traffic import ALL_TO_STABLE
from release_pipelines.core.ports.platform import check_traffic
from release_pipelines.core.pushes.reading import DIGEST
from release_pipelines.core.stable import first_release
from release_pipelines.core.text import one_line
from release_pipelines.core.versions import version_fits
from release_pipelines.features.preflight.deleted import end_deleted
from release_pipelines.features.preflight.remedies import PUTS_RIGHT, SINCE, record_remedy
from release_pipelines.features.preflight.summary import summary
from release_pipelines.spec.feature import FEATURES, Problem
from release_pipelines.spec.frozen import freeze, last_valid, others_running
from release_pipelines.spec.line import line_of
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import metrics_of, splits_of, stages
from release_pipelines.spec.target import target as target_of
from release_pipelines.spec.windows import window_rule

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History
    from release_pipelines.core.ports.metrics import Lack
    from release_pipelines.core.ports.platform import Platform

LOOK_SECONDS = 30.0
"""Pause between two looks whether a release with an older specification has ended, in seconds."""
VERSION_LIMIT = 200
"""Maximum length of a version that the history keeps of a release that is refused, in characters."""
PARAMETERS = {
    "version",
    "notes",
    "stop_at",
    "urgent_reason",
    "requested_by",
    "start_at",
    "digest",
    TRAIN,
    PUTS_RIGHT,
    SINCE,
}


class PreflightOperator(ReleaseOperator):
    """Check all that can be checked before a release begins, give it its identity, and freeze its specification.

    The version fits the app's scheme, platforms, routers and metrics answer, rights are there, stable is healthy, the
    lease is free (or is waited for, deferred), whoever is to be told can be told, and a way back is known.

    :param spec: the :class:`~release_pipelines.spec.release.ReleaseSpec`.
    :return: ``release`` (id), ``version``, ``known`` (the recorded artifact of that version, or null), ``no_op``,
        ``serving`` (version and digest of what has all traffic in the last environment, or null), ``before`` (version, digest and commit on stable), ``requester``, ``started_by`` (who started the run for that person, or null), ``notes``, ``way_back`` and ``uses``
        (what the release uses, in a sentence, and what of the app as it stands it does not carry along: the approver sees it, and
        the history keeps it as the events ``checked`` and ``noticed``).
    """

    def __init__(self, *, spec: ReleaseSpec, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.was_free = False

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.core.progression.measuring import check_metrics

        run: Any = context["dag_run"]
        given: Any = context["params"]
        version = str(given.get("version") or "").strip()
        urgent = str(given.get("urgent_reason") or "").strip()
        who = asked_by(run, given.get("requested_by"))
        app, release = self.spec.app.name, release_id(context)
        history = HistoryHook().history()
        history.begin(
            release,
            app,
            run.dag_id,
            run.run_id,
            one_line(version, VERSION_LIMIT) or UNKNOWN_VERSION,
            who.requester,
            reason=urgent or None,
            notes=given.get("notes") or None,
        )
        if who.started_by:
            sentence = f"{who.started_by} started it for {who.requester}"
            history.record_event(release, "started", sentence, None, {"by": who.started_by})
        context["ti"].xcom_push(
            RELEASE_ID, release
        )  # the outcome must end what begins here, also when a check fails below
        note_now(release, f"{app} {version}, asked for by {who.requester or 'nobody named'}: is being checked.")
        self._check_version(run.conf or {}, version)
        record_remedy(history, app, release, given)
        self._check_people(who, str(given.get("stop_at") or ""))
        end_deleted(context, history, app, self.spec.production.name, release)
        self._wait_for_older_specification(release)
        wait_for_train(history, app, self.spec.production.name, release, urgent, self.spec.app.when_busy)
        freeze(release, self.spec)
        start_at = str(given.get("start_at") or "").strip()
        self._plan(history, release, start_at)
        self._ask_features(urgent, planned=bool(start_at))
        known: Artifact | None = history.artifact_of(app, version)
        self._check_digest((run.conf or {}).get("digest"), known)
        if known is None:
            self._refuse(
                (it for _, feature in FEATURES.usable() for it in feature.before_build(self.spec, version)), urgent
            )
        targets = [target_of(self.spec, environment.name) for environment in self.spec.environments]
        for target in targets:
            PlatformHook(target).call(lambda platform: platform.check(target))  # noqa: B023
            PrometheusHook(target.prometheus_connection).check()
        production, splits = targets[-1], splits_of(self.spec)
        for target in targets:
            asked = splits if target is production else [ALL_TO_STABLE]
            PlatformHook(target).call(lambda platform: check_traffic(platform, target, asked))  # noqa: B023
        metrics = metrics_of(self.spec)
        PlatformHook(production).call(lambda platform: check_metrics(production, metrics, platform))
        seen = PlatformHook(production).call(lambda platform: platform.observe(production))
        self._wait_for_lease(production, seen, release)
        observed = known_stable(PlatformHook(production), production)
        self._check_stable(production, observed, urgent)
        stable = observed.track("stable")
        running = history.artifact_of(app, stable.version) if stable.version else None
        no_op = (
            known is not None
            and seen.track("stable").digest
            == known.digest  # as replicas say it: a tag may have moved since they started
            and stable.ready > 0
            and observed.stable_alone
        )
        if not no_op:
            self._ask_metrics(production, observed, release, urgent)
        way_back = (
            "first release: there is none" if first_release(observed) else f"{stable.named} keeps running on stable"
        )
        self.log.info("%s %s for %s. Way back: %s.", app, version, who, way_back)
        uses = summary(self.spec)
        self.log.info("Checked: %s.", uses)
        from release_pipelines.core.model.records import STAGES

        history.attach(release, STAGES, "application/json", line_of(self.spec).model_dump_json())
        history.record_event(release, "checked", uses)
        remarks = [*self._remarks(production), *self._features_remark()]
        for remark in remarks:
            self.log.warning("In %s: %s.", production.environment, remark)
            history.record_event(release, "noticed", remark, production.environment)
        return {
            "release": release,
            "version": version,
            "known": to_json(known) if known else None,
            "no_op": no_op,
            "serving": self._serving(seen, observed),
            "before": {
                "version": stable.version,
                "digest": stable.digest,
                "commit": running.commit if running else None,
            },
            "requester": who.requester,
            "started_by": who.started_by,
            "notes": given.get("notes") or "",
            "urgent_reason": urgent,
            "start_at": start_at,
            "way_back": way_back,
            "uses": ". ".join([uses, *remarks]),
        }

    def _wait_for_older_specification(self, release: str) -> None:
        """A release begins with its file as it is now, not with what an earlier one keeps in force.

        Otherwise releases that overlap would hand an old file on from one to the next.
        """
        others, newest = others_running(self.spec.app.name, release), last_valid(self.spec.app.name)
        if not others or newest is None or newest == self.spec:
            return
        busy = f"The file of {self.spec.app.name} has changed since {others[0]} began, which goes on as it was"
        if self.spec.app.when_busy == "refuse":
            raise AirflowFailException(f"{busy}: start again when that has ended.")
        self.log.info("%s. Waiting until that has ended.", busy)
        raise AirflowRescheduleException(datetime.now(timezone.utc) + timedelta(seconds=LOOK_SECONDS))

    def _check_version(self, conf: dict[str, Any], version: str) -> None:
        unknown = sorted(set(conf) - PARAMETERS)
        if unknown:
            raise AirflowFailException(
                f"Unknown parameter {unknown[0]}: one of {', '.join(sorted(PARAMETERS))} is expected."
            )
        if not version:
            raise AirflowFailException("Parameter version is missing: say which version to release.")
        misfit = version_fits(self.spec.app.version_scheme, version)
        if misfit:
            raise AirflowFailException(misfit)

    def _check_digest(self, digest: object, known: Artifact | None) -> None:
        """The digest that a push has told is that of the version (R1)."""
        if digest is None:
            return
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise AirflowFailException("Parameter digest: one like sha256:… with 64 hexadecimal digits is expected.")
        if self.spec.app.part("build", Source):
            raise AirflowFailException("Parameter digest is for apps whose image is built elsewhere.")
        if known is not None and known.digest != digest:
            if self._same(known, digest):
                self.log.info("%s has the images of %s: released as that.", digest, known.reference)
                return
            raise AirflowFailException(
                f"{known.version} is known as {known.digest}, and {digest} is asked for: a version keeps its image."
            )

    def _same(self, known: Artifact, digest: str) -> bool:
        from release_pipelines.airflow.images import same

        return same(self.spec.environments[0].connections.registry, known.image, known.digest, digest)

    def _serving(self, seen: Observed, observed: Observed) -> dict[str, Any] | None:
        """What has all traffic, as replicas say it: a tag may have moved since they started."""
        stable = seen.track("stable")
        if not (stable.digest and stable.ready > 0 and observed.stable_alone):
            return None
        return {"version": stable.version, "digest": stable.digest}

    def _wait_for_lease(self, target: Target, observed: Observed, release: str) -> None:
        import time

        lease = observed.lease
        free = self.was_free or lease is None or lease.expires_at <= time.time()
        if free or lease is None or lease.holder in ("", release):
            return
        busy = f"{target.app} in {target.environment} is being changed by {lease.holder}."
        if self.spec.app.when_busy == "refuse":
            raise AirflowFailException(busy)
        self.log.info("%s Waiting until that has ended.", busy)
        note_now(release, f"{busy} Waiting until that has ended.")
        self.defer(trigger=LeaseFreeTrigger(target=to_json(target)), method_name="free")

    def free(self, context: Context, event: dict[str, Any]) -> Any:
        """The other release has ended: look again. Whether the lease is free is judged once more by who takes it."""
        self.was_free = True
        return self.execute(context)

    def _remarks(self, target: Target) -> list[str]:
        """What is worth knowing of what stands; that it cannot be seen is no reason to refuse a release."""

        async def remarks(platform: Any) -> list[str]:
            told = getattr(platform, "remarks", None)  # a platform of another package need not have it
            return list(await told(target)) if told else []

        try:
            return PlatformHook(target).call(remarks)
        except PlatformError as error:
            self.log.warning("What stands already could not be looked at: %s", error)
            return []

    def _check_people(self, asked: Asked, stop_at: str) -> None:
        """Somebody asks, and somebody else must be left who may approve: better said now than when everything is built and tested."""
        production, alone = self.spec.production, self.spec.app.approval.self_approval
        if asked.requester is None and not alone:
            raise AirflowFailException("Nobody is named who asks for this release: give `requested_by`.")
        if alone or stop_at not in ("", production.name):
            return
        if not allowed_approvers(production.approvers, *asked, self_approval=False):
            raise AirflowFailException(
                f"Nobody is left who may approve: {asked} asks for the release, and {in_words(production.approvers, 'nobody')} may "
                f"approve. Name another one in `approvers` of {production.name}."
            )

    def _features_remark(self) -> list[str]:
        found = list(self.spec.remarks)
        for name, feature in FEATURES.usable():
            with noted(f"{name} could not say what it thinks of the release"):
                found += feature.remarks(self.spec)
        return found

    def _plan(self, history: History, release: str, start_at: str) -> None:
        """Refuse a moment in which the release may not begin, or whose window another release of the app is planned for."""
        from release_pipelines.airflow.windows import obstacle_to_plan, planned_at, same_window

        if not start_at:
            return
        app, production = self.spec.app.name, self.spec.production.name
        rule = window_rule(self.spec, production)
        if rule is None:
            raise AirflowFailException(
                f"`start_at` is for apps with `calendars`: {app} names none, nor does {production}."
            )
        if why := obstacle_to_plan(rule, start_at, self.spec.app.approval.valid_for):
            raise AirflowFailException(why)
        at = planned_at(rule, start_at)
        other = history.plan(release, production, start_at, lambda text: same_window(rule, at, planned_at(rule, text)))
        if other is not None:
            back = "wait for its end" if other.begun else "take that plan back first, with `release unschedule`"
            raise AirflowFailException(
                f"{other.version} of {app} is planned for the same window, for {other.start_at} ({other.release}): choose "
                f"another window, or {back}."
            )

    def _ask_features(self, urgent: str, *, planned: bool = False) -> None:
        """What stands in the way of a release as features see it; what is installed and cannot be loaded is said."""
        for _, sentence in FEATURES.broken():
            self.log.warning("%s Going on without it.", sentence)
        found = (it for _, feature in FEATURES.usable() for it in feature.preflight(self.spec))
        self._refuse((it for it in found if not (planned and it.passing)), urgent)

    def _refuse(self, problems: Iterable[Problem], urgent: str) -> None:
        for problem in problems:
            if not problem.urgent:
                raise AirflowFailException(problem.sentence)
            self._go_on_if_urgent(problem.sentence, urgent)

    def _go_on_if_urgent(self, sentence: str, urgent: str) -> None:
        if not urgent:
            raise AirflowFailException(f"{sentence} To release all the same give `urgent_reason`.")
        self.log.warning("%s Going on, because: %s", sentence, urgent)

    def _ask_metrics(self, target: Target, observed: Observed, release: str, urgent: str) -> None:
        """Ask for every metric of stable: what can never be measured ends every release with the way back (R3)."""
        import time

        from release_pipelines.core.progression.measuring import look_at_stable

        if not observed.track("stable").ready:
            return  # nothing has been counted of anything yet

        async def look(platform: Platform) -> list[Lack]:
            try:
                return await look_at_stable(target, judged, platform, reader, time.time(), open_client)
            finally:
                await reader.close()

        judged = [it for it in stages(self.spec) if isinstance(it, Stage)]
        try:
            reader = PrometheusHook(target.prometheus_connection).reader()
            lacks = PlatformHook(target).call(look)
        except (AirflowNotFoundException, ReleaseError) as error:
            self.log.warning("Nobody could look at the metrics of stable: %s", error)
            return
        for lack in lacks:
            if lack.certain:
                self._go_on_if_urgent(lack.sentence, urgent)
            else:
                self.log.warning("%s", lack.sentence)
                HistoryHook().history().record_event(release, "checked", lack.sentence)

    def _check_stable(self, target: Target, observed: Observed, urgent: str) -> None:
        stable = observed.track("stable")
        if first_release(observed):  # R17
            return
        if stable.ready < stable.wanted or stable.failure:
            sentence = (
                f"stable ({stable.named}) is not healthy in {target.environment}: {stable.ready} of "
                f"{stable.wanted} replicas are ready. {stable.failure or stable.waiting or ''}".strip()
            )
            self._go_on_if_urgent(sentence, urgent)
