"""Somebody who uses the app: asks at a steady rate, and keeps account of every answer.

Counting begins with the app's first answer: before that there is nothing that could be lost.
Usage: traffic.py URL HOST REQUESTS_PER_SECOND STATE_FILE
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

HEADER = "X-App-Version"
TIMEOUT = 10.0
LOST_KEPT = 50


class Account:
    """What was asked and what came back; ``answered + lost`` catches up with ``sent``."""

    def __init__(self) -> None:
        self.started: float | None = None
        self.sent = self.answered = 0
        self.versions: dict[str, dict[str, Any]] = {}
        self.lost: list[dict[str, Any]] = []

    def answer(self, sent_at: float, status: int, version: str | None) -> None:
        """Count an answer; one that the app did not give is a lost request."""
        if version is None:
            self.lose(sent_at, f"status {status}, not from the app")
            return
        now = time.time()
        self.started = self.started or now
        if sent_at < self.started:
            return
        self.answered += 1
        seen = self.versions.setdefault(version, {"answered": 0, "errors": 0, "first_at": now, "slowest": 0.0})
        seen["answered"] += 1
        seen["errors"] += status >= 500
        seen["last_at"] = now
        seen["last_sent_at"] = max(seen.get("last_sent_at", 0.0), sent_at)
        seen["slowest"] = max(seen["slowest"], now - sent_at)

    def lose(self, sent_at: float, reason: str) -> None:
        """Note a request that the app did not answer."""
        if self.started is not None and sent_at >= self.started:
            self.lost.append({"at": sent_at, "reason": reason})

    def state(self) -> dict[str, Any]:
        """The account as JSON."""
        return {
            "started": self.started,
            "at": time.time(),
            "sent": self.sent,
            "answered": self.answered,
            "lost": len(self.lost),
            "lost_requests": self.lost[-LOST_KEPT:],
            "versions": self.versions,
        }


async def ask(session: aiohttp.ClientSession, url: str, host: str, account: Account) -> None:
    """One request."""
    sent_at = time.time()
    account.sent += account.started is not None
    try:
        async with session.get(url, headers={"Host": host}) as response:
            await response.read()
            account.answer(sent_at, response.status, response.headers.get(HEADER))
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError) as error:
        account.lose(sent_at, str(error) or type(error).__name__)


async def keep(account: Account, path: Path) -> None:
    """Write the account for others to read, five times a second; readers never see half of it."""
    unfinished = path.with_suffix(".unfinished")
    while True:
        unfinished.write_text(json.dumps(account.state()))
        unfinished.rename(path)
        await asyncio.sleep(0.2)


async def main(url: str, host: str, rate: float, path: Path) -> Account:
    """Ask until SIGTERM; returns the account."""
    account, running = Account(), set[asyncio.Task[None]]()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    keeper = asyncio.create_task(keep(account, path))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
        due = time.monotonic()
        while not stopped.is_set():
            task = asyncio.create_task(ask(session, url, host, account))
            running.add(task)
            task.add_done_callback(running.discard)
            due = max(due + 1 / rate, time.monotonic() - 1)  # after a pause of the machine, catch up on one second
            await asyncio.sleep(max(0.0, due - time.monotonic()))
        await asyncio.gather(*running)
    keeper.cancel()
    return account


if __name__ == "__main__":
    file = Path(sys.argv[4])
    file.write_text(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), file)).state()))
