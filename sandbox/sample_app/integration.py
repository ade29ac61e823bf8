"""Asks the app that runs in an environment: exit code 0 when the shop is open. Needs BASE_URL; HOST selects the app."""

from __future__ import annotations

import json
import os
import urllib.request
from pathlib import Path

VERSION = (Path(__file__).parent / "VERSION").read_text().strip()


def main() -> None:
    base, host = os.environ["BASE_URL"].rstrip("/"), os.environ.get("HOST")
    for path in ("/health", "/"):
        request = urllib.request.Request(base + path, headers={"Host": host} if host else {})
        with urllib.request.urlopen(request, timeout=10) as response:
            body = json.load(response)
            if response.headers["X-App-Version"] != VERSION:
                raise SystemExit(f"{path}: version {VERSION} is expected, {response.headers['X-App-Version']} answers")
    print(f"{body['greeting']}, version {body['version']}")


if __name__ == "__main__":
    main()
