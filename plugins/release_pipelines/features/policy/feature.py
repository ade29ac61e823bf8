"""Policies: asked before anything is deployed, before each environment, and after the approval. Never before a rollback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.policy import PolicyName, PolicyWaiver
from release_pipelines.core.templates import field
from release_pipelines.spec.ended import ended_waivers
from release_pipelines.spec.feature import Feature, FeatureTask, Key, Problem, Scene, Slot
from release_pipelines.spec.placing import placed_tasks
from release_pipelines.spec.policies import demanded, policies_of, waivers_of
from release_pipelines.spec.windows import window_rule

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec

POLICIES = "Policies that a release must keep to: files of `include/policies` without `.rego`, or folders there"
LAST = 1000
"""Order of the task that asks last before an environment is touched."""


class PolicyFeature(Feature):
    """Keys for policies and waivers, and the tasks in which they are asked."""

    app_keys = {
        "policies": Key(list[PolicyName], list, f"{POLICIES}. They are asked beside those of the last environment")
    }
    environment_keys = {
        "policies": Key(list[PolicyName], list, POLICIES),
        "policy_waivers": Key(list[PolicyWaiver], list, "Rules that do not stop an app, until a day"),
    }

    def preflight(self, spec: ReleaseSpec) -> Iterator[Problem]:
        """A policy that could not be asked is found before anything is built."""
        names = list(dict.fromkeys(name for it in spec.environments for name in policies_of(spec, it.name)))
        if not names:
            return
        from release_pipelines.adapters.policies.rego import Rego
        from release_pipelines.core.policies.asking import look_at
        from release_pipelines.spec.policies import policies_here

        policies, library = policies_here(names)
        for policy in policies:
            _, _, wrong = look_at(Rego(), policy, library)
            for sentence in wrong:
                yield Problem(sentence)

    def remarks(self, spec: ReleaseSpec) -> Iterator[str]:
        """Waivers that count no more."""
        for it in spec.environments:
            for sentence in ended_waivers(it, spec.app.name):
                yield f"{it.name}.yaml: {sentence}"

    def summary(self, spec: ReleaseSpec) -> str | None:
        names = policies_of(spec, spec.production.name)
        return f"judged by the policies {', '.join(names)}" if names else None

    def demands(self, spec: ReleaseSpec) -> Mapping[str, str]:
        """The tasks that give the evidence which a policy asks for by name."""
        if not any(policies_of(spec, it.name) for it in spec.environments):
            return {}
        from release_pipelines.core.errors import ReleaseError

        try:
            named = demanded(spec)
        except ReleaseError:  # preflight says why, and a release without the evidence is stopped
            return {}
        return {it.id: "a policy" for it in placed_tasks(spec) if _gives(it.task) & named}

    def tasks(self, spec: ReleaseSpec, environment: str | None) -> Iterator[FeatureTask]:
        last = spec.production.name
        names = policies_of(spec, environment or last)
        if not names:
            return
        if environment is None:
            make = partial(_policy, names, last, _later(spec))
            yield FeatureTask("policy", Slot.JUDGE, make, order=LAST)
            return
        facts = {"Policies": field(f"before_{environment}.policy", "sentence")} if environment == last else {}
        make = partial(_policy, names, environment, ("approval",) if environment == last else ())
        yield FeatureTask("policy", Slot.BEFORE_ENVIRONMENT, make, order=LAST, facts=facts)
        if environment == last:
            make = partial(_policy, names, environment, ())
            yield FeatureTask("policy_after_approval", Slot.AFTER_APPROVAL, make, group="", order=LAST, unbroken=True)


def _later(spec: ReleaseSpec) -> tuple[str, ...]:
    """The evidence that is not known yet before anything is deployed: images are verified right before an environment is touched, and
    stages of a team's own may look like scanners."""
    own = ("scans", "findings") if spec.app.part("stages", list) else ()
    return ("tests", "builder", "provenance", "signatures", "approval", "facts", *own)


def _gives(task: FeatureTask) -> set[str]:
    """The evidence of a task, as a policy asks for it by name."""
    return {f"scans.{task.task_id}", *(f"tests.{name}" for name in task.evidence)}


def _policy(names: Sequence[str], environment: str, later: Sequence[str], task_id: str, scene: Scene) -> Any:
    from release_pipelines.features.policy.operators import ReleasePolicyOperator

    spec = scene.spec
    rule = window_rule(spec, environment)
    return ReleasePolicyOperator(
        task_id=task_id,
        policies=names,
        later=later,
        waivers=waivers_of(spec, environment),
        time_zone=spec.environment(environment).time_zone,
        setting={
            "environment": environment,
            "strategy": spec.app.strategy.name,
            "tags": spec.app.part("tags", list) or [],
            "calendars": rule.calendars if rule else [],
        },
        release=scene.release,
        artifact=scene.artifact,
        preflight=scene.preflight,
        tests=scene.evidence,
    )


FEATURE = PolicyFeature()
