"""The form of a release: what somebody who starts one is asked."""

from __future__ import annotations

from airflow.sdk import Param

from release_pipelines.airflow.forms import optional, requested_by
from release_pipelines.spec.release import ReleaseSpec
from release_pipelines.spec.windows import window_rule


def form(spec: ReleaseSpec, names: list[str]) -> dict[str, Param]:
    """The parameters of a release, as Airflow's form shows them.

    :param names: the app's environments, in order.
    """
    examples = {"semver": "1.4.0", "date": "2026.11.23", "commit": "4f1c2aa"}
    return {
        "version": Param(
            "",
            type="string",
            title="Version",
            description=f"What to release, like {examples[spec.app.version_scheme]}.",
        ),
        "notes": optional("Notes", "Shown to the approver and kept in the history."),
        "stop_at": Param(
            names[-1], type="string", enum=names, title="Stop at", description="The last environment that is changed."
        ),
        "urgent_reason": optional(
            "Reason for an urgent release",
            "Lets a release begin although stable is not healthy. Kept in the history.",
            section="Urgent",
        ),
        "remedies": optional(
            "Puts right",
            "The version that failed, where this is a hotfix: it then counts as rework, and its release as the one that failed.",
            section="Urgent",
        ),
        "degraded_since": optional(
            "Degraded since", "Since when that version did harm, like 2026-11-26T09:15:00+01:00.", section="Urgent"
        ),
        **(
            {
                "start_at": optional(
                    "Begin at", "Like 2026-11-28 22:30 Europe/Berlin. Empty: as soon as its calendars are open."
                )
            }
            if window_rule(spec, names[-1])
            else {}
        ),
        "requested_by": requested_by(),
    }
