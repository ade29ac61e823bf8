"""The traffic split."""

from typing import Any, Literal

from pydantic import Field, model_validator

from release_pipelines.core.model.base import Stored
from release_pipelines.core.model.track import Track


class Match(Stored):
    """Requests of testers: a header, or a cookie, with exactly this value."""

    kind: Literal["header", "cookie"]
    name: str
    value: str

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, data: Any) -> Any:
        """Names of headers mean the same in any case, and some routers know them in lower case only."""
        if isinstance(data, dict) and data.get("kind") == "header":
            return {**data, "name": str(data.get("name")).lower()}
        return data


class Traffic(Stored):
    """The traffic split. The weights of all tracks add up to 100; a track that is not named has none."""

    weights: dict[Track, int]
    testers: Match | None = Field(None, description="Requests that match go to the canary, whatever the weights")
    mirror: int = Field(0, ge=0, le=100, description="Percent of the requests that the canary gets a copy of")
    sticky: bool = Field(False, description="A client stays with the track that answered it first")

    @model_validator(mode="after")
    def _whole(self) -> "Traffic":
        if sum(self.weights.values()) != 100 or min(self.weights.values()) < 0:
            raise ValueError(f"weights of 0 or more that add up to 100 are expected, found {self.weights}")
        return self

    def weight(self, track: Track) -> int:
        """The track's share in percent."""
        return self.weights.get(track, 0)

    def reaches(self, track: Track) -> bool:
        """Whether any request goes to the track: by weight, of testers, or a copy."""
        return self.weight(track) > 0 or (track == "canary" and bool(self.testers or self.mirror))

    def named(self, track: Track) -> str:
        """What the track gets, in a sentence, like ``20 % of the traffic``."""
        got = [f"{self.weight(track)} % of the traffic"] if self.weight(track) else []
        if track == "canary":
            got += ["requests of testers"] if self.testers else []
            got += ["copies of requests"] if self.mirror else []
        return " and ".join(got) or "no traffic"

    def same(self, other: "Traffic") -> bool:
        """Whether two splits mean the same: a track without weight may be named or not, and only what is known here counts."""

        def meaning(traffic: Traffic) -> tuple[Any, ...]:
            testers = traffic.testers and (traffic.testers.kind, traffic.testers.name, traffic.testers.value)
            weights = {track: share for track, share in traffic.weights.items() if share}
            return weights, testers, traffic.mirror, traffic.sticky

        return meaning(self) == meaning(other)


ALL_TO_STABLE = Traffic(weights={"stable": 100})


def share_with(track: Track, weight: int, **more: Any) -> Traffic:
    """``weight`` percent for ``track``, the rest for stable."""
    return Traffic(weights={"stable": 100 - weight, track: weight} if track != "stable" else {"stable": 100}, **more)
