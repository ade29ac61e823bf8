"""Questions over HTTP, until the answer is as expected."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from release_pipelines.core.model.base import to_json
from release_pipelines.core.model.own_stage import OwnStageResult
from release_pipelines.core.text import one_line
from release_pipelines.features.own_stages.kinds.http import HttpOptions

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Maximum wait for one answer, in seconds."""
ANSWER_BYTES = 64 * 1024
"""As much of an answer is read, in bytes."""


async def ask_until(url: str, headers: Mapping[str, str], options: Mapping[str, Any], until: float) -> dict[str, Any]:
    """Ask at least once, and until the answer is as expected or the time is over.

    :param url: where.
    :param until: Unix time in seconds.
    :return: ``{"result", "output"}``.
    """
    wanted = HttpOptions.model_validate(options)
    told = ""
    while True:
        status, text = await _asked(url, headers)
        passed, problem, values = judged(wanted, status, text)
        if passed or time.time() + wanted.interval > until:
            break
        if problem != told:
            told = problem
            log.info("%s: %s.", _named(url), problem)
        await asyncio.sleep(wanted.interval)
    result = OwnStageResult(
        succeeded=passed,
        ended=status is not None,
        sentence=f"passed: {_named(url)} answers {status}" if passed else f"failed: {_named(url)}: {problem}",
        values=values,
    )
    return {"result": to_json(result), "output": text}


def judged(wanted: HttpOptions, status: int | None, text: str) -> tuple[bool, str, dict[str, Any]]:
    """Whether an answer is as expected, what is wrong with it, and what is handed on. Pure.

    :param status: None: there was no answer; then ``text`` says why.
    """
    if status is None:
        return False, text, {}
    values: dict[str, Any] = {"status": status}
    if not (status in wanted.status if wanted.status else 200 <= status < 300):
        expected = " or ".join(map(str, wanted.status)) if wanted.status else "2xx"
        return False, f"{status}, {expected} was expected", values
    found: Any = text
    if wanted.field is not None:
        try:
            found = _at(json.loads(text), wanted.field)
        except (ValueError, LookupError):
            return False, f"{status} without `{wanted.field}` in its JSON", values
        if len(json.dumps(found)) <= ANSWER_BYTES // 8:
            values["value"] = found
        if wanted.equals is not None and not _same(found, wanted.equals):
            return False, f"`{wanted.field}` is {_shown(found)}, {_shown(wanted.equals)} was expected", values
    if wanted.contains is not None and wanted.contains not in (found if isinstance(found, str) else json.dumps(found)):
        return (
            False,
            f"{_shown(wanted.contains)} is not in its {'answer' if wanted.field is None else f'`{wanted.field}`'}",
            values,
        )
    return True, "", values


def _same(found: Any, expected: Any) -> bool:
    """Whether two values of JSON are the same: true is not 1."""
    return found == expected and isinstance(found, bool) == isinstance(expected, bool)


def _at(data: Any, path: str) -> Any:
    for part in path.split("."):
        data = data[int(part)] if isinstance(data, list) and part.isdigit() else _key(data, part)
    return data


def _key(data: Any, part: str) -> Any:
    if not isinstance(data, dict):
        raise LookupError(part)
    return data[part]


def _shown(value: Any) -> str:
    return one_line(json.dumps(value), 100)


def _named(url: str) -> str:
    """An address without its query, which may hold what is nobody's business."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.hostname}{f':{parts.port}' if parts.port else ''}{parts.path}"


async def _asked(url: str, headers: Mapping[str, str]) -> tuple[int | None, str]:
    """Status and text of an answer; None and why there is none. No redirect is followed: it may lead to another host."""
    import aiohttp

    from release_pipelines.adapters.outbound import certificates, proxy_of, trusting

    named = certificates()
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_SECONDS)) as session,
            session.get(
                url,
                headers=headers,
                allow_redirects=False,
                proxy=proxy_of(url),
                ssl=trusting(named[1]) if named and url.startswith("https") else True,
            ) as answer,
        ):
            text = b""
            while len(text) < ANSWER_BYTES and (piece := await answer.content.read(ANSWER_BYTES - len(text))):
                text += piece
            return answer.status, text.decode(errors="replace")
    except (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError) as error:
        return None, f"no answer ({type(error).__name__})"
