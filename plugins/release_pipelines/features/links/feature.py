"""Where people look beside Airflow."""

from __future__ import annotations

from release_pipelines.core.model.links import LinkSettings
from release_pipelines.spec.feature import Feature, Key


class LinksFeature(Feature):
    """The key ``links`` of an environment's file. The pipeline gives its tasks links to these addresses."""

    environment_keys = {
        "links": Key(
            LinkSettings | None, None, "Where people reach Prometheus, a dashboard and the registry; tasks lead there"
        )
    }


FEATURE = LinksFeature()
