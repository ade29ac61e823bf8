"""What a release uses, in a sentence: for preflight's log, for the approver and for the history."""

from __future__ import annotations

from release_pipelines.core.model.stage import Stage
from release_pipelines.spec.feature import FEATURES
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.stages import metrics_of, stages, strategy_name
from release_pipelines.spec.target import target


def summary(spec: ReleaseSpec) -> str:
    """Like ``canary on kubernetes by router istio; judged by sequential: errors; scanned by bandit; told to log``."""
    last = target(spec, spec.production.name)
    judges = dict.fromkeys(stage.analysis.judge for stage in stages(spec) if isinstance(stage, Stage))
    metrics = [f"{it.name} ({it.source})" if it.source not in (None, it.name) else it.name for it in metrics_of(spec)]
    parts = [
        f"{strategy_name(spec).replace('_', '-')} on {last.platform} by router {last.router.kind}",
        f"judged by {', '.join(judges)}: {', '.join(metrics)}",
        *(words for _, feature in FEATURES.usable() if (words := feature.summary(spec))),
    ]
    return "; ".join(parts)
