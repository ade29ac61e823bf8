"""An Application Load Balancer's requests, as CloudWatch has counted them, by boto3's own client."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

import boto3
import pytest
from botocore.stub import ANY, Stubber

from release_pipelines.adapters.metrics.cloudwatch import CloudWatch
from release_pipelines.core.errors import MetricsUnavailable
from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.stage import Hold, Stage
from release_pipelines.core.model.track import Track
from release_pipelines.core.model.traffic import share_with
from release_pipelines.core.ports.metrics import Lack
from release_pipelines.core.progression.measuring import Measurer, look_at_stable
from tests.fakes import World, target

LOAD_BALANCER = "app/shop/50dc6c495c0c9188"
GROUPS = {"stable": "targetgroup/shop/73e2d6bc24d8a067", "canary": "targetgroup/shop-canary/943f017f100becff"}
BEGAN = 1_200_000_030.0
"""Half a minute into a minute of the clock."""
MINUTE = BEGAN + 30
"""The first whole minute of the stage."""


class Aws:
    """CloudWatch, with the answers that are expected in order."""

    def __init__(self) -> None:
        self.opened = 0
        self.client = boto3.client(
            "cloudwatch", region_name="eu-central-1", aws_access_key_id="key", aws_secret_access_key="no secret"
        )
        self.stubber = Stubber(self.client)

    def answers(self, track: str, *statistics: dict[float, float]) -> None:
        """Values of each statistic of a track, by the beginning of their minute."""
        results = [
            {
                "Id": f"q{n}",
                "Timestamps": [datetime.fromtimestamp(at, timezone.utc) for at in reversed(values)],
                "Values": list(reversed(values.values())),
            }
            for n, values in enumerate(statistics)
        ]
        asked = {"MetricDataQueries": ANY, "StartTime": ANY, "EndTime": ANY}
        self.stubber.add_response("get_metric_data", {"MetricDataResults": results}, _Asked(asked, track))

    async def open(self, kind: str, connection: str, region: str | None) -> CloudWatch:
        assert (kind, connection, region) == ("cloudwatch", "aws_default", None)

        def client() -> Any:
            self.opened += 1
            return self.client

        return CloudWatch(client)


class _Asked(dict[str, Any]):
    """Parameters that ask about a track's target group, and nothing else."""

    def __init__(self, given: dict[str, Any], track: str) -> None:
        super().__init__({**given, "MetricDataQueries": _Of(GROUPS[track])})


class _Of:
    def __init__(self, group: str) -> None:
        self.group = group

    def __eq__(self, queries: object) -> bool:
        assert isinstance(queries, list)
        named = [{"Name": "TargetGroup", "Value": self.group}, {"Name": "LoadBalancer", "Value": LOAD_BALANCER}]
        metrics = [it["MetricStat"]["Metric"] for it in queries]
        return all(it["Dimensions"] == named and it["Namespace"] == "AWS/ApplicationELB" for it in metrics)

    __hash__ = None  # type: ignore[assignment]


@pytest.fixture
def aws() -> Iterator[Aws]:
    it = Aws()
    with it.stubber:
        yield it
        it.stubber.assert_no_pending_responses()


def analysis(options: dict[str, Any] | None = None, **changes: Any) -> Analysis:
    known = {"load_balancer": LOAD_BALANCER, "target_groups": GROUPS}
    limit = "1%" if (options or {}).get("measure") != "latency" else 0.5
    metric = {"name": "alb", "source": "alb", "limit": limit, "options": {**known, **(options or {})}}
    return Analysis.model_validate({"metrics": [metric], "interval": 60, "patience": 600, **changes})


async def measured(
    aws: Aws, judged: Analysis, until: float, beside: Track | None = "stable", measurer: Measurer | None = None
) -> list[Sample]:
    async def prometheus(_: str) -> Any:
        return None

    measurer = measurer or Measurer(target(), "canary", beside, judged, prometheus, aws.open)
    await measurer.take(World().platform(), BEGAN, until)
    return measurer.samples


async def test_failed_requests_of_both_target_groups_are_counted_minute_by_minute(aws: Aws) -> None:
    aws.answers("canary", {MINUTE: 100.0, MINUTE + 60: 50.0}, {MINUTE: 3.0}, {MINUTE + 60: 2.0})
    aws.answers("stable", {MINUTE: 900.0, MINUTE + 60: 450.0}, {MINUTE + 60: 1.0}, {})
    samples = await measured(aws, analysis(), BEGAN + 300)
    counts = [(it.at - BEGAN, it.bad, it.total, it.stable_bad, it.stable_total) for it in samples]
    assert counts == [
        (60, None, None, None, None),
        (120, None, None, None, None),
        (180, None, None, None, None),
        (240, 3.0, 100.0, 0.0, 900.0),
        (300, 2.0, 50.0, 1.0, 450.0),
    ]


async def test_what_is_not_published_yet_is_not_asked_for(aws: Aws) -> None:
    samples = await measured(aws, analysis(), BEGAN + 180)
    assert {(it.total, it.error) for it in samples} == {(None, None)}


