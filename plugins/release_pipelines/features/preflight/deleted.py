"""Releases whose run somebody deleted or cleared: nothing will ever say what they came to, and their specification would stay in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from release_pipelines.spec.frozen import is_frozen, thaw

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History


def end_deleted(context: Any, history: History, app: str, environment: str, release: str) -> None:
    """End the app's releases that Airflow knows no run of any more. Never raises.

    Only those that began here, as their frozen specification says: a history may serve several Airflows.

    :param environment: the app's last one.
    :param release: the id of the release that begins.
    """
    from release_pipelines.airflow.ending import noted

    run: Any = context["dag_run"]
    ti: Any = context["ti"]
    with noted("It could not be seen whether runs were deleted"):
        for it in history.running(app, environment):
            if it.id == release or not is_frozen(it.id):
                continue
            cleared = (it.dag_id, it.run_id) == (run.dag_id, run.run_id)
            if cleared or ti.get_dr_count(it.dag_id, run_ids=[it.run_id]) == 0:
                happened = "cleared" if cleared else "deleted"
                history.finish(it.id, "aborted", f"Aborted {it.version}: its run was {happened} before it had ended.")
                thaw(it.id)
