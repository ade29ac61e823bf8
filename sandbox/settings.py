"""Where the sandbox lives and on which ports it listens."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
STATE = ROOT / ".sandbox"
CACHE = STATE / "cache"
CALENDARS, TRAINS, ADVISORIES = STATE / "calendars", STATE / "trains", STATE / "advisories"
"""Calendars, trains and advisories of tests, which shall not write into ``include``."""
VENV_BIN = ROOT / ".venv" / "bin"

REGISTRY = "127.0.0.1:5000"
STORE_PORT = 6380
DATABASE_PORT = 5433
WEB = "http://127.0.0.1:8000"
TRAEFIK_API = "http://127.0.0.1:8082"
PROMETHEUS = "http://127.0.0.1:9090"
AIRFLOW = "http://127.0.0.1:8080"

STORE_URL = f"redis://127.0.0.1:{STORE_PORT}/0"
BASE_IMAGE = "python:3.12-slim"
LOCAL_BASE_IMAGE = "localhost/python-base:latest"

APP = "storefront"
DAG_ID = "release_storefront"
ROLLBACK_DAG = "release_rollback"
CONTROL_DAG = "release_control"
HOST = "storefront.localhost"
TRAFFIC_STATE = STATE / "traffic.json"
RATE = 60
"""Requests per second of the steady traffic."""


class SandboxError(Exception):
    """Something that stands in the way; the message is a sentence for whoever typed the command."""


def environment() -> dict[str, str]:
    """The caller's environment without what would change or slow down the processes of the sandbox."""
    dropped = ("AIRFLOW__", "AIRFLOW_CONN_", "PYTHONDONTWRITEBYTECODE", "RELEASE_PIPELINES_")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    folders = [str(VENV_BIN), kept.get("PATH", os.defpath), str(STATE / "tools" / "bin"), "/usr/sbin", "/sbin"]
    kept["PATH"] = os.pathsep.join(folders)
    return kept
