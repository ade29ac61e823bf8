"""Where source code is."""

import re
from typing import Annotated, ClassVar

from pydantic import AfterValidator, Field

from release_pipelines.core.model.base import Stored


def _fits(template: str) -> str:
    from release_pipelines.core.tags import git_misfit

    if misfit := git_misfit(template):
        raise ValueError(misfit)
    return template


SCHEMES = ("https", "http", "ssh", "git", "file", "ftp", "ftps", "git+ssh", "ssh+git")
"""What Git itself reads."""
BY_HELPERS = ("codecommit", "s3", "keybase", "persistent-https", "persistent-http")
"""What it reads where a program for that is installed on the worker; any other is written ``<helper>::<address>``."""
ADDRESS = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*)(:/*|//+)(?!:)(.*)")


def repository_misfit(repository: str) -> str | None:
    """What is expected in place of a repository that nobody can fetch; None: somebody may.

    :param repository: an address, ``host:path`` as ssh takes it, or a folder.
    """
    found = ADDRESS.fullmatch(repository)
    if found is None:
        return None if repository.strip() else "a Git URL, or a folder"
    scheme, between, rest = found.groups()
    close = scheme if scheme in SCHEMES else _like(scheme)
    if between == "://":
        wrong = scheme not in (*SCHEMES, *BY_HELPERS) or repository != repository.strip()
    elif between == ":":
        wrong = scheme in ("https", "http", "ftp", "file")  # others are hosts that ssh knows
    elif between.startswith(":"):
        wrong = scheme in SCHEMES and scheme != "git" and not repository.startswith("file:///")
    else:
        wrong = scheme in SCHEMES or close in ("https", "http", "ssh")
    if not wrong:
        return None
    guess = without_login(f"; did you mean `{close}://{'/' if close == 'file' else ''}{rest}`?") if close else ""
    return f"a Git URL that begins with https://, ssh://, git:// or file://, user@host:path, or a folder{guess}"


def without_login(text: str) -> str:
    """A text without the logins in the addresses in it: they may hold passwords."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", text)


def _like(scheme: str) -> str | None:
    """What Git reads that is written like this."""
    from difflib import get_close_matches

    return next(iter(get_close_matches(scheme.lower(), SCHEMES, n=1, cutoff=0.7)), None)


class Source(Stored):
    """A folder of a Git repository, with its Dockerfile."""

    later: ClassVar[frozenset[str]] = frozenset({"tag", "branch"})

    repository: str = Field(description="Git URL, or a folder that is a Git repository (relative to the project)")
    git_connection: str | None = Field(None, description="Airflow connection with a private repository's credentials")
    tag: Annotated[str, AfterValidator(_fits)] | None = Field(
        None,
        description="How versions are tagged, like `release/{version}` or `{app}-v{version}`; default: the usual ways",
    )
    branch: str | None = Field(
        None,
        description="Its newest commit is built where no tag carries the version. Without it such a version is refused, but for "
        "dates and where no version has a tag: there it is `main`",
    )
    context: str = Field(".", description="Folder inside the repository: a monorepo's subfolder")
    dockerfile: str = "Dockerfile"