async def test_each_minute_counts_once_after_a_restart_too(aws: Aws) -> None:
    whole = {MINUTE + 60 * n: 100.0 + n for n in range(4)}
    for _ in range(2):
        aws.answers("canary", whole, {}, {})
    judged = analysis(interval=30)
    first = await measured(aws, judged, BEGAN + 420, None)
    again = await measured(aws, judged, BEGAN + 420, None)
    assert first == again
    assert [it.total for it in first if it.total is not None] == [100.0, 101.0, 102.0, 103.0]


async def test_a_threshold_looks_at_the_minutes_of_its_window(aws: Aws) -> None:
    aws.answers("canary", {MINUTE: 100.0, MINUTE + 60: 50.0}, {MINUTE: 4.0}, {})
    samples = await measured(aws, analysis(judge="threshold", window=120), BEGAN + 300, None)
    assert [(it.bad, it.total) for it in samples[-2:]] == [(4.0, 100.0), (4.0, 150.0)]


async def test_a_percentile_of_the_response_time_is_a_number(aws: Aws) -> None:
    aws.answers("canary", {MINUTE: 0.7})
    samples = await measured(aws, analysis({"measure": "latency"}, window=60), BEGAN + 240, None)
    assert [it.value for it in samples] == [None, None, None, 0.7]
    assert "p99" in judged_label(analysis({"measure": "latency"}))


def judged_label(judged: Analysis) -> str:
    from release_pipelines.core.ports.metrics import source_of

    return source_of(judged.metrics[0]).label(judged.metrics[0])


async def test_credentials_that_have_expired_are_read_anew(aws: Aws) -> None:
    aws.stubber.add_client_error("get_metric_data", "ExpiredToken", "The token is expired")
    aws.answers("canary", {MINUTE: 100.0}, {}, {})
    samples = await measured(aws, analysis(), BEGAN + 240, None)
    assert samples[-1].total == 100.0
    assert aws.opened == 2


async def test_a_refusal_is_the_error_of_a_measurement_in_the_words_of_aws(aws: Aws) -> None:
    said = "not authorized to perform: cloudwatch:GetMetricData"
    aws.stubber.add_client_error("get_metric_data", "AccessDenied", said)
    samples = await measured(aws, analysis(), BEGAN + 240, None)
    assert samples[-1].error == f"CloudWatch refuses get_metric_data: AccessDenied, {said}"
    assert aws.opened == 1


async def test_a_track_without_a_target_group_is_named(aws: Aws) -> None:
    samples = await measured(aws, analysis({"target_groups": {"stable": GROUPS["stable"]}}), BEGAN + 240, None)
    assert samples[-1].error == "metric alb: `options.target_groups.canary` is expected"


async def looked(aws: Aws, hold: float = 600, **changes: Any) -> list[Lack]:
    stage = Stage(
        name="step_10",
        track="canary",
        traffic=share_with("canary", 10),
        hold=Hold(min=hold, max=hold),
        analysis=analysis(**changes),
    )
    nobody: Any = None
    return await look_at_stable(target(), [stage], World().platform(), nobody, BEGAN, aws.open)


async def test_preflight_finds_what_stable_has(aws: Aws) -> None:
    aws.answers("stable", {BEGAN - 90: 12.0}, {}, {})
    assert await looked(aws) == []


@pytest.mark.parametrize(("known", "certain", "said"), [(True, False, "comes with requests"), (False, True, "region")])
async def test_preflight_says_what_cloudwatch_lacks_of_stable(aws: Aws, known: bool, certain: bool, said: str) -> None:
    aws.answers("stable", {}, {}, {})
    aws.stubber.add_response("list_metrics", {"Metrics": [{"MetricName": "RequestCount"}] if known else []})
    (lack,) = await looked(aws)
    assert lack.certain is certain
    assert lack.sentence.startswith(
        f"Metric alb: CloudWatch has no RequestCount of {GROUPS['stable']} at {LOAD_BALANCER}"
    )
    assert said in lack.sentence


async def test_preflight_says_when_a_step_is_too_short_for_minutes(aws: Aws) -> None:
    aws.answers("stable", {BEGAN - 90: 12.0}, {}, {})
    (lack,) = await looked(aws, 60, patience=60)
    assert lack.certain
    assert lack.sentence.endswith("ends after 120 s, so `patience: 240s` in its analysis is expected.")


async def test_what_cannot_be_reached_is_a_sentence(aws: Aws) -> None:
    def nowhere() -> Any:
        raise ValueError("Invalid endpoint: https://monitoring..amazonaws.com")

    with pytest.raises(MetricsUnavailable, match="CloudWatch cannot be asked: Invalid endpoint"):
        await CloudWatch(nowhere).known("AWS/ApplicationELB", {}, "RequestCount")


async def test_the_connection_is_the_amazon_providers(monkeypatch: pytest.MonkeyPatch) -> None:
    from release_pipelines.airflow.hooks.aws import open_client

    given = "aws://key:no%20secret@/?region_name=eu-central-1&endpoint_url=http%3A%2F%2F127.0.0.1%3A1"
    monkeypatch.setenv("AIRFLOW_CONN_AWS_SHOP", given)
    service = await open_client("cloudwatch", "aws_shop")
    with pytest.raises(MetricsUnavailable, match=r"CloudWatch cannot be asked: Could not connect .*127\.0\.0\.1:1"):
        await service.known("AWS/ApplicationELB", {}, "RequestCount")
