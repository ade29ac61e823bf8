"""Scans before anything is deployed. A scanner that could not look is `unknown`, which blocks: it is never clean."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.findings import keep_results
from release_pipelines.airflow.hooks.git import GitHook
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.operator import ReleaseOperator, is_blank
from release_pipelines.core.errors import PlatformError, PlatformUnavailable
from release_pipelines.core.findings.rules import Rules
from release_pipelines.core.model.finding import Severity
from release_pipelines.core.model.limits import Limits
from release_pipelines.core.ports.scanner import SCANNERS, Scanner
from release_pipelines.features.scan.judged import stop
from release_pipelines.features.scan.operators._place import within
from release_pipelines.features.scan.operators._verdict import limited, log_findings, summary_of

if TYPE_CHECKING:
    from airflow.sdk import Context


class ScanOperator(ReleaseOperator):
    """Scan the source of a commit, and stop the release on what is bad enough, or could not be looked at.

    :param scanner: ``hadolint`` (the Dockerfile), ``bandit`` (Python code), ``semgrep``, ``gitleaks``, ``trivy``, ``trivy_config``,
        ``checkov``, the name of another package's scanner, or a :class:`~release_pipelines.core.ports.scanner.Scanner` of your own.
    :param repository: a Git URL, or a folder that is a Git repository.
    :param commit: full hash of what is scanned.
    :param context: folder inside the repository.
    :param dockerfile: path inside ``context``.
    :param block_on: findings of this severity and above stop the release.
    :param git_conn_id: connection with the credentials of a private repository.
    :param exclude: what is not scanned, by patterns as in a ``.gitignore`` file, seen from ``context``.
    :param rules: what stops the release, with exceptions; None: nothing but ``block_on``.
    :param timeout: how long it may look, in seconds.
    :param memory: how much memory the scanner's processes may have together, in bytes, or like ``2Gi``; None: as much as there is.
    :param container: image in whose container the scanner's program runs, by digest or tag; None: on the worker.
    :param engine_conn_id: the engine that runs it.
    :param registry_conn_id: the registry that tells the digest of a tag, and has the image where its name has no host.
    :param gated: whether a :class:`FindingsGateOperator` behind all scanners judges what is found in components: then only what is found in
        files stops the release here.
    :param release: id of the release that keeps the result, for the gate behind all scanners; empty: none does.
    :return: ``{"scanner", "status", "sentence", "counts"}``; a failing task pushes it as ``result``.

    Templated: ``repository``, ``commit``, ``release``.
    XCom: return value, ``result``; ``reason`` when it fails.
    """

    template_fields = ("repository", "commit", "release")

    def __init__(
        self,
        *,
        scanner: str | Scanner,
        repository: str,
        commit: str,
        context: str = ".",
        dockerfile: str = "Dockerfile",
        block_on: Severity = "high",
        git_conn_id: str | None = None,
        exclude: list[str] | None = None,
        rules: Rules | None = None,
        timeout: float | str = 300.0,
        memory: int | str | None = None,
        container: str | None = None,
        engine_conn_id: str = "container_engine",
        registry_conn_id: str = "registry",
        gated: bool = False,
        release: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"retries": 3, "retry_delay": timedelta(seconds=10), **kwargs})
        if isinstance(scanner, str) and scanner not in SCANNERS.names():
            raise ValueError(f"A scanner is one of {', '.join(SCANNERS.names())} or an object, found {scanner!r}.")
        self.scanner = scanner
        self.repository = repository
        self.commit = commit
        self.context = context
        self.dockerfile = dockerfile
        self.block_on = block_on
        self.git_conn_id = git_conn_id
        self.exclude = exclude or []
        self.container = container
        self.engine_conn_id = engine_conn_id
        self.registry_conn_id = registry_conn_id
        self.gated = gated
        self.rules = rules or Rules(block_on=block_on)
        self.limits = Limits.model_validate({"timeout": timeout, "memory": memory})
        self.release = release

    def work(self, context: Context) -> dict[str, Any]:
        from release_pipelines.adapters.git import folder_inside
        from release_pipelines.adapters.scanners._left_out import leave_out

        scanner = SCANNERS.get(self.scanner) if isinstance(self.scanner, str) else self.scanner
        git = GitHook(self.repository, self.git_conn_id)
        with git.checkout(self.commit, self.context, lfs=False) as source:  # nothing of it is code
            folder = folder_inside(source, self.context)
            left_out = leave_out(folder, self.exclude) if self.exclude else 0
            with within(self.container, self.engine_conn_id, self.registry_conn_id, self.limits):
                result = limited(scanner, self.limits).scan(folder, self.dockerfile)
        sentence = (
            f"{result.sentence.rstrip('.')}, with {left_out} file{'s' if left_out > 1 else ''} left out."
            if left_out
            else result.sentence
        )
        result = result.model_copy(update={"sentence": sentence})
        if not is_blank(self.release):
            keep_results(HistoryHook().history(), self.release, scanner.name, [result])
        summary = summary_of(scanner.name, [result])
        context["ti"].xcom_push("result", summary)
        log_findings(self.log, [result])
        if result.status == "unknown":
            raise (PlatformUnavailable if result.again else PlatformError)(sentence)
        summary["sentence"] = stop(scanner.name, [result], self.rules, gated=self.gated)
        self.log.info("%s", summary["sentence"])
        return summary
