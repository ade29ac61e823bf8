"""What a Dockerfile asks of who reads it: its instructions with their flags and heredocs, and what not every builder can."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_DIRECTIVE = re.compile(r"#\s*([A-Za-z]+)\s*=\s*(\S+)\s*$")
_QUOTED = re.compile(r"""(<<-?)?("[^"]*"|'[^']*')""")
_HEREDOC = re.compile(r"""(?:^|\s)\d*<<(-?)(["']?)([A-Za-z_][\w.-]*)\2(?=$|[\s;&|)>])""")
_FRONTEND = re.compile(r"(docker\.io/)?docker/dockerfile(-upstream)?([:@].*)?")
_OPTIONS = {
    "RUN": ("mount", "network", "security", "device"),
    "COPY": ("link", "parents", "exclude", "chmod"),
    "ADD": ("link", "exclude", "chmod", "checksum", "keep-git-dir", "unpack"),
}


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    :param line: its first line, from 1.
    :param last: its last one, that of its last heredoc's end where it has any.
    :param flags: as they stand, without the dashes, like ``mount=type=cache,target=/root/.cache``.
    :param heredocs: names of its heredocs.
    :param rest: what follows the flags, in one line.
    """

    line: int
    last: int
    keyword: str
    flags: tuple[str, ...]
    heredocs: tuple[str, ...]
    rest: str = ""


@dataclass(frozen=True)
class Need:
    """Something that not every builder can.

    :param name: ``heredoc``, ``frontend``, or an instruction with its flag, like ``COPY --link``.
    :param shown: as people write it.
    """

    line: int
    name: str
    shown: str


def frontend(text: str) -> str | None:
    """The image that the directive ``# syntax=`` names, if there is one."""
    return _directives(text).get("syntax")


def instructions(text: str) -> Iterator[Instruction]:
    """The instructions in their order. What does not parse is an instruction without flags: builders say what is wrong."""
    escape = _directives(text).get("escape", "\\")
    lines = text.splitlines()
    number = 0
    while number < len(lines):
        if _is_blank(lines[number]):
            number += 1
            continue
        first, words = number, ""
        while number < len(lines):
            line = lines[number].rstrip()
            number += 1
            if words and _is_blank(line):
                continue  # blank lines and comments do not end an instruction
            if not line.endswith(escape):
                words += line
                break
            words += line[: -len(escape)] + " "
        keyword, flags, rest = _parts(words)
        heredocs = []
        if keyword in _OPTIONS and not rest.startswith("["):
            for dash, _, name in _HEREDOC.findall(_QUOTED.sub(lambda it: it[0] if it[1] else '""', rest)):
                end = _end_of(lines, number, name, dash)
                if end is not None:
                    heredocs.append(name)
                    number = end + 1
        yield Instruction(first + 1, number, keyword, flags, tuple(heredocs), rest)


def needs(text: str) -> list[Need]:
    """What the Dockerfile needs that not every builder can, each kind once, where it stands first."""
    found: dict[str, Need] = {}
    asked = frontend(text)
    if asked and not _FRONTEND.fullmatch(asked):
        found["frontend"] = Need(1, "frontend", f"# syntax={asked}")
    for it in instructions(text):
        if it.heredocs:
            found.setdefault("heredoc", Need(it.line, "heredoc", f"a heredoc ({it.keyword} <<{it.heredocs[0]})"))
        for flag in it.flags:
            option, _, value = flag.partition("=")
            if option in _OPTIONS.get(it.keyword, ()):
                name = f"{it.keyword} --{option}"
                if option == "mount":
                    name += f"=type={_kind_of(value)}"
                found.setdefault(name, Need(it.line, name, name))
    return list(found.values())


@dataclass
class _Stage:
    """A stage of a Dockerfile: what it needs, and the first program that it runs on the platform that is built for."""

    name: str
    native: bool
    needs: set[str]
    runs: int | None = None


