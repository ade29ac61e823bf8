"""Smoke test: every path must answer 2xx from the right version, through the environment's proxy."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from airflow.sdk.exceptions import AirflowException

from release_pipelines.adapters.entry import host_header
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.hooks.platform import PlatformHook
from release_pipelines.core.errors import ReleaseError
from release_pipelines.core.model.artifact import UNKNOWN_VERSION
from release_pipelines.core.model.target import Target
from release_pipelines.core.text import one_line

log = logging.getLogger(__name__)

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
                with requests.get(
                    url, headers=host_header(target), timeout=5, allow_redirects=False, stream=True
                ) as answer:  # of what it says only the headers count: a page may never end
                    pass
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


def said_version(target: Target, paths: Sequence[str], version: str | None, digest: str | None) -> str | None:
    """The version that stable says it is, as far as anybody knows: one that no release has put there is called after its tag, of
    which the app need not know.

    What the app answers now does not tell: while replicas are replaced, the answer may be that of one that leaves.

    :param version: how stable's version is called.
    :param digest: what stable runs.
    :return: the value of the version header; None: any.
    """
    if version in (None, UNKNOWN_VERSION) or not paths:
        return None
    try:
        known = digest is not None and version in HistoryHook().history().versions_of(target.app, digest)
    except Exception as error:  # whatever is the matter with the history: a rollback goes on
        log.warning("%s", str(error).partition("\n")[0])
        known = False
    if not known:
        log.info("Nobody knows which version %s says it is: its digest is what counts.", version)
        return None
    try:
        answer = PlatformHook(target).call(lambda platform: platform.ask(target, "stable", paths[0]))
        if 200 <= answer.status < 300 and answer.version is None:
            return None  # this app says none
    except ReleaseError as error:
        log.info("Stable itself cannot be asked whether it says its version: %s", error)
    return version
