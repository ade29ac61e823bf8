"""From what apps need of each other to waves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

Needs = Mapping[str, Collection[str]]
"""Apps to those whose new versions theirs need."""


def circle_in(needs: Needs) -> list[str] | None:
    """The apps of a circle, the first one at its end again; None where there is none."""
    done: set[str] = set()

    def follow(app: str, way: list[str]) -> list[str] | None:
        if app in way:
            return [*way[way.index(app) :], app]
        if app in done:
            return None
        for other in needs.get(app, ()):
            if found := follow(other, [*way, app]):
                return found
        done.add(app)
        return None

    return next((found for app in needs if (found := follow(app, []))), None)


def waves_of(apps: Sequence[str], needs: Needs) -> list[list[str]]:
    """The fewest waves in which every app comes after all that it needs.

    :param apps: in the order of the file, which stays inside of a wave.
    :raises ValueError: where the needs are a circle.
    """
    if circle := circle_in(needs):
        raise ValueError(f"no circle is expected, found {' → '.join(circle)}")
    number: dict[str, int] = {}

    def wave(app: str) -> int:
        if app not in number:
            number[app] = 1 + max((wave(it) for it in needs.get(app, ())), default=0)
        return number[app]

    highest = max(map(wave, apps), default=0)
    return [[app for app in apps if number[app] == n] for n in range(1, highest + 1)]


def too_early(waves: Sequence[Sequence[str]], needs: Needs) -> tuple[str, str] | None:
    """An app that is not in a later wave than one that it needs, and that one; None where all are."""
    number = {app: n for n, wave in enumerate(waves) for app in wave}
    for app, others in needs.items():
        for other in others:
            if number[other] >= number[app]:
                return app, other
    return None
