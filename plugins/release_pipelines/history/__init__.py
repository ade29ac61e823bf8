"""What happened: every release, its decisions and the numbers behind them. Knows no Airflow."""

from release_pipelines.domain.records import (
    Approval,
    Attachment,
    Command,
    Decision,
    Event,
    RecordedSample,
    RecordedVerdict,
    Release,
    ReleaseDetail,
    Stability,
)
from release_pipelines.history.connect import (
    default_url,
    open_history,
    sqlalchemy_url,
    url_from_connection,
)
from release_pipelines.history.store import History, HistoryUnavailable, UnknownRelease, VersionTaken

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
