"""Where files are, from the environment."""

from __future__ import annotations

import os
from pathlib import Path


def airflow_home() -> Path:
    """Airflow's own folder, which is the project's where nothing says otherwise: ``AIRFLOW_HOME``, else ``~/airflow``."""
    return Path(os.environ.get("AIRFLOW_HOME") or "~/airflow").expanduser()


def apps_folder(project: Path) -> Path:
    """Folder of the app files: ``RELEASE_PIPELINES_APPS``, else the project's ``include/apps``."""
    return Path(os.environ.get("RELEASE_PIPELINES_APPS") or project / "include" / "apps")


def config_folder(project: Path) -> Path:
    """Folder of the environment files: ``RELEASE_PIPELINES_CONFIG``, else the project's ``include/config``."""
    return Path(os.environ.get("RELEASE_PIPELINES_CONFIG") or project / "include" / "config")


def calendars_folder(project: Path) -> Path:
    """Folder of the calendars' files: ``RELEASE_PIPELINES_CALENDARS``, else the project's ``include/calendars``."""
    return Path(os.environ.get("RELEASE_PIPELINES_CALENDARS") or project / "include" / "calendars")


def trains_folder(project: Path) -> Path:
    """Folder of the trains' files: ``RELEASE_PIPELINES_TRAINS``, else the project's ``include/trains``."""
    return Path(os.environ.get("RELEASE_PIPELINES_TRAINS") or project / "include" / "trains")


def vex_folder(project: Path) -> Path:
    """Folder of VEX documents: ``RELEASE_PIPELINES_VEX``, else the project's ``include/vex``."""
    return Path(os.environ.get("RELEASE_PIPELINES_VEX") or project / "include" / "vex")


def policies_folder(project: Path) -> Path:
    """Folder of the policies: ``RELEASE_PIPELINES_POLICIES``, else the project's ``include/policies``."""
    return Path(os.environ.get("RELEASE_PIPELINES_POLICIES") or project / "include" / "policies")


def load_folder(project: Path) -> Path:
    """Folder of the scripts that put load on apps: ``RELEASE_PIPELINES_LOAD``, else the project's ``include/load``."""
    return Path(os.environ.get("RELEASE_PIPELINES_LOAD") or project / "include" / "load")


def axe_file(project: Path) -> Path:
    """The file of axe-core: ``RELEASE_PIPELINES_AXE``, else ``include/axe/axe.min.js`` of the project."""
    return Path(os.environ.get("RELEASE_PIPELINES_AXE") or project / "include" / "axe" / "axe.min.js")
