"""People let an artifact into an environment, and let a release go on."""

from release_pipelines.features.approval.operators.approvals import ReleaseApprovalOperator, StepApprovalOperator
from release_pipelines.features.approval.operators.asking import AskingOperator, Decision
from release_pipelines.features.approval.operators.urgent import UrgentApprovalOperator

__all__ = ["AskingOperator", "Decision", "ReleaseApprovalOperator", "StepApprovalOperator", "UrgentApprovalOperator"]
