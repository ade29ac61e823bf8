"""Where the modules and names of version 0.1 are now, so that DAG files and deferred triggers of then go on working.

An old module is made when somebody imports it, and takes each of its names from its new place, with a DeprecationWarning.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FrameType, ModuleType
from typing import Any

MODULES = {
    "domain": "",
    "domain.analysis": (
        "core.verdicts core.judges.threshold core.judges.sequential core.judges._samples "
        "core.progression.measuring core.promql core.sentences core.model.measurement core.ports.judge"
    ),
    "domain.approval": "features.approval.form spec.stages",
    "domain.control": "core.model.command features.commands.rights",
    "domain.drawing": "features.report.drawing",
    "domain.incident": "features.report.incident_report core.model.outcome",
    "domain.kayenta": "core.judges.kayenta",
    "domain.metrics": (
        "core.promql adapters.metrics.sources._counters adapters.metrics.sources.memory adapters.metrics.services"
    ),
    "domain.notice": "core.model.notice",
    "domain.outcome": "features.outcome.decision core.model.task_state",
    "domain.plots": "features.report.plots core.ports.judge",
    "domain.records": "core.model.records core.model.release_id core.model.command",
    "domain.release": "core.versions core.capacity spec.target",
    "domain.replicas": "core.capacity",
    "domain.rollback": "features.rollback.plan core.model.release_id",
    "domain.sequential": "core.judges._e_values",
    "domain.strategy": "spec.stages core.model.stage core.capacity",
    "domain.values": (
        "core.model.base core.model.artifact core.model.deployment core.model.lease core.model.measurement "
        "core.model.observation core.model.route core.model.target core.model.track core.model.traffic "
        "core.model.verdict"
    ),
    "history": "adapters.history",
    "history.connect": "adapters.history.connect",
    "history.queries": "adapters.history.queries",
    "history.store": "adapters.history.store adapters.history.errors",
    "history.tables": "adapters.history.tables",
    "hooks.controls": "airflow.commands",
    "hooks.engine": "airflow.hooks.engine adapters.builders.engine",
    "hooks.entry": "adapters.entry",
    "hooks.git": "airflow.hooks.git adapters.git adapters.git.repository adapters.git._command",
    "hooks.history": "airflow.hooks.history",
    "hooks.loop": "airflow.loop",
    "hooks.platform": "airflow.hooks.platform",
    "hooks.prometheus": "airflow.hooks.prometheus adapters.metrics.prometheus",
    "hooks.registry": "airflow.hooks.registry adapters.registries._client adapters.registries._manifests",
    "listener": "airflow.listener",
    "notifications": (
        "features.notify.operators features.notify.spec core.model.notice core.ports.notifier airflow.notifiers.base"
    ),
    "notifications.base": "airflow.notifiers.base core.ports.notifier",
    "notifications.log": "airflow.notifiers.log adapters.notifiers.log",
    "notifications.mail": "airflow.notifiers.mail adapters.notifiers.mail",
    "notifications.slack": "airflow.notifiers.slack adapters.notifiers.slack",
    "notifications.webhook": "airflow.notifiers.webhook adapters.notifiers.webhook",
    "operators.approval": "features.approval.operators",
    "operators.base": "airflow.operator",
    "operators.build": (
        "adapters.builders.engine core.ports.builder features.build.operators._tries adapters.git "
        "features.build.operators.build_image features.build.operators.push_image "
        "features.build.operators.resolve_commit features.build.operators.resolve_digest"
    ),
    "operators.canary": "features.stage.operators",
    "operators.check": "features.checks.operators airflow.smoke_test",
    "operators.control": "features.commands.operators",
    "operators.deploy": "features.deployment.operators airflow.rollouts features.deployment.decisions",
    "operators.gate": "airflow.gates airflow.task_states",
    "operators.lease": "features.lease.operators core.model.lease",
    "operators.manual_rollback": "features.rollback.operators.manual spec.frozen",
    "operators.preflight": "features.preflight.operators airflow.operator",
    "operators.promote": "features.promotion.operators",
    "operators.record": "features.outcome.operators features.artifact.operators",
    "operators.rollback": "features.rollback.operators.planned airflow.operator core.model.release_id",
    "operators.scan": (
        "features.scan.operators core.model.finding core.ports.scanner adapters.scanners._command "
        "adapters.scanners.bandit adapters.scanners.hadolint"
    ),
    "operators.stage": "features.stage.operators",
    "operators.telling": "airflow.ending",
    "operators.undo": "features.deployment.operators",
    "pipeline.build": "",
    "pipeline.common": "airflow.forms",
    "pipeline.control": "features.commands.dag",
    "pipeline.environments": "",
    "pipeline.production": "",
    "pipeline.rollback": "features.rollback.dag",
    "pipeline.xcom": "core.templates",
    "platforms": "",
    "platforms.base": "core.ports.platform core.errors",
    "platforms.container_host": "adapters.platforms.container_host.platform",
    "platforms.container_host.engine": "adapters.platforms.container_host.engine adapters.platforms.container_host.logs",
    "platforms.container_host.platform": (
        "adapters.platforms.container_host.platform adapters.platforms.container_host.host "
        "adapters.platforms.container_host.jobs"
    ),
    "platforms.container_host.replicas": "adapters.platforms.container_host.replicas",
    "platforms.container_host.rollout": "adapters.platforms.container_host.rollout",
    "platforms.container_host.scripts": "adapters.platforms.container_host.scripts",
    "platforms.container_host.state": "adapters.platforms.container_host.state adapters.routers.traefik",
    "platforms.kubernetes": "adapters.platforms.kubernetes.platform",
    "platforms.kubernetes.access": "adapters.platforms.kubernetes.access adapters.routers.gateway_api",
    "platforms.kubernetes.client": "adapters.kubernetes.client",
    "platforms.kubernetes.jobs": "adapters.platforms.kubernetes.jobs",
    "platforms.kubernetes.leases": "adapters.platforms.kubernetes.leases",
    "platforms.kubernetes.looking": "adapters.platforms.kubernetes.state adapters.platforms.kubernetes.routing",
    "platforms.kubernetes.platform": (
        "adapters.platforms.kubernetes.platform adapters.platforms.kubernetes.cluster "
        "adapters.platforms.kubernetes.workloads adapters.platforms.kubernetes.withdrawal"
    ),
    "platforms.kubernetes.preview": "adapters.platforms.kubernetes.preview",
    "platforms.kubernetes.readiness": "adapters.platforms.kubernetes.readiness adapters.platforms.kubernetes.reasons "
    "adapters.platforms.kubernetes.evidence",
    "platforms.kubernetes.routers": (
        "adapters.kubernetes.router adapters.kubernetes.annotations core.ports.router adapters.routers.gateway_api "
        "adapters.routers.istio adapters.routers.replicas"
    ),
    "platforms.kubernetes.routers.base": (
        "adapters.kubernetes.router adapters.kubernetes.annotations adapters.routers._rules"
    ),
    "platforms.kubernetes.routers.gateway_api": "adapters.routers.gateway_api adapters.routers._rules",
    "platforms.kubernetes.routers.istio": "adapters.routers.istio",
    "platforms.kubernetes.routers.replicas": "adapters.routers.replicas",
    "platforms.kubernetes.workloads": "adapters.platforms.kubernetes.manifests",
    "airflow.plugin": "pages.plugin",
    "plugin": "pages.plugin",
    "provider_info": "airflow.provider_info",
    "sensors.rollout": "features.deployment.sensors",
    "spec.analysis": "core.judges.kayenta",
    "spec.base": "core.model.units core.model.analysis core.model.outcome",
    "spec.checks": "spec.feature",
    "spec.checks_of_strategies": "spec.feature core.capacity",
    "spec.loader": "spec.sentences",
    "spec.models": "spec.app spec.environment  features.build.spec features.scan.spec",
    "spec.notify": "features.notify.spec",
    "spec.promql": "core.promql",
    "spec.settings": "spec.folders",
    "spec.strategy": "core.model.stage",
    "steering": "cli.commands",
    "terminal": "cli.terminal",
    "triggers.approval": "features.approval.triggers",
    "triggers.base": "airflow.triggers core.progression.waiting",
    "triggers.check": "features.checks.triggers",
    "triggers.lease": "features.lease.triggers airflow.triggers core.progression.heartbeat",
    "triggers.measuring": "core.progression.measuring",
    "triggers.promote": "features.promotion.triggers core.progression.promotion",
    "triggers.retire": "airflow.triggers core.progression.retirement",
    "triggers.rollout": "airflow.triggers",
    "triggers.stage": "features.stage.triggers core.progression.stage core.progression.hold core.progression.capacity",
    "triggers.steering": "core.progression.commands",
    "triggers.watching": "core.progression.watch core.progression.commands core.progression.decision",
}
"""Old modules to the new ones, in which their names are looked for one after the other. All below ``release_pipelines``."""

NAMES = {
    "domain.analysis.Counted": "core.judges.sequential.SequentialTest",
    "domain.analysis.judge": "core.judges.threshold.measurement",
    "domain.control.ControlKind": "core.model.command.CommandKind",
    "domain.control.KINDS": "core.model.command.COMMAND_KINDS",
    "domain.control.Standing": "core.model.command.CommandState",
    "domain.control.standing": "core.model.command.command_state",
    "domain.control.why": "core.model.command.given_by",
    "hooks.controls.Controls": "airflow.commands.CommandCache",
    "hooks.entry.host": "adapters.entry.host_header",
    "hooks.git.Found": "adapters.git.Revision",
    "hooks.prometheus.PrometheusError": "core.errors.MetricsUnavailable",
    "notifications.base.missing": "airflow.notifiers.base.no_connection",
    "notifications.misfit": "features.notify.operators.obstacle",
    "notifications.slack.LONGEST": "adapters.notifiers.slack.BLOCK_LIMIT",
    "notifications.webhook.LONGEST_PAUSE": "adapters.notifiers.webhook.MAX_PAUSE",
    "operators.base.blank": "airflow.operator.is_blank",
    "operators.base.given": "airflow.operator.as_value",
    "operators.base.judged": "airflow.operator.recorded_verdict",
    "operators.base.mine": "airflow.operator.checked_lease",
    "operators.base.misfit": "airflow.operator.validation_sentence",
    "operators.base.watching": "airflow.operator.judging_arguments",
    "operators.base.went_well": "airflow.operator.checked_event",
    "operators.deploy.UNKNOWN": "core.model.artifact.UNKNOWN_VERSION",
    "operators.manual_rollback.BEGUN": "features.rollback.operators.manual.ROLLBACK_FACTS",
    "operators.manual_rollback.leaving": "features.rollback.operators.manual.track_to_remove",
    "operators.preflight.BEGUN": "airflow.operator.RELEASE_ID",
    "operators.promote.held_on": "features.promotion.operators.judged_track",
    "operators.rollback.keep": "features.rollback.operators.planned.record_plan",
    "operators.rollback.noted": "features.rollback.operators.planned.record_event",
    "platforms.container_host.scripts.LIST": "adapters.platforms.container_host.scripts.SERVE",
    "platforms.container_host.state.Seen": "adapters.platforms.container_host.state.AppState",
    "platforms.kubernetes.access.GATEWAY_GROUP": "adapters.routers.gateway_api.GROUP",
    "platforms.kubernetes.access.route_kind": "adapters.platforms.kubernetes.routing.route_resource",
    "platforms.kubernetes.jobs.run": "adapters.platforms.kubernetes.jobs.run_pod",
    "platforms.kubernetes.looking.Standing": "adapters.platforms.kubernetes.state.ClusterState",
    "platforms.kubernetes.looking.standing": "adapters.platforms.kubernetes.state.read_state",
    "platforms.kubernetes.looking.status": "adapters.platforms.kubernetes.state.track_status",
    "platforms.kubernetes.readiness.Seen": "adapters.platforms.kubernetes.evidence.RolloutEvidence",
    "platforms.kubernetes.routers.Router": "adapters.kubernetes.router.KubernetesRouter",
    "platforms.kubernetes.routers.base.Router": "adapters.kubernetes.router.KubernetesRouter",
    "platforms.kubernetes.workloads.beside_service": "adapters.platforms.kubernetes.services.beside_service",
    "platforms.kubernetes.workloads.job_pod": "adapters.platforms.kubernetes.jobs.job_pod",
    "platforms.kubernetes.workloads.stable_service": "adapters.platforms.kubernetes.services.stable_service",
    "spec.analysis.AnalysisSpec": "core.model.analysis.Analysis",
    "spec.analysis.KayentaSpec": "core.model.analysis.KayentaSettings",
    "spec.analysis.MetricSpec": "core.model.analysis.Metric",
    "spec.base.Spec": "core.model.base.Value",
    "spec.models.RouterSpec": "core.model.target.RouterSettings",
    "spec.models.WorkloadSpec": "core.model.target.Workload",
    "spec.strategy.BlueGreenSpec": "core.strategies.blue_green.BlueGreenSettings",
    "spec.strategy.CanarySpec": "core.strategies.canary.CanarySettings",
    "spec.strategy.HoldSpec": "core.model.hold.Hold",
    "spec.strategy.MatchSpec": "core.strategies.canary.MatchSettings",
    "spec.strategy.RollingSpec": "core.strategies.rolling.RollingSettings",
    "spec.strategy.StepApprovalSpec": "core.model.stage.StepApprovalSettings",
    "spec.strategy.StepSpec": "core.strategies.canary.StepSettings",
    "spec.strategy.StrategySpec": "spec.strategy.StrategySettings",
    "spec.strategy.VerifySpec": "core.model.stage.VerifySettings",
    "steering.HONEST": "cli.commands.TRUST_NOTE",
    "steering.add_to": "cli.commands.add_commands",
    "steering.meant": "cli.commands.addressed_release",
    "terminal.told": "cli.terminal.errors_as_sentences",
    "triggers.base.refused": "airflow.triggers.error_event",
    "triggers.lease.holding": "core.progression.heartbeat.in_hold",
    "triggers.lease.returnable": "core.progression.heartbeat.can_return_traffic",
    "triggers.stage.carried": "core.progression.stage.evidence_before",
    "triggers.steering.BETWEEN_HOLDS": "core.progression.commands.EFFECTS_BETWEEN_HOLDS",
    "triggers.steering.Steering": "core.progression.commands.ReleaseCommands",
    "triggers.watching.Watch": "core.progression.watch.StageWatch",
    "triggers.watching.beside": "core.progression.judging.compared_with",
    "triggers.watching.meanwhile": "core.progression.meanwhile.judge_meanwhile",
    "triggers.watching.said_abort": "core.progression.commands.is_abort_verdict",
}
"""Old names that have new ones."""

ROOT = "release_pipelines."
PUBLIC = ("", ".operators", ".sensors", ".triggers", ".hooks", ".notifications")


def install() -> None:
    """Let old modules be found. First of all finders, since a module of today may have lost names, too."""
    if not any(isinstance(it, _Finder) for it in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder:
    """Finds old modules; one of today that has an old one's name gets the old names that it has lost."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if not fullname.startswith(ROOT) or fullname[len(ROOT) :] not in MODULES:
            return None
        today = PathFinder.find_spec(fullname, path, target)
        if today is None or today.origin is None:  # a folder without modules is left where a package was
            package = any(it.startswith(f"{fullname[len(ROOT) :]}.") for it in MODULES)
            loader: Any = _Old()  # importlib.abc, of which it might be, takes a while to import
            return ModuleSpec(fullname, loader, is_package=package)
        if isinstance(today.loader, SourceFileLoader):
            today.loader = _Today(today.loader.name, today.loader.path)
        return today


