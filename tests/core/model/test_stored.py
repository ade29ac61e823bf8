"""Values between two versions of this package: what one of them does not know is kept, and what people write is checked."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from pydantic import ValidationError

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.model.base import EARLIER, Stored, Value, stored, to_json
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.deployment import Deployment
from release_pipelines.core.model.lease import Lease
from release_pipelines.core.model.route import RouteNote
from release_pipelines.core.model.stage import Stage
from release_pipelines.core.model.target import RouterSettings, Target, Workload
from release_pipelines.core.model.traffic import Match, Traffic, share_with
from release_pipelines.core.model.verdict import MetricVerdict, Verdict

JUDGED = {"metrics": [{"name": "errors", "source": "errors", "limit": 0.01}]}
ARTIFACT = Artifact(app="shop", version="1.1.0", image="example/shop", digest="sha256:" + "a" * 64)
VERDICT = Verdict(
    judgement="fail",
    decided_at=1.0,
    step="step_10",
    weight=10,
    metrics=[MetricVerdict(metric="errors", judgement="fail", limit=0.01, sentence="too many")],
    sentence="too many",
)
TRAFFIC = Traffic(weights={"stable": 100}, testers=Match(kind="header", name="x-tester", value="yes"))
STORED = [
    ARTIFACT,
    VERDICT,
    TRAFFIC,
    RouteNote(release="r", traffic=TRAFFIC, verdict=VERDICT, last_good=ARTIFACT),
    Lease(holder="r", fence=3, expires_at=1.0),
    Command(id=1, release_id="r", kind="abort", by="bob", at=1.0),
    Deployment(environment="e", platform="p", track="canary", digest="d", version="1", good=ARTIFACT),
    Stage.model_validate({"name": "step_10", "track": "canary", "hold": 1, "analysis": JUDGED}),
    Target(
        app="shop",
        environment="e",
        platform="kubernetes",
        platform_connection="a",
        registry_connection="b",
        prometheus_connection="c",
        workload=Workload(name="shop"),
        router=RouterSettings(kind="gateway_api"),
        url="http://127.0.0.1",
    ),
]


def with_more(value: Any) -> Any:
    """The JSON as a newer version may write it: with one more key in every value."""
    if isinstance(value, dict):
        more = {} if "stable" in value or not value else {"newer": {"known": [1, None]}}
        return {**{key: with_more(it) for key, it in value.items()}, **more}
    return [with_more(it) for it in value] if isinstance(value, list) else value


@pytest.mark.parametrize("value", STORED, ids=lambda it: type(it).__name__)
def test_what_only_another_version_knows_is_kept_and_passed_on(value: Stored) -> None:
    newer = with_more(to_json(value))
    read = type(value).model_validate(newer)
    assert to_json(read) == newer
    assert to_json(type(value).model_validate_json(read.model_dump_json())) == newer
    assert to_json(read.model_copy())["newer"] == {"known": [1, None]}


@pytest.mark.parametrize("value", STORED, ids=lambda it: type(it).__name__)
def test_a_constructor_takes_only_what_it_knows(value: Stored) -> None:
    fields = {name: getattr(value, name) for name in type(value).model_fields}
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        type(value)(**fields, newer=1)


@pytest.mark.parametrize("model", [Workload, RouterSettings, Analysis])
def test_what_people_write_is_checked_key_by_key(model: type[Value]) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        model.model_validate({"newer": 1})
    with stored():
        assert model.model_validate({"newer": 1, **(JUDGED if model is Analysis else {})}).unknown


def test_what_cannot_be_read_stays_an_error() -> None:
    with pytest.raises(ValidationError, match="weights"):
        Traffic.model_validate({"newer": 1})
    with pytest.raises(ValidationError, match="that add up to 100 are expected"):
        Traffic.model_validate({"weights": {"stable": 90}, "newer": 1})


def test_splits_are_the_same_whatever_another_version_keeps_with_them() -> None:
    assert Traffic.model_validate({"weights": {"stable": 100}, "newer": 1}).same(share_with("canary", 0))


class _Grown(Stored):
    later: ClassVar[frozenset[str]] = frozenset({"pace"})

    name: str
    pace: float | None = None


def test_a_field_that_earlier_versions_refuse_is_stated_only_where_it_is_used() -> None:
    assert to_json(_Grown(name="a")) == {"name": "a"}
    assert to_json(_Grown(name="a", pace=1)) == {"name": "a", "pace": 1}
    assert _Grown(name="a", pace=1).model_dump(context=EARLIER) == {"name": "a"}
