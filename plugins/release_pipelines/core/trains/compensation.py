"""What a train that stops takes back, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from release_pipelines.core.model.train import ON_NEW, Compensate, TrainApp
from release_pipelines.core.trains.waves import Needs


def way_back(apps: Sequence[TrainApp], compensate: Compensate, stopped_in: int | None) -> list[TrainApp]:
    """The apps that go back, in their order: later waves first, inside of a wave the one that held last first.

    Only what the train itself released goes back: nothing that had nothing to do, and nothing whose own release took it back.

    :param stopped_in: the number of the wave in which the train stopped; None: it stopped outside of waves.
    """
    if compensate == "none":
        return []
    held = [it for it in apps if it.result == "released" and it.held_at is not None]
    chosen = [it for it in held if compensate == "all" or it.wave == stopped_in]
    return sorted(chosen, key=lambda it: (-it.wave, -(it.held_at or 0.0), -it.position))


class Step(NamedTuple):
    """What comes next of the compensation.

    :param app: the app.
    :param because_of: apps that keep it where it is, since they need it; empty: it goes back.
    """

    app: TrainApp
    because_of: tuple[TrainApp, ...] = ()


def next_step(apps: Sequence[TrainApp], order: Sequence[str], needs: Needs) -> Step | None:
    """The next app to take back, or to leave because of what needs it; None: nothing is left to do.

    Asked again after each app, also by a process that knows nothing but what the history says.

    :param apps: the train's apps as they are now.
    :param order: names of those that go back, as :func:`way_back` gave them once.
    """
    known = {it.app: it for it in apps}
    for name in order:
        app = known[name]
        if app.result != "released":
            continue
        need_it = tuple(it for it in apps if name in needs.get(it.app, ()) and it.result in ON_NEW)
        return Step(app, need_it)
    return None