class _Old:
    """Loads a module that has nothing of its own."""

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        _give_old_names(module)


class _Today(SourceFileLoader):
    """Loads a module from its file."""

    def exec_module(self, module: ModuleType) -> None:
        super().exec_module(module)
        _give_old_names(module)


def _give_old_names(module: ModuleType) -> None:
    own: Callable[[str], Any] | None = vars(module).get("__getattr__")

    def get(name: str) -> Any:
        if own is not None:
            try:
                return own(name)
            except AttributeError:
                pass
        if name.startswith("__"):
            raise AttributeError(f"module {module.__name__!r} has no attribute {name!r}")
        new, value = _moved(module.__name__, name)
        _warn(f"{module.__name__}.{name}", new, value)
        setattr(module, name, value)
        return value

    vars(module)["__getattr__"] = get


def _moved(module: str, name: str) -> tuple[str, Any]:
    """The new dotted name of ``name`` in an old module, and what it stands for."""
    old = module[len(ROOT) :]
    if f"{old}.{name}" in NAMES:
        place, _, renamed = (ROOT + NAMES[f"{old}.{name}"]).rpartition(".")
        return f"{place}.{renamed}", getattr(import_module(place), renamed)
    for place in MODULES[old].split():
        new = import_module(ROOT + place)
        if hasattr(new, name):
            return f"{ROOT}{place}.{name}", getattr(new, name)
    raise AttributeError(f"module {module!r} has no attribute {name!r}")


def _warn(old: str, new: str, value: Any) -> None:
    """Warn the file that asks; never Airflow, which loads deferred triggers by the class path in its database."""
    asking: FrameType | None = sys._getframe(2)
    while asking is not None and asking.f_globals.get("__name__", "").startswith(("importlib", "_frozen_importlib")):
        asking = asking.f_back
    if asking is None or asking.f_globals.get("__name__", "").startswith("airflow."):
        return
    name = new.rpartition(".")[2]
    for package in PUBLIC:
        public = import_module(f"release_pipelines{package}")
        if name in public.__all__ and getattr(public, name) is value:
            new = f"{public.__name__}.{name}"
            break
    place, _, name = new.rpartition(".")
    warnings.warn_explicit(
        f"{old} has moved: `from {place} import {name}`.",
        DeprecationWarning,
        filename=asking.f_code.co_filename,
        lineno=asking.f_lineno,
        module=asking.f_globals.get("__name__"),
        registry=asking.f_globals.setdefault("__warningregistry__", {}),
    )