def run_for_target(text: str, target: str | None = None) -> int | None:
    """The first line that runs a program of the platform that is built for; None: no stage that is needed does.

    Stages ``FROM --platform=$BUILDPLATFORM`` run programs of the builder's own platform.

    :param target: the stage that is built; None: the last one.
    """
    stages: list[_Stage] = []
    for it in instructions(text):
        flags = dict(flag.partition("=")[::2] for flag in it.flags)
        if it.keyword == "FROM":
            words = it.rest.split()
            base = _stage_of(stages, words[0] if words else "")
            name = words[2] if len(words) == 3 and words[1].upper() == "AS" else str(len(stages))
            native = "BUILDPLATFORM" in flags["platform"] if "platform" in flags else bool(base and base.native)
            stages.append(_Stage(name.lower(), native, {base.name} if base else set()))
        elif stages:
            here = stages[-1]
            for source in (flags.get("from"), *(_from_of(flag) for flag in it.flags if flag.startswith("mount="))):
                if source and (found := _stage_of(stages[:-1], source)):
                    here.needs.add(found.name)
            if it.keyword == "RUN" and not here.native and here.runs is None:
                here.runs = it.line
    wanted = _stage_of(stages, target) if target else (stages[-1] if stages else None)
    needed, open_ends = set[str](), [wanted.name] if wanted else [it.name for it in stages]
    while open_ends:
        name = open_ends.pop()
        if name not in needed:
            needed.add(name)
            open_ends += [need for it in stages if it.name == name for need in it.needs]
    return min((it.runs for it in stages if it.name in needed and it.runs is not None), default=None)


def _stage_of(stages: list[_Stage], name: str) -> _Stage | None:
    """The stage that is called so, or has that number."""
    for number, it in reversed(list(enumerate(stages))):
        if name.lower() in (it.name, str(number)):
            return it
    return None


def _from_of(mount: str) -> str | None:
    options = dict(part.partition("=")[::2] for part in mount.removeprefix("mount=").split(","))
    return options.get("from")


def with_room_after_heredocs(text: str) -> tuple[str, list[int]]:
    """The same Dockerfile with a blank line after every heredoc, for readers that take the next line for a part of it.

    :return: the text, and for each of its lines the number that it had.
    """
    lines = text.splitlines()
    ends = {it.last for it in instructions(text) if it.heredocs}
    made, numbers = [], []
    for number, line in enumerate(lines, 1):
        made.append(line)
        numbers.append(number)
        if number in ends and number < len(lines) and lines[number].strip():
            made.append("")
            numbers.append(number)
    return "\n".join(made) + "\n", numbers


def _directives(text: str) -> dict[str, str]:
    """Directives stand in the first lines, before anything else."""
    found: dict[str, str] = {}
    for line in text.removeprefix("\ufeff").splitlines():
        match = _DIRECTIVE.match(line.strip())
        if not match:
            break
        found.setdefault(match[1].lower(), match[2])
    return found


def _is_blank(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _parts(words: str) -> tuple[str, tuple[str, ...], str]:
    """Keyword, flags and what follows them; ``ONBUILD`` stands before an instruction of its own."""
    keyword, rest = _first(words)
    keyword = keyword.upper()
    if keyword == "ONBUILD":
        return _parts(rest)
    flags = []
    while rest.startswith("--"):
        flag, rest = _first(rest)
        flags.append(flag[2:])
    return keyword, tuple(flags), rest


def _first(words: str) -> tuple[str, str]:
    """The first word, and what follows it."""
    parts = words.split(None, 1)
    return (*parts, "", "")[0], (*parts, "", "")[1]


def _kind_of(mount: str) -> str:
    options = dict(part.partition("=")[::2] for part in mount.split(","))
    return options.get("type", "bind")


def _end_of(lines: list[str], start: int, name: str, dash: str) -> int | None:
    """The index of the line that ends a heredoc; None: it has no end, so it is none."""
    for index in range(start, len(lines)):
        if (lines[index].lstrip("\t") if dash else lines[index]).rstrip("\r") == name:
            return index
    return None


def pinned_images(text: str) -> dict[str, str]:
    """Base images that it names by their digests: names to digests. What is named by a tag, or by an argument, is not known from it."""
    found = re.findall(r"(?im)^\s*FROM\s+(?:--platform=\S+\s+)?([^\s@$]+)@(sha256:[0-9a-f]{64})(?=\s|$)", text)
    return dict(found)
