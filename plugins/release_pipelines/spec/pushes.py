"""What an app's files say about pushes, as the core wants it."""

from __future__ import annotations

from pathlib import Path

from release_pipelines.core.model.source import Source
from release_pipelines.core.pushes.meaning import Receiver, Start
from release_pipelines.core.pushes.starts import Starts
from release_pipelines.spec.frozen import last_valid
from release_pipelines.spec.release import ReleaseSpec, app_files, release_specs


def receiver_of(spec: ReleaseSpec) -> Receiver | None:
    """The app as far as pushes concern it; None: only people start it."""
    starts = spec.app.part("starts", Starts)
    if starts is None:
        return None
    source = spec.app.part("build", Source)
    tag = source.tag if source else spec.app.part("image_tag", str)
    return Receiver(
        app=spec.app.name,
        scheme=spec.app.version_scheme,
        starts=starts,
        repository=source.repository if source else None,
        image=spec.app.image or spec.app.name,
        tags=(tag,) if tag else (),
    )


def receiving_specs(apps: Path, config: Path) -> list[ReleaseSpec]:
    """The apps that pushes start, by their files as they are now: a file that is broken counts as it was when it was not."""
    valid = {it.app.name: it for it in release_specs(apps, config)}
    found = [valid.get(path.stem) or last_valid(path.stem) for path in app_files(apps)]
    return [it for it in found if it is not None and receiver_of(it) is not None]


def receiving_spec(app: str, apps: Path, config: Path) -> ReleaseSpec | None:
    """One app by its file as it is now; None: it is not here, or cannot be read."""
    return next(iter(release_specs(apps, config, app)), None)


def asked_for_by(start: Start, spec: ReleaseSpec) -> str:
    """For whom a release of a push is: the user whom the environment's file names for the login.

    A login that it does not name counts as nobody. It stands there like an e-mail, which gives nobody a right, and takes that of
    answering from a user who is called the same (R10).
    """
    if start.by is None:
        return f"nobody@{start.source}"
    users: dict[str, str] = spec.production.part("forge_users", dict) or {}
    mapped = {login.casefold(): user for login, user in users.items()}.get(start.by.casefold())
    return mapped or f"{start.by}@{start.source}"
