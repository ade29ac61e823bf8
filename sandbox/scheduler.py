"""Airflow's scheduler: ``python -m sandbox.scheduler``. Its tasks are forks of it, so what every task imports it imports first:
else each of them spends a second on that, and a release has some thirty."""

from __future__ import annotations

import sys
from importlib import import_module

IMPORTED = (
    "release_pipelines.pipeline.release",
    "release_pipelines.adapters.history",
    "release_pipelines.adapters.platforms.container_host.platform",
    "release_pipelines.core.progression.stage",
    "aiohttp",
    "redis.asyncio",
    "matplotlib.figure",
    "matplotlib.backends.backend_svg",
)


def main() -> None:
    """Import, then be the scheduler."""
    from airflow.__main__ import main as airflow

    for name in IMPORTED:
        import_module(name)
    sys.argv = ["airflow", "scheduler"]
    airflow()


if __name__ == "__main__":
    main()
