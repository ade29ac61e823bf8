"""What a Dockerfile asks of who builds it."""

from __future__ import annotations

import pytest

from release_pipelines.core.dockerfile import instructions, needs, run_for_target, with_room_after_heredocs

EVERYTHING = """\
# syntax=docker/dockerfile:1
# escape=`
FROM base AS one

RUN echo one `
    # a comment inside
    && echo "<<NO" $((1 <<2)) <<< here

run <<-"END" cat && <<OTHER tee /x
	RUN --mount=type=cache this is text
	END
COPY --link . .
OTHER
RUN --mount=type=cache,target=/c --mount=target=/src,rw --network=none make
ONBUILD COPY	--link	--chown=1:1 a b
ADD --checksum=sha256:a https://example.org/x /x
RUN ["echo", "<<NOT"]
RUN cat <<NEVER
"""


def test_instructions_are_told_from_what_stands_in_heredocs() -> None:
    found = [(it.line, it.last, it.keyword, it.heredocs) for it in instructions(EVERYTHING)]
    assert found == [
        (3, 3, "FROM", ()),
        (5, 7, "RUN", ()),
        (9, 13, "RUN", ("END", "OTHER")),
        (14, 14, "RUN", ()),
        (15, 15, "COPY", ()),
        (16, 16, "ADD", ()),
        (17, 17, "RUN", ()),
        (18, 18, "RUN", ()),
    ]


def test_what_not_every_builder_can_is_named_once_where_it_stands_first() -> None:
    assert {it.name: it.line for it in needs(EVERYTHING)} == {
        "heredoc": 9,
        "RUN --mount=type=cache": 14,
        "RUN --mount=type=bind": 14,
        "RUN --network": 14,
        "COPY --link": 15,
        "ADD --checksum": 16,
    }


@pytest.mark.parametrize(
    ("image", "needed"),
    [
        ("docker/dockerfile:1.7-labs", []),
        ("docker.io/docker/dockerfile@sha256:a", []),
        ("example/frontend:2", ["# syntax=example/frontend:2"]),
    ],
)
def test_a_frontend_of_ones_own_is_a_need(image: str, needed: list[str]) -> None:
    assert [it.shown for it in needs(f"# syntax = {image}\nFROM scratch\n")] == needed


def test_lines_after_heredocs_get_room_and_keep_their_numbers() -> None:
    text, numbers = with_room_after_heredocs("FROM a\nRUN <<EOF\nls\nEOF\nCMD ls\n")
    assert text == "FROM a\nRUN <<EOF\nls\nEOF\n\nCMD ls\n"
    assert numbers == [1, 2, 3, 4, 4, 5]


@pytest.mark.parametrize(
    "text", ["", "\n", "RUN", "RUN \\", "RUN <<EOF", "# escape=", "ONBUILD", "\ufeffFROM a", "RUN --mount"]
)
def test_whatever_the_text_is_something_is_read(text: str) -> None:
    assert isinstance(needs(text), list)
    assert with_room_after_heredocs(text)[0].startswith(text.rstrip("\n"))


CROSS = """\
FROM --platform=$BUILDPLATFORM golang AS build
RUN go build
FROM build AS more
RUN go vet
FROM scratch
COPY --from=more /x /x
"""


@pytest.mark.parametrize(
    ("text", "target", "line"),
    [
        ("FROM a\nRUN make\n", None, 2),
        ("FROM a\nCOPY b b\n", None, None),
        (CROSS, None, None),
        (CROSS.replace("--platform=$BUILDPLATFORM ", ""), None, 2),
        (f"FROM a AS test\nRUN make test\n{CROSS}", None, None),  # which is not needed
        (f"FROM a AS test\nRUN make test\n{CROSS}", "test", 2),
        (f"FROM a AS test\nRUN make test\n{CROSS}", "TEST", 2),
        ("FROM a\nRUN make\nFROM scratch\nCOPY --from=0 /x /x\n", None, 2),
        (
            "FROM a AS b\nRUN make\nFROM --platform=${BUILDPLATFORM} c\nRUN --mount=type=bind,from=b,target=/b ls\n",
            None,
            2,
        ),
        ("FROM --platform=linux/amd64 a\nRUN make\n", None, 2),
        ("", None, None),
    ],
)
def test_programs_of_the_platform_that_is_built_for_are_found(text: str, target: str | None, line: int | None) -> None:
    assert run_for_target(text, target) == line
