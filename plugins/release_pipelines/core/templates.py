"""Templates that pull a task's XCom as JSON, so that a version like 1.10 stays text."""

from __future__ import annotations

NOT_CHECKED = "not checked"
"""The result of a check that did not run, or had nothing to check."""


def xcom(task_id: str, key: str = "return_value") -> str:
    """The whole value as JSON; ``null`` where there is none."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}', key='{key}') | tojson }}}}"


def text(task_id: str, key: str) -> str:
    """A value that is text; empty where there is none."""
    return f"{{{{ ti.xcom_pull(task_ids='{task_id}', key='{key}') or '' }}}}"


def field(task_id: str, name: str, key: str = "return_value") -> str:
    """One field of a value as text; empty where there is none."""
    return f"{{{{ (ti.xcom_pull(task_ids='{task_id}', key='{key}') or {{}}).get('{name}') or '' }}}}"


def part(task_id: str, name: str) -> str:
    """One field of a value as JSON; ``null`` where there is none."""
    return f"{{{{ (ti.xcom_pull(task_ids='{task_id}') or {{}}).get('{name}') | tojson }}}}"


def passed(task_id: str) -> str:
    """ "passed" when the task has given something, else nothing."""
    return f"{{{{ 'passed' if ti.xcom_pull(task_ids='{task_id}') else '' }}}}"


def ran(task_id: str) -> str:
    """ "passed" when the task has returned a text, if an empty one; nothing where it had nothing to check, or did not run."""
    return f"{{{{ '' if ti.xcom_pull(task_ids='{task_id}') in (none, '{NOT_CHECKED}') else 'passed' }}}}"
