"""Triggers that the operators defer to; for operators of your own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.airflow.triggers import LeaseFreeTrigger as LeaseFreeTrigger
    from release_pipelines.airflow.triggers import RetireTrigger as RetireTrigger
    from release_pipelines.airflow.triggers import RolloutTrigger as RolloutTrigger
    from release_pipelines.airflow.triggers import WatchTrigger as WatchTrigger
    from release_pipelines.features.approval.triggers import ReleaseApprovalTrigger as ReleaseApprovalTrigger
    from release_pipelines.features.build.triggers import RemoteBuildTrigger as RemoteBuildTrigger
    from release_pipelines.features.calendars.triggers import ReleaseWindowTrigger as ReleaseWindowTrigger
    from release_pipelines.features.checks.triggers import CheckTrigger as CheckTrigger
    from release_pipelines.features.lease.triggers import HoldLeaseTrigger as HoldLeaseTrigger
    from release_pipelines.features.own_stages.triggers import ContainerStageTrigger as ContainerStageTrigger
    from release_pipelines.features.own_stages.triggers import DagStageTrigger as DagStageTrigger
    from release_pipelines.features.own_stages.triggers import HttpStageTrigger as HttpStageTrigger
    from release_pipelines.features.promotion.triggers import PromoteTrigger as PromoteTrigger
    from release_pipelines.features.scan.triggers import EcrImageScanTrigger as EcrImageScanTrigger
    from release_pipelines.features.stage.triggers import StageTrigger as StageTrigger

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "airflow.triggers": ("LeaseFreeTrigger", "RetireTrigger", "RolloutTrigger", "WatchTrigger"),
        "features.approval.triggers": ("ReleaseApprovalTrigger",),
        "features.build.triggers": ("RemoteBuildTrigger",),
        "features.calendars.triggers": ("ReleaseWindowTrigger",),
        "features.checks.triggers": ("CheckTrigger",),
        "features.lease.triggers": ("HoldLeaseTrigger",),
        "features.own_stages.triggers": ("ContainerStageTrigger", "DagStageTrigger", "HttpStageTrigger"),
        "features.promotion.triggers": ("PromoteTrigger",),
        "features.scan.triggers": ("EcrImageScanTrigger",),
        "features.stage.triggers": ("StageTrigger",),
    },
)
