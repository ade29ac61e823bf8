"""What happened: every release, its decisions and the numbers behind them. Knows no Airflow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from release_pipelines._lazy import lazy

if TYPE_CHECKING:
    from release_pipelines.adapters.history.connect import default_url as default_url
    from release_pipelines.adapters.history.connect import open_history as open_history
    from release_pipelines.adapters.history.connect import sqlalchemy_url as sqlalchemy_url
    from release_pipelines.adapters.history.connect import url_from_connection as url_from_connection
    from release_pipelines.adapters.history.errors import HistoryUnavailable as HistoryUnavailable
    from release_pipelines.adapters.history.errors import UnknownRelease as UnknownRelease
    from release_pipelines.adapters.history.errors import VersionTaken as VersionTaken
    from release_pipelines.adapters.history.store import History as History
    from release_pipelines.core.model.command import Command as Command
    from release_pipelines.core.model.records import Approval as Approval
    from release_pipelines.core.model.records import Attachment as Attachment
    from release_pipelines.core.model.records import Decision as Decision
    from release_pipelines.core.model.records import Event as Event
    from release_pipelines.core.model.records import RecordedSample as RecordedSample
    from release_pipelines.core.model.records import RecordedVerdict as RecordedVerdict
    from release_pipelines.core.model.records import Release as Release
    from release_pipelines.core.model.records import ReleaseDetail as ReleaseDetail
    from release_pipelines.core.model.records import Stability as Stability

__getattr__, __dir__, __all__ = lazy(
    __name__,
    {
        "adapters.history.connect": ("default_url", "open_history", "sqlalchemy_url", "url_from_connection"),
        "adapters.history.errors": ("HistoryUnavailable", "UnknownRelease", "VersionTaken"),
        "adapters.history.store": ("History",),
        "core.model.command": ("Command",),
        "core.model.records": (
            "Approval",
            "Attachment",
            "Decision",
            "Event",
            "RecordedSample",
            "RecordedVerdict",
            "Release",
            "ReleaseDetail",
            "Stability",
        ),
    },
)
