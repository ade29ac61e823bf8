"""Operators of a release, each of which also works alone in a DAG of your own (see ``docs/operators.md``)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.features.advisories.operators import AdvisoryScanOperator as AdvisoryScanOperator
    from release_pipelines.features.approval.operators import ReleaseApprovalOperator as ReleaseApprovalOperator
    from release_pipelines.features.approval.operators import StepApprovalOperator as StepApprovalOperator
    from release_pipelines.features.attestation.operators import AttestOperator as AttestOperator
    from release_pipelines.features.attestation.operators import AttestProvenanceOperator as AttestProvenanceOperator
    from release_pipelines.features.attestation.operators import SignImageOperator as SignImageOperator
    from release_pipelines.features.attestation.operators import VerifyImageOperator as VerifyImageOperator
    from release_pipelines.features.build.operators.build_image import ImageBuildOperator as ImageBuildOperator
    from release_pipelines.features.build.operators.build_image import ImageTestOperator as ImageTestOperator
    from release_pipelines.features.build.operators.copy_image import ImageCopyOperator as ImageCopyOperator
    from release_pipelines.features.build.operators.push_image import ImagePushOperator as ImagePushOperator
    from release_pipelines.features.build.operators.remote_build import (
        RemoteImageBuildOperator as RemoteImageBuildOperator,
    )
    from release_pipelines.features.build.operators.resolve_commit import ResolveCommitOperator as ResolveCommitOperator
    from release_pipelines.features.build.operators.resolve_digest import ResolveDigestOperator as ResolveDigestOperator
    from release_pipelines.features.calendars.operators import WindowBranchOperator as WindowBranchOperator
    from release_pipelines.features.checks.operators import CheckOperator as CheckOperator
    from release_pipelines.features.checks.operators import IntegrationTestOperator as IntegrationTestOperator
    from release_pipelines.features.checks.operators import MetricGateOperator as MetricGateOperator
    from release_pipelines.features.checks.operators import PreviewTestOperator as PreviewTestOperator
    from release_pipelines.features.checks.operators import SmokeTestOperator as SmokeTestOperator
    from release_pipelines.features.commands.operators import ReleaseControlOperator as ReleaseControlOperator
    from release_pipelines.features.deployment.operators import CanaryDeployOperator as CanaryDeployOperator
    from release_pipelines.features.deployment.operators import PreviewDeployOperator as PreviewDeployOperator
    from release_pipelines.features.deployment.operators import RollBackUpdateOperator as RollBackUpdateOperator
    from release_pipelines.features.deployment.operators import RollingDeployOperator as RollingDeployOperator
    from release_pipelines.features.deployment.operators import RollingUpdateOperator as RollingUpdateOperator
    from release_pipelines.features.lease.operators import GiveBackLeaseOperator as GiveBackLeaseOperator
    from release_pipelines.features.lease.operators import HoldLeaseOperator as HoldLeaseOperator
    from release_pipelines.features.lease.operators import TakeLeaseOperator as TakeLeaseOperator
    from release_pipelines.features.observations.operators import ObserveOperator as ObserveOperator
    from release_pipelines.features.own_stages.operators.container import (
        ContainerStageOperator as ContainerStageOperator,
    )
    from release_pipelines.features.own_stages.operators.dag import DagStageOperator as DagStageOperator
    from release_pipelines.features.own_stages.operators.http import HttpStageOperator as HttpStageOperator
    from release_pipelines.features.own_stages.operators.imported import ImportedStageOperator as ImportedStageOperator
    from release_pipelines.features.own_stages.operators.looking import (
        AccessibilityStageOperator as AccessibilityStageOperator,
    )
    from release_pipelines.features.own_stages.operators.looking import (
        WebSecurityStageOperator as WebSecurityStageOperator,
    )
    from release_pipelines.features.own_stages.operators.looking import ZapStageOperator as ZapStageOperator
    from release_pipelines.features.own_stages.operators.performance import (
        PerformanceStageOperator as PerformanceStageOperator,
    )
    from release_pipelines.features.policy.operators import PolicyOperator as PolicyOperator
    from release_pipelines.features.promotion.operators import PromoteOperator as PromoteOperator
    from release_pipelines.features.pushes.operators import TakePushesOperator as TakePushesOperator
    from release_pipelines.features.rollback.operators.manual import (
        ManualRollbackPlanOperator as ManualRollbackPlanOperator,
    )
    from release_pipelines.features.rollback.operators.manual import RecordRollbackOperator as RecordRollbackOperator
    from release_pipelines.features.rollback.operators.planned import RollbackCleanupOperator as RollbackCleanupOperator
    from release_pipelines.features.rollback.operators.planned import (
        RollbackGiveBackOperator as RollbackGiveBackOperator,
    )
    from release_pipelines.features.rollback.operators.planned import RollbackPlanOperator as RollbackPlanOperator
    from release_pipelines.features.rollback.operators.planned import RollbackPrepareOperator as RollbackPrepareOperator
    from release_pipelines.features.rollback.operators.planned import RollbackSwitchOperator as RollbackSwitchOperator
    from release_pipelines.features.rollback.operators.planned import RollbackVerifyOperator as RollbackVerifyOperator
    from release_pipelines.features.sbom.operators import SbomOperator as SbomOperator
    from release_pipelines.features.scan.operators.gate import FindingsGateOperator as FindingsGateOperator
    from release_pipelines.features.scan.operators.image import ImageScanOperator as ImageScanOperator
    from release_pipelines.features.scan.operators.source import ScanOperator as ScanOperator
    from release_pipelines.features.stage.operators import BakeOperator as BakeOperator
    from release_pipelines.features.stage.operators import CanaryStepOperator as CanaryStepOperator
    from release_pipelines.features.stage.operators import StageOperator as StageOperator

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "features.advisories.operators": ("AdvisoryScanOperator",),
        "features.approval.operators": ("ReleaseApprovalOperator", "StepApprovalOperator"),
        "features.attestation.operators": (
            "AttestOperator",
            "AttestProvenanceOperator",
            "SignImageOperator",
            "VerifyImageOperator",
        ),
        "features.build.operators.build_image": ("ImageBuildOperator", "ImageTestOperator"),
        "features.build.operators.copy_image": ("ImageCopyOperator",),
        "features.build.operators.push_image": ("ImagePushOperator",),
        "features.build.operators.remote_build": ("RemoteImageBuildOperator",),
        "features.build.operators.resolve_commit": ("ResolveCommitOperator",),
        "features.build.operators.resolve_digest": ("ResolveDigestOperator",),
        "features.calendars.operators": ("WindowBranchOperator",),
        "features.checks.operators": (
            "CheckOperator",
            "IntegrationTestOperator",
            "MetricGateOperator",
            "PreviewTestOperator",
            "SmokeTestOperator",
        ),
        "features.commands.operators": ("ReleaseControlOperator",),
        "features.deployment.operators": (
            "CanaryDeployOperator",
            "PreviewDeployOperator",
            "RollBackUpdateOperator",
            "RollingDeployOperator",
            "RollingUpdateOperator",
        ),
        "features.lease.operators": ("GiveBackLeaseOperator", "HoldLeaseOperator", "TakeLeaseOperator"),
        "features.observations.operators": ("ObserveOperator",),
        "features.own_stages.operators.looking": (
            "AccessibilityStageOperator",
            "WebSecurityStageOperator",
            "ZapStageOperator",
        ),
        "features.own_stages.operators.performance": ("PerformanceStageOperator",),
        "features.policy.operators": ("PolicyOperator",),
        "features.own_stages.operators.container": ("ContainerStageOperator",),
        "features.own_stages.operators.dag": ("DagStageOperator",),
        "features.own_stages.operators.http": ("HttpStageOperator",),
        "features.own_stages.operators.imported": ("ImportedStageOperator",),
        "features.promotion.operators": ("PromoteOperator",),
        "features.pushes.operators": ("TakePushesOperator",),
        "features.rollback.operators.manual": ("ManualRollbackPlanOperator", "RecordRollbackOperator"),
        "features.rollback.operators.planned": (
            "RollbackCleanupOperator",
            "RollbackGiveBackOperator",
            "RollbackPlanOperator",
            "RollbackPrepareOperator",
            "RollbackSwitchOperator",
            "RollbackVerifyOperator",
        ),
        "features.sbom.operators": ("SbomOperator",),
        "features.scan.operators.gate": ("FindingsGateOperator",),
        "features.scan.operators.image": ("ImageScanOperator",),
        "features.scan.operators.source": ("ScanOperator",),
        "features.stage.operators": ("BakeOperator", "CanaryStepOperator", "StageOperator"),
    },
)
