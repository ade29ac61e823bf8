"""Pages in a real browser, with axe in them: Chromium by playwright."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from release_pipelines.core.site.accessibility import NotLooked

SCRIPT = "axe.min.js"


def axe_reports(url: str, host: str | None, paths: Sequence[str], script: Path, seconds: float) -> dict[str, Any]:
    """What axe says of pages, by their paths.

    :param url: where the traffic enters.
    :param host: the host that people ask for; None: the address' own.
    :param script: axe-core's file.
    :param seconds: maximum time for one page.
    :raises NotLooked: when the browser, the script or a page is missing.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        raise NotLooked("playwright is missing on this worker (install release-pipelines[accessibility])") from None
    if not script.is_file():
        raise NotLooked(f"there is no {script}: the file {SCRIPT} of axe-core is expected there")
    browser = os.environ.get("RELEASE_PIPELINES_BROWSER") or shutil.which("chromium") or shutil.which("google-chrome")
    base, rules = _as_people_ask(url, host)
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    found = {}
    try:
        with sync_playwright() as playwright:
            opened = playwright.chromium.launch(executable_path=browser, args=[*sandbox, *rules])
            page = opened.new_page()
            for path in paths:
                answer = page.goto(base + path, timeout=1000 * seconds)
                if answer is None or not answer.ok:
                    raise NotLooked(f"{path} answers {answer.status if answer else 'nothing'}")
                page.evaluate(script.read_text())
                found[path] = page.evaluate("() => axe.run()")
            opened.close()
    except Error as error:
        raise NotLooked(f"the browser could not look: {error.message.partition(chr(10))[0]}") from None
    return found


def _as_people_ask(url: str, host: str | None) -> tuple[str, list[str]]:
    """The address with the host that people ask for, and how the browser finds it."""
    parts = urlsplit(url)
    if not host:
        return url.rstrip("/"), []
    name, port = host.partition(":")[0], f":{parts.port}" if parts.port else ""
    at = parts.hostname or ""
    return urlunsplit((parts.scheme, f"{name}{port}", parts.path.rstrip("/"), "", "")), [
        f"--host-resolver-rules=MAP {name} {at}"
    ]
