"""A question over HTTP as a stage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from release_pipelines.adapters.entry import host_header
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.features.own_stages.kinds.http import HttpOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.triggers import HttpStageTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context


class HttpStageOperator(OwnStageOperator):
    """Ask over HTTP until the answer is as expected, at most ``timeout`` seconds. Deferred. No redirect is followed.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.http.HttpOptions` or its dict. Hands on ``status`` and, with
    ``field``, ``value``. The other arguments, and what is returned:
    :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person
    ends the release; ``reason`` when it fails.
    """

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        asked = HttpOptions.model_validate(options)
        target = self.app_target() if self.target is not None else None
        headers: dict[str, str] = {}
        url = asked.url
        if url is None and asked.connection is None:
            if target is None:
                raise ValueError("`url`, `connection` or `target` is expected: nothing says where to ask.")
            url, headers = target.address(asked.path), host_header(target)
        judging = self.judging()
        self.defer(
            trigger=HttpStageTrigger(
                release=self.release,
                until=time.time() + seconds,
                target=to_json(target) if target else None,
                url=url,
                headers=headers,
                options=asked.model_dump(mode="json"),
                **judging,
            ),
            method_name="ended",
        )
        raise AssertionError  # it is deferred
