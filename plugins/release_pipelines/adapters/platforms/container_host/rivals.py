"""Two apps at one proxy that would have the same keys, or take the same requests: said, never silently one over the other."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from release_pipelines.core.model.target import Target

KEYS = "release-pipelines/"
"""What the names of all keys begin with that no router reads."""


@dataclass(frozen=True)
class KnownApp:
    """One app in one environment, as the store knows it."""

    app: str
    environment: str
    engine: str | None
    """Address of its container engine; None: deployed by an earlier version of this package."""
    router: str


@dataclass(frozen=True)
class Rival:
    """Who has at the proxy what an app has or would have."""

    had: bool
    """The app stands so already, as an earlier version of this package let it."""
    app: str | None = None
    """Key of an app whose keys at the proxy have the same names."""
    router: str | None = None
    """Name of a router at the proxy that takes the same requests."""
    rule: str | None = None
    """By which of the app's rules it takes them."""

    def sentence(self, target: Target, apps: Sequence[KnownApp]) -> str:
        """Who it is, and what is expected instead.

        :param apps: all that the store knows.
        """
        own = f"{target.app} in {target.environment}"
        if self.app is not None:
            other = " in ".join(self.app.removeprefix(KEYS).split("/", 1))
            return (
                f"{own} and {other} have keys of the same names at their proxy: another name of the app or of the environment is "
                f"expected, or that key `{self.app}` is removed from the store where {other} is gone."
            )
        made = {
            f"{it.app}-{it.environment}{end}": f"{it.app} in {it.environment}"
            for it in apps
            for end in ("", "-preview")
        }
        other = made.get(str(self.router), "what no release has made")
        return (
            f"{own} and {other} (router `{self.router}`) take the same requests at their proxy, those of {self.rule}: another "
            "`address.host` or `address.preview` is expected, or that the keys of that router are removed from the store where it "
            "is not needed."
        )


def rival_of(text: str) -> Rival:
    """A rival as the script tells it."""
    known = json.loads(text)
    return Rival(bool(known["had"]), known.get("app"), known.get("router"), known.get("rule"))
