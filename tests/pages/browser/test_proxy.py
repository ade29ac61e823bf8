"""Airflow below a path, behind a proxy that holds back, compresses, and has a policy of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI

from release_pipelines.adapters.history import History
from tests.databases import free_port
from tests.pages.desk import RELEASE
from tests.pages.serving import served

PATH = "/team-a/airflow"
NGINX = shutil.which("nginx")
CONFIG = """
daemon off; {user} pid {folder}/pid; error_log {folder}/error.log;
events {{}}
http {{
  access_log {folder}/access.log;
  client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_buffering on; proxy_read_timeout 60s; gzip on; gzip_types *; gzip_min_length 1; gzip_proxied any;
  server {{
    listen 127.0.0.1:{port};
    location = /favicon.ico {{ return 204; }}
    location {path}/ {{
      proxy_pass http://127.0.0.1:{to};
      proxy_set_header Host $http_host;
      add_header Content-Security-Policy "default-src 'self'; script-src 'self'; frame-ancestors 'self'" always;
    }}
  }}
}}
"""


@pytest.fixture
def proxied(pages: FastAPI, tmp_path: Path) -> Iterator[str]:
    """The address of Airflow below its path, behind the proxy."""
    if NGINX is None:
        pytest.skip("no nginx is installed")
    pages.root_path = PATH
    with served(pages) as to:
        port, config = free_port(), tmp_path / "nginx.conf"
        user = "user root;" if os.geteuid() == 0 else ""
        config.write_text(CONFIG.format(user=user, folder=tmp_path, port=port, path=PATH, to=to))
        log = (tmp_path / "error.log").as_posix()
        proxy = subprocess.Popen([NGINX, "-e", log, "-p", str(tmp_path), "-c", str(config)])
        try:
            until = time.monotonic() + 20
            while not (tmp_path / "pid").exists():
                assert proxy.poll() is None, Path(log).read_text()
                assert time.monotonic() < until, "the proxy does not start"
                time.sleep(0.05)
            yield f"http://127.0.0.1:{port}{PATH}"
        finally:
            proxy.terminate()
            proxy.wait(20)


def test_every_request_stays_below_the_path_and_the_stream_is_not_held_back(
    proxied: str, signed_in: Callable[..., Any], history: History
) -> None:
    page = signed_in().new_page()
    asked: list[str] = []
    page.on("request", lambda it: asked.append(it.url))
    page.goto(f"{proxied}/releases/desk")
    page.locator("#still").wait_for(state="detached")
    history.record_event(RELEASE, "note", "x")
    page.get_by_text("after 1 events").wait_for()
    page.wait_for_timeout(7000)  # nothing changes, and no beat is held back
    assert page.locator("#connection").is_hidden()
    page.locator("nav a").first.click()
    page.get_by_role("link", name="1.0.0").click()
    page.get_by_role("heading", name="shop 1.0.0").wait_for()
    page.reload()
    page.locator("#still").wait_for(state="detached")
    history.finish(RELEASE, "released", "It is released.")
    page.locator("#sentence").get_by_text("It is released.").wait_for()
    assert len(asked) > 8
    assert [it for it in asked if not it.startswith(f"{proxied}/releases/")] in (
        [],
        [f"{proxied.removesuffix(PATH)}/favicon.ico"],
    )
