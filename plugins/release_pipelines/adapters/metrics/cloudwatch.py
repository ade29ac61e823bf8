"""Amazon CloudWatch: what it has counted, minute by minute."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from typing import Any, NamedTuple, Protocol

from release_pipelines.core.errors import MetricsUnavailable
from release_pipelines.core.text import one_line

PERIOD = 60
"""What is counted together, in seconds: load balancers report once a minute."""
PAGES = 20
"""Maximum number of pages of one answer."""
EXPIRED = (
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "UnrecognizedClientException",
    "RequestExpired",
)
"""Errors of credentials that were good before, perhaps."""


class Statistic(NamedTuple):
    """One number per minute."""

    metric: str
    name: str
    """``Sum``, or a percentile like ``p99``."""


Dimensions = Mapping[str, str]
Minutes = dict[float, float]
"""Values by the beginning of their minute, in Unix time."""


class MinuteMetrics(Protocol):
    """What answers for minutes. Both raise :class:`~release_pipelines.core.errors.MetricsUnavailable`."""

    async def minutes(
        self, namespace: str, dimensions: Dimensions, statistics: list[Statistic], start: float, end: float
    ) -> list[Minutes]:
        """The minutes of each statistic that begin from ``start`` on and before ``end`` (Unix times in seconds)."""

    async def known(self, namespace: str, dimensions: Dimensions, metric: str) -> bool:
        """Whether there was such a metric in the last two weeks."""


class CloudWatch:
    """One account in one region.

    :param open_client: makes boto3's client, with the credentials as they are now. It may block.
    """

    def __init__(self, open_client: Callable[[], Any]) -> None:
        self._open_client = open_client
        self._client: Any = None

    async def minutes(
        self, namespace: str, dimensions: Dimensions, statistics: list[Statistic], start: float, end: float
    ) -> list[Minutes]:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        queries = [
            {
                "Id": f"q{n}",
                "MetricStat": {
                    "Metric": {"Namespace": namespace, "MetricName": it.metric, "Dimensions": named},
                    "Period": PERIOD,
                    "Stat": it.name,
                },
            }
            for n, it in enumerate(statistics)
        ]
        asked: dict[str, Any] = {"MetricDataQueries": queries, "StartTime": _time(start), "EndTime": _time(end)}
        found: list[Minutes] = [{} for _ in statistics]
        for _ in range(PAGES):
            answer = await self._asked("get_metric_data", asked)
            for result in answer["MetricDataResults"]:
                moments = (it.timestamp() for it in result["Timestamps"])
                found[int(result["Id"][1:])].update(zip(moments, result["Values"], strict=True))
            if not answer.get("NextToken"):
                break
            asked["NextToken"] = answer["NextToken"]
        return found

    async def known(self, namespace: str, dimensions: Dimensions, metric: str) -> bool:
        named = [{"Name": name, "Value": value} for name, value in dimensions.items()]
        asked = {"Namespace": namespace, "MetricName": metric, "Dimensions": named}
        return bool((await self._asked("list_metrics", asked))["Metrics"])

    async def _asked(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        """The answer; credentials that are refused are read anew, and only a refusal that stays is final."""
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            try:
                return await asyncio.to_thread(self._ask, operation, given)
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") not in EXPIRED:
                    raise
                self._client = None
                return await asyncio.to_thread(self._ask, operation, given)
        except ClientError as error:
            said = error.response.get("Error", {})
            raise MetricsUnavailable(
                f"CloudWatch refuses {operation}: {one_line(said.get('Code'))}, {one_line(said.get('Message'))}"
            ) from error
        except (BotoCoreError, OSError, ValueError) as error:
            raise MetricsUnavailable(f"CloudWatch cannot be asked: {one_line(error)}") from error

    def _ask(self, operation: str, given: dict[str, Any]) -> dict[str, Any]:
        if self._client is None:
            self._client = self._open_client()
        answer: dict[str, Any] = getattr(self._client, operation)(**given)
        return answer


def _time(at: float) -> datetime:
    return datetime.fromtimestamp(at, timezone.utc)
