"""Checks against a running app: smoke test, integration test, metric gate."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowException, AirflowFailException

from release_pipelines.domain.values import Artifact, Target
from release_pipelines.hooks.platform import PlatformHook
from release_pipelines.hooks.prometheus import PrometheusHook
from release_pipelines.operators.base import ReleaseOperator, given

if TYPE_CHECKING:
    from airflow.sdk import Context

PATIENCE_SECONDS = 5.0
"""A proxy takes a moment to see a new route: so long a wrong answer is asked for again."""


def smoke_test(target: Target, paths: list[str], version: str | None) -> None:
    """GET every path through the environment's proxy.

    :param version: what the version header must say; None: any.
    :raises AirflowException: one sentence that names the address, the answer and what was expected.
    """
    import requests

    for path in paths:
        url, headers = target.url.rstrip("/") + path, {"Host": target.host} if target.host else {}
        end = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                answer = requests.get(url, headers=headers, timeout=5, allow_redirects=False)
                said = answer.headers.get(target.version_header)
                wrong = not 200 <= answer.status_code < 300 or (version is not None and said != version)
                found = f"{answer.status_code} from version {said or 'unknown'}"
            except requests.RequestException as error:
                wrong, found = True, f"no answer ({type(error).__name__})"
            if not wrong:
                break
            if time.monotonic() > end:
                at = f"{url} (host {target.host})" if target.host else url
                raise AirflowException(f"{at}: {found}; 2xx from version {version or 'any'} was expected.")
            time.sleep(0.3)


class SmokeTestOperator(ReleaseOperator):
    """Ask the app over HTTP, through its proxy, and expect 2xx from the right version.

    :param target: the app in its environment: a :class:`~release_pipelines.domain.values.Target` or its dict.
    :param paths: paths to GET.
    :param version: version that the header ``target.version_header`` must carry; empty: any.
    :return: the checked addresses.
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
        target = given(Target, self.target, "target")
        try:
            smoke_test(target, self.paths, self.version or None)
        except AirflowException as error:
            raise AirflowFailException(str(error)) from None
        self.log.info(
            "%s: %s answered as %s.", target.environment, ", ".join(self.paths), self.version or "any version"
        )
        return [target.url.rstrip("/") + path for path in self.paths]


class IntegrationTestOperator(ReleaseOperator):
    """Run a command in the new image beside the app, with ``BASE_URL`` and ``HOST`` in its environment.

    :param target: the app in its environment.
    :param artifact: the image that the command runs in.
    :param command: the command and its arguments; empty: nothing to test, the task succeeds and says so.
    :param timeout: seconds that it may take.
    :return: the end of its output.
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
        target, artifact = given(Target, self.target, "target"), given(Artifact, self.artifact, "artifact")
        env = {"BASE_URL": target.url, "HOST": target.host or "", "VERSION": artifact.version}
        output = PlatformHook(target).call(
            lambda platform: platform.run(target, artifact, self.command, env, self.timeout)
        )
        self.log.info(output)
        return output


class MetricGateOperator(ReleaseOperator):
    """Let the run go on only if one PromQL number is within its limit.

    :param query: PromQL that gives one number.
    :param limit: highest allowed value.
    :param prometheus_conn_id: Airflow connection of type ``prometheus``.
    :return: the number. No number fails the task with "could not measure": only a number can pass (R3).
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
