"""A command in a container as a stage."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from release_pipelines.airflow.images import pinned
from release_pipelines.core.errors import PlatformError
from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.features.own_stages.kinds.container import ContainerOptions
from release_pipelines.features.own_stages.operators.base import OwnStageOperator
from release_pipelines.features.own_stages.triggers import ContainerStageTrigger

if TYPE_CHECKING:
    from airflow.sdk import Context

IMAGE = "image"
"""XCom key of the image that was run, by its digest."""


class ContainerStageOperator(OwnStageOperator):
    """Run a command in a container beside the app, and hand on the JSON object in the last line that it prints. Deferred.

    ``options`` is a :class:`~release_pipelines.features.own_stages.kinds.container.ContainerOptions` or its dict; ``BASE_URL``, ``HOST``
    and ``VERSION`` are in the command's environment, too. The other arguments, and what is returned:
    :class:`~release_pipelines.features.own_stages.operators.base.OwnStageOperator`.

    Templated: ``artifact``, ``version``, ``release``, ``earlier``, ``lease``, ``deployment``.
    XCom: return value, also as ``result`` where it fails; ``image``, what was run, by its digest; ``verdict`` when the version turns bad meanwhile, ``aborted`` when a person
    ends the release; ``reason`` when it fails.
    """

    def run(self, context: Context, options: dict[str, Any], seconds: float) -> OwnStageResult:
        container = ContainerOptions.model_validate(options)
        target = self.app_target()
        released = self.known().get("image")
        if container.image is None and released is None:
            raise PlatformError(
                "There is no image of this release yet: `image` is expected for a stage that stands so early."
            )
        image = pinned(container.image, target.registry_connection) if container.image else str(released)
        context["ti"].xcom_push(IMAGE, image)
        self.log.info("It runs %s.", image)
        env = {"BASE_URL": target.url, "HOST": target.host or "", "VERSION": self.known()["version"], **container.env}
        self.defer(
            trigger=ContainerStageTrigger(
                release=self.release,
                until=time.time() + seconds,
                target=to_json(target),
                image=image,
                command=container.command,
                env=env,
                secrets={name: it.model_dump(exclude_none=True) for name, it in container.secrets.items()},
                exit_codes=container.exit_codes,
                **self.judging(),
            ),
            method_name="ended",
        )
        raise AssertionError  # it is deferred

    def result_of(self, context: Context, event: dict[str, Any]) -> OwnStageResult:
        self.log.info(event.get("output") or "It printed nothing.")
        return super().result_of(context, event)
