"""When apps may be released next, worked out once for all who look."""

from __future__ import annotations

import time
from collections import OrderedDict
from threading import Lock

from release_pipelines.airflow.windows import standing_at
from release_pipelines.core.model.window import WindowRule
from release_pipelines.core.outlook import Outlook, outlook

SECONDS = 30.0
"""How long an answer counts, in seconds, if nothing opens or closes before."""
MOST = 5000
"""So many answers are kept."""


class Windows:
    """The outlook of each rule, kept for a while."""

    def __init__(self) -> None:
        self._known: OrderedDict[object, tuple[float, Outlook]] = OrderedDict()
        self._lock = Lock()

    def of(self, rule: WindowRule) -> Outlook:
        """Whether a release by this rule may begin now, and when next."""
        key, now = _key(rule), time.time()
        with self._lock:
            until, known = self._known.get(key, (0.0, None))
        if known is not None and now < until:
            return known
        found = outlook(rule, lambda at: standing_at(rule, at), now)
        changes = [it for it in (found.next_at, found.latest_at) if it is not None and it > now]
        with self._lock:
            self._known[key] = min([now + SECONDS, *changes]), found
            self._known.move_to_end(key)
            while len(self._known) > MOST:
                self._known.popitem(last=False)
        return found


def _key(rule: WindowRule) -> object:
    return (rule.app, rule.environment, *rule.calendars, None, *rule.tags, rule.latest_start, rule.time_zone)


WINDOWS = Windows()
