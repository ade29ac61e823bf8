"""Checks against a running app: smoke test, integration test, metric gate."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.airflow.hooks.prometheus import PrometheusHook
from release_pipelines.airflow.operator import (
    RUN,
    ReleaseOperator,
    as_value,
    checked_event,
    explained,
    judging_arguments,
    recorded_verdict,
)
from release_pipelines.airflow.smoke_test import smoke_test
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.stage import Stage, VerifySettings
from release_pipelines.core.model.target import Target
from release_pipelines.features.checks.triggers import CheckTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


def check_env(target: Target, artifact: Artifact) -> dict[str, str]:
    """What a check finds in its environment: ``BASE_URL``, ``HOST``, ``PREVIEW_HOST`` and ``VERSION``."""
    return {
        "BASE_URL": target.url,
        "HOST": target.host or "",
        "PREVIEW_HOST": target.preview_host or "",
        "VERSION": artifact.version,
    }


class SmokeTestOperator(ReleaseOperator):
    """Ask the app over HTTP, through its proxy, and expect 2xx from the right version.

    :param target: the app in its environment: a :class:`~release_pipelines.core.model.target.Target` or its dict.
    :param paths: paths to GET.
    :param version: version that the header ``target.version_header`` must carry; empty: any.
    :return: the checked addresses.

    Templated: ``version``, ``paths``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("version", "paths")

    def __init__(
        self, *, target: Target | dict[str, Any], paths: list[str] | None = None, version: str = "", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.paths = paths or ["/"]
        self.version = version

    def work(self, context: Context) -> list[str]:
        target = as_value(Target, self.target, "target")
        try:
            smoke_test(target, self.paths, self.version or None)
        except AirflowException as error:
            raise AirflowFailException(str(error)) from None
        self.log.info(
            "%s: %s answered as %s.", target.environment, ", ".join(self.paths), self.version or "any version"
        )
        return [target.address(path) for path in self.paths]


class PreviewTestOperator(ReleaseOperator):
    """Ask the new version itself, past the traffic's weights, before anybody else does, and expect 2xx from it.

    :param target: the app in its environment.
    :param deployment: what the deploying task returned: its track is asked.
    :param paths: paths to GET.
    :return: what answered, like ``preview: /, /cart``.

    Templated: ``deployment``, ``paths``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("deployment", "paths")

    def __init__(
        self, *, target: Target | dict[str, Any], deployment: Any, paths: list[str] | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.deployment = deployment
        self.paths = paths or ["/"]

    def work(self, context: Context) -> str:
        target, deployment = (
            as_value(Target, self.target, "target"),
            as_value(Deployment, self.deployment, "deployment"),
        )
        hook = PlatformHook(target)
        for path in self.paths:
            answer = hook.call(lambda platform: platform.ask(target, deployment.track, path))  # noqa: B023
            if not 200 <= answer.status < 300 or answer.version != deployment.version:
                raise AirflowFailException(
                    f"{path} on the {deployment.track}: {answer.status} from version {answer.version or 'unknown'}; "
                    f"2xx from version {deployment.version} was expected."
                )
        paths = f"{deployment.track}: {', '.join(self.paths)}"
        self.log.info("%s answered as %s.", paths, deployment.version)
        return paths


class IntegrationTestOperator(ReleaseOperator):
    """Run a command in the new image beside the app, with the environment of :func:`check_env`.

    :param target: the app in its environment.
    :param artifact: the image that the command runs in.
    :param command: the command and its arguments; empty: nothing to test, the task succeeds and says so.
    :param timeout: seconds that it may take.
    :return: the end of its output.

    Templated: ``artifact``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("artifact",)

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        command: list[str],
        timeout: float = 600.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.command = command
        self.timeout = timeout

    def work(self, context: Context) -> str:
        if not self.command:
            self.log.info("The app has no integration test.")
            return "not checked"
        target, artifact = as_value(Target, self.target, "target"), as_value(Artifact, self.artifact, "artifact")
        output = PlatformHook(target).call(
            lambda platform: platform.run(
                target, artifact.reference, self.command, check_env(target, artifact), self.timeout
            )
        )
        self.log.info(output)
        return output


class CheckOperator(ReleaseOperator):
    """Run a command of the team's own as a stage of a release; it passes when it ends with 0. Deferred: holds no worker slot.

    A person who aborts the release ends it at once, with XCom ``aborted``. With ``stage``, ``lease`` and ``deployment`` the version
    goes on being judged meanwhile: a failing verdict takes the traffic back at once and fails the task, with XCom ``verdict``.

    :param target: the app in its environment.
    :param artifact: the artifact that is released.
    :param lease: the lease, from :class:`~release_pipelines.features.lease.operators.TakeLeaseOperator`.
    :param deployment: what the deploying task returned.
    :param stage: the :class:`~release_pipelines.core.model.stage.Stage` whose traffic the version has; None: it has none yet.
    :param verify: image (default: the artifact's), command and timeout in seconds: a
        :class:`~release_pipelines.core.model.stage.VerifySettings` or its dict. Its environment is that of :func:`check_env`.
    :param release: the release's id.
    :return: the end of its output.

    Templated: ``artifact``, ``release``, ``lease``, ``deployment``.
    XCom: return value; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person ends the release;
    ``reason`` when it fails.
    """

    template_fields = ("artifact", "release", "lease", "deployment")

    def __init__(
        self,
        *,
        target: Target | dict[str, Any],
        artifact: Any,
        verify: VerifySettings | dict[str, Any],
        release: str = RUN,
        lease: Any = None,
        deployment: Any = None,
        stage: Stage | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.target = target
        self.artifact = artifact
        self.verify = verify
        self.release = release
        self.lease = lease
        self.deployment = deployment
        self.stage = stage

    def work(self, context: Context) -> None:
        target, artifact = as_value(Target, self.target, "target"), as_value(Artifact, self.artifact, "artifact")
        verify = VerifySettings.model_validate(self.verify)
        self.defer(
            trigger=CheckTrigger(
                target=to_json(target),
                release=self.release,
                image=verify.image or artifact.reference,
                command=verify.command,
                env=check_env(target, artifact),
                timeout=verify.timeout,
                **judging_arguments(self.stage, self.lease, self.deployment, artifact),
            ),
            method_name="ended",
        )

    def ended(self, context: Context, event: dict[str, Any]) -> str:
        """The command has ended, or somebody ended it, or the version turned bad."""
        with explained(context):
            if event.get("verdict"):
                target, artifact = (
                    as_value(Target, self.target, "target"),
                    as_value(Artifact, self.artifact, "artifact"),
                )
                raise AirflowFailException(recorded_verdict(context, event, self.release, target, artifact).sentence)
            output = str(checked_event(event)["output"])
            self.log.info(output)
            return output


class MetricGateOperator(ReleaseOperator):
    """Let the run go on only if one PromQL number is within its limit.

    :param query: PromQL that gives one number.
    :param limit: highest allowed value.
    :param prometheus_conn_id: Airflow connection of type ``prometheus``.
    :return: the number. No number fails the task with "could not measure": only a number can pass (R3).

    Templated: ``query``.
    XCom: return value; ``reason`` when it fails.
    """

    template_fields = ("query",)

    def __init__(
        self, *, query: str, limit: float, prometheus_conn_id: str = "prometheus_default", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.query = query
        self.limit = limit
        self.prometheus_conn_id = prometheus_conn_id

    def work(self, context: Context) -> float:
        value = PrometheusHook(self.prometheus_conn_id).query(self.query)
        if value is None or not math.isfinite(value):
            raise AirflowFailException(f"Could not measure: `{self.query}` gives no number.")
        if value > self.limit:
            raise AirflowFailException(f"`{self.query}` is {value:g}, limit {self.limit:g}.")
        self.log.info("%s is %g, limit %g.", self.query, value, self.limit)
        return value
