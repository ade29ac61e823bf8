"""What happened: every release, its decisions and the numbers behind them. Knows no Airflow."""

from release_pipelines.adapters.history.connect import default_url, open_history, sqlalchemy_url, url_from_connection
from release_pipelines.adapters.history.errors import HistoryUnavailable, UnknownRelease, VersionTaken
from release_pipelines.adapters.history.store import History
from release_pipelines.core.model.command import Command
from release_pipelines.core.model.records import (
    Approval,
    Attachment,
    Decision,
    Event,
    RecordedSample,
    RecordedVerdict,
    Release,
    ReleaseDetail,
    Stability,
)

__all__ = [
    "Approval",
    "Attachment",
    "Command",
    "Decision",
    "Event",
    "History",
    "HistoryUnavailable",
    "RecordedSample",
    "RecordedVerdict",
    "Release",
    "ReleaseDetail",
    "Stability",
    "UnknownRelease",
    "VersionTaken",
    "default_url",
    "open_history",
    "sqlalchemy_url",
    "url_from_connection",
]
