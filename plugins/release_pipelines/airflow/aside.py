"""Commands that cannot wait until the history answers again: `abort` and `pause` are kept in Airflow's own database meanwhile.

The API server puts them there, triggers read them, and the history gets them as soon as it can, marked late. A command stays for a
day, so that no process has to be sure that all others have seen it; that it is taken twice is one command.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterable

from release_pipelines.core.model.command import Command

log = logging.getLogger(__name__)

VARIABLE = "release_pipelines_commands_aside"
"""Name of Airflow's variable: JSON, one list of commands."""
KEPT_SECONDS = 86400.0
"""How long a command stays there, in seconds."""
MOST = 1000
"""So many stay at most, the newest."""


def put_aside(release: str, kind: str, by: str, reason: str | None) -> Command:
    """Keep a command in Airflow's database. Only the API server may.

    :param release: the release's id.
    :return: the command; the same one again within a moment is one.
    """
    from sqlalchemy.exc import IntegrityError

    try:
        return _put(release, kind, by, reason)
    except IntegrityError:  # somebody else has made the variable in the same moment
        return _put(release, kind, by, reason)


def _put(release: str, kind: str, by: str, reason: str | None) -> Command:
    from airflow.models.variable import Variable
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        row = session.scalar(select(Variable).where(Variable.key == VARIABLE).with_for_update())
        known = _read(row.get_val() if row is not None else None)
        young = [it for it in known if it.at > time.time() - KEPT_SECONDS][-MOST:]
        for it in young:
            if (it.release_id, it.kind, it.by) == (release, kind, by) and it.at > time.time() - 5:
                return it
        at = time.time()
        new = Command.model_validate(
            {"id": -int(at * 1e6), "release_id": release, "kind": kind, "by": by, "reason": reason, "at": at}
        )
        value = json.dumps([it.model_dump(mode="json") for it in (*young, new)])
        if row is None:
            session.add(Variable(key=VARIABLE, val=value, description="Commands that wait for the release history"))
        else:
            row.set_val(value)
    return new


def put_aside_of(releases: Iterable[str]) -> list[Command]:
    """The commands of these releases that were kept there, oldest first; their ids are negative. From a trigger; never raises."""
    from airflow.sdk import Variable

    wanted = set(releases)
    try:
        kept = _read(Variable.get(VARIABLE, default=None))
    except Exception as error:  # the history may answer all the same
        log.debug("Airflow does not tell which commands were kept aside: %s", type(error).__name__)
        return []
    return [it for it in kept if it.release_id in wanted and it.at > time.time() - KEPT_SECONDS]


def _read(text: object) -> list[Command]:
    try:
        told = json.loads(text) if isinstance(text, str) else []
        return sorted((Command.model_validate(it) for it in told), key=lambda it: it.at)
    except (TypeError, ValueError):
        log.warning("Airflow's variable %s cannot be read: nothing in it is followed.", VARIABLE)
        return []
