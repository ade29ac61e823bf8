"""Smoke test: every path must answer 2xx from the right version, through the environment's proxy."""

from __future__ import annotations

import time

from airflow.sdk.exceptions import AirflowException

from release_pipelines.adapters.entry import host_header
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import one_line

PATIENCE_SECONDS = 5.0
"""Time for which a wrong answer is asked for again at least, in seconds: a proxy takes a moment to see a new route."""


def smoke_test(target: Target, paths: list[str], version: str | None) -> None:
    """GET every path through the environment's proxy.

    :param paths: paths, each beginning with ``/``.
    :param version: expected value of the version header; None: any.
    :raises AirflowException: one sentence that names the address, the answer and what was expected.
    """
    import requests

    for path in paths:
        url = target.address(path)
        end = time.monotonic() + max(PATIENCE_SECONDS, target.settles_within or 0.0)
        while True:
            try:
                answer = requests.get(url, headers=host_header(target), timeout=5, allow_redirects=False)
                actual_version = answer.headers.get(target.version_header)
                wrong = not 200 <= answer.status_code < 300 or (version is not None and actual_version != version)
                problem = f"{answer.status_code} from version {one_line(actual_version or 'unknown', 200)}"
            except requests.RequestException as error:
                wrong, problem = True, f"no answer ({type(error).__name__})"
            if not wrong:
                break
            if time.monotonic() > end:
                at = f"{url} (host {target.host})" if target.host else url
                raise AirflowException(f"{at}: {problem}; 2xx from version {version or 'any'} was expected.")
            time.sleep(0.3)
