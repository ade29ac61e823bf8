"""What a train releases: versions and digests, fixed before anybody is asked."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.hooks.registry import RegistryHook
from release_pipelines.airflow.notes import note_now
from release_pipelines.airflow.operator import RELEASE_ID, RUN, ReleaseOperator, checked_event, explained, release_id
from release_pipelines.airflow.people import asked_by
from release_pipelines.airflow.stable import known_stable
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.person import Asked
from release_pipelines.core.model.train import TrainApp
from release_pipelines.core.stable import first_release
from release_pipelines.core.tags import IMAGE_TAGS, tags_of
from release_pipelines.core.text import one_line
from release_pipelines.core.versions import version_fits
from release_pipelines.features.train.triggers import AppsFreeTrigger
from release_pipelines.spec.frozen import spec_of
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.target import target as target_of
from release_pipelines.spec.trains import FORM, ManifestSpec, TrainSpec, train_dag_id

if TYPE_CHECKING:
    from airflow.sdk import Context

    from release_pipelines.adapters.history import History

VERSION_OF = "version_"
"""What the form's field for an app's version begins with."""


class TrainPreflightOperator(ReleaseOperator):
    """Find what a train releases: a version and a digest for each app, and what runs now. Nothing of it changes later.

    :param spec: the :class:`~release_pipelines.spec.trains.TrainSpec`.
    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :return: ``release`` (the train's id), ``requester``, ``started_by``, ``notes`` and ``no_op`` (nothing has to be done).

    XCom: return value; ``release``; ``reason`` when it fails.
    """

    def __init__(self, *, spec: TrainSpec, apps: Path, config: Path, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.apps = apps
        self.config = config

    def work(self, context: Context) -> dict[str, Any]:
        run: Any = context["dag_run"]
        given: Any = context["params"]
        train, history, who = release_id(context), HistoryHook().history(), self._asked(context)
        notes = str(given.get("notes") or "").strip()
        name = train_dag_id(self.spec.name)
        history.begin(train, name, run.dag_id, run.run_id, "unknown", who.requester, notes=notes or None)
        if who.started_by:
            sentence = f"{who.started_by} started it for {who.requester}"
            history.record_event(train, "started", sentence, None, {"by": who.started_by})
        context["ti"].xcom_push(RELEASE_ID, train)
        self._check(run.conf or {}, who)
        if not history.train_apps(train):
            apps = self._planned(history, given)
            if all(it.result == "skipped" for it in apps):
                raise AirflowFailException(
                    f"Train {self.spec.name} has nothing to release: {'; '.join(f'{it.app}: {it.sentence}' for it in apps)}."
                )
            history.plan_train(train, ", ".join(it.named for it in apps if it.goes) or "nothing", apps)
        apps = history.train_apps(train)
        for it in apps:
            what = f"{it.named} ({it.digest or 'no digest'}), before {it.before_version or 'nothing'}"
            self.log.info("Wave %s: %s%s.", it.wave, what, f": {it.sentence}" if it.sentence else "")
        note_now(train, f"Train {self.spec.name}: {', '.join(it.named for it in apps if it.goes) or 'nothing to do'}.")
        return {
            "release": train,
            "requester": who.requester,
            "started_by": who.started_by,
            "notes": notes,
            "no_op": not any(it.goes for it in apps),
        }

    def _asked(self, context: Context) -> Asked:
        run: Any = context["dag_run"]
        given: Any = context["params"]
        scheduled = str(getattr(run.run_type, "value", run.run_type)) == "scheduled"
        schedule = self.spec.requested_by or f"the schedule of train {self.spec.name}"
        return asked_by(run, given.get("requested_by") or (schedule if scheduled else None))

    def _check(self, conf: dict[str, Any], who: Asked) -> None:
        fields = [VERSION_OF + app for app in self.spec.all_apps] if self.spec.versions == FORM else []
        allowed = [*fields, "notes", "requested_by"]
        unknown = sorted(set(conf) - set(allowed))
        if unknown:
            raise AirflowFailException(f"Unknown parameter {unknown[0]}: one of {', '.join(allowed)} is expected.")
        if who.requester is None:
            raise AirflowFailException("Nobody is named who asks for this train: give `requested_by`.")

    def _planned(self, history: History, given: Any) -> list[TrainApp]:
        """Every app with its version, its digest, and what it runs now."""
        specs = {app: spec_of(app, self.apps, self.config) for app in self.spec.all_apps}
        listed = self._manifest() if isinstance(self.spec.versions, ManifestSpec) else None
        found: list[TrainApp] = []
        for wave, names in enumerate(self.spec.in_waves, 1):
            for app in names:
                spec = specs[app]
                place = TrainApp(app=app, environment=spec.production.name, wave=wave, position=len(found))
                artifact, why = self._wanted(history, spec, given, listed)
                if artifact is None:
                    found.append(place.model_copy(update={"result": "skipped", "sentence": why}))
                else:
                    found.append(self._standing(spec, place, artifact))
        return found

    def _wanted(
        self, history: History, spec: ReleaseSpec, given: Any, listed: dict[str, str] | None
    ) -> tuple[Artifact | None, str]:
        """What is released of an app; None, with the reason, where it is left out."""
        app = spec.app.name
        if listed is None and self.spec.versions != FORM:
            return self._newest(history, spec)
        version = given.get(VERSION_OF + app) if listed is None else listed.get(app)
        if not str(version or "").strip():
            return None, "no version is given" if listed is None else "the manifest has no version of it"
        return self._artifact(history, spec, str(version).strip()), ""

    def _manifest(self) -> dict[str, str]:
        """The versions in the manifest of the branch's newest commit."""
        import yaml

        where = self.spec.versions
        assert isinstance(where, ManifestSpec)  # noqa: S101 - asked for nothing else
        git = GitHook(where.repository, where.connection).get_conn()
        head = git.newest(where.branch)
        text = git.file(head, where.path)
        place = f"{where.path} of {where.branch} ({head[:12]})"
        if text is None:
            raise AirflowFailException(f"The repository of the manifest has no {place}.")
        try:
            read = yaml.safe_load(text)
        except yaml.YAMLError:
            raise AirflowFailException(f"{place} cannot be read: YAML or JSON is expected.") from None
        if not isinstance(read, dict) or not all(isinstance(it, str) for it in read.values()):
            raise AirflowFailException(
                f'{place}: names of apps to versions as text, like `cart: "1.4.0"`, are expected.'
            )
        strangers = sorted(str(it) for it in read if it not in self.spec.all_apps)
        if strangers:
            raise AirflowFailException(
                f"{place} names {strangers[0]}, which is not in this train: one of {', '.join(self.spec.all_apps)} is expected."
            )
        self.log.info("Versions of %s.", place)
        return {str(app): version for app, version in read.items()}

    @staticmethod
    def _newest(history: History, spec: ReleaseSpec) -> tuple[Artifact | None, str]:
        if len(spec.environments) < 2:
            raise AirflowFailException(
                f"{spec.app.name} goes to {spec.production.name} alone, so nothing passes another environment before it: "
                "its version has to be given by the form or by a manifest."
            )
        staging = spec.environments[-2].name
        return (
            history.newest_passed(spec.app.name, staging, spec.production.name),
            f"nothing of it passed {staging} that {spec.production.name} has not taken back",
        )

    @staticmethod
    def _artifact(history: History, spec: ReleaseSpec, version: str) -> Artifact:
        """The digest of a version: the recorded one, else that of its image in the registry."""
        app = spec.app.name
        if misfit := version_fits(spec.app.version_scheme, version):
            raise AirflowFailException(f"{app}: {misfit}")
        if known := history.artifact_of(app, version):
            return known
        registry = RegistryHook(spec.environments[0].connections.registry).get_conn()
        image, own = spec.app.image or app, spec.app.part("image_tag", str)
        for tag in tags_of([own] if own else IMAGE_TAGS, version, app):
            if digest := registry.digest_of(image, tag):
                return Artifact(app=app, version=version, image=registry.repository(image), digest=digest)
        first = spec.environments[0].name
        raise AirflowFailException(
            f"{app} {version} has no image yet, so nobody could say which digest is approved: release it up to {first} first "
            f"(`stop_at: {first}`), or name another version."
        )

    @staticmethod
    def _standing(spec: ReleaseSpec, place: TrainApp, artifact: Artifact) -> TrainApp:
        target = target_of(spec, spec.production.name)
        observed = known_stable(PlatformHook(target), target)
        stable, first = observed.track("stable"), first_release(observed)
        serves = stable.digest == artifact.digest and stable.ready > 0 and observed.stable_alone
        return place.model_copy(
            update={
                "version": artifact.version,
                "digest": artifact.digest,
                "image": artifact.image,
                "before_version": None if first else stable.version,
                "before_digest": None if first else stable.digest,
                "result": "no_op" if serves else "not_started",
                "sentence": f"it serves already in {place.environment}" if serves else "",
            }
        )


class TrainReserveOperator(ReleaseOperator):
    """Keep the apps of a train for it, all of them or none, until it has ended; then make sure that they still run what was shown.

    :param spec: the train.
    :param apps: folder of the app files.
    :param config: folder of the environment files.
    :param release: the train's id.
    :return: names of the apps.

    Templated: ``release``.
    XCom: return value; ``aborted`` when a person ends the train; ``reason`` when it fails.
    """

    template_fields = ("release",)

    def __init__(self, *, spec: TrainSpec, apps: Path, config: Path, release: str = RUN, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec = spec
        self.apps = apps
        self.config = config
        self.release = release

    def work(self, context: Context) -> list[str]:
        history = HistoryHook().history()
        going = [it for it in history.train_apps(self.release) if it.goes]
        if not going:
            raise AirflowSkipException("Nothing has to be done.")
        others = history.hold_apps(self.release, going)
        if others:
            self._held(others, going)
        for it in going:
            self._check_unchanged(it)
        return [it.app for it in going]

    def _held(self, others: dict[str, str], going: list[TrainApp]) -> NoReturn:
        busy = "; ".join(f"{app} belongs to {train}" for app, train in others.items())
        if self.spec.when_held == "stop":
            raise AirflowFailException(
                f"{busy} until that train has ended: this train does not wait (`when_held: stop`)."
            )
        self.log.info("%s. Waiting until that has ended.", busy)
        note_now(self.release, f"{busy}. Waiting until that has ended.")
        places = [[it.app, it.environment] for it in going]
        self.defer(trigger=AppsFreeTrigger(train=self.release, places=places), method_name="free")
        raise AssertionError("it has been deferred")

    def free(self, context: Context, event: dict[str, Any]) -> Any:
        """The other trains have ended: try again."""
        with explained(context):
            checked_event(event)
        return self.execute(context)

    def _check_unchanged(self, app: TrainApp) -> None:
        """What goes back, if it has to, must be what ran when the train was approved."""
        if app.run_id is not None:  # it has begun: this is a second try
            return
        target = target_of(spec_of(app.app, self.apps, self.config), app.environment)
        stable = PlatformHook(target).call(lambda platform: platform.observe(target)).track("stable")
        if app.before_digest and stable.digest and stable.digest != app.before_digest:
            raise AirflowFailException(
                f"{one_line(app.app)} ran {app.before_version or app.before_digest} when this train was approved, and runs {stable.named} now: "
                "start the train again."
            )
