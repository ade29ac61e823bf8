"""Where advisories are."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import Duration


def _place(raw: str) -> str:
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", raw)
    if not raw.strip() or (scheme and scheme[0].lower() not in ("http://", "https://")):
        raise ValueError("a path, or an address of http or https, is expected")
    if scheme and "@" in raw.partition("://")[2].partition("/")[0]:
        raise ValueError("an address without user and password is expected, found one with them")
    return raw


Place = Annotated[str, AfterValidator(_place)]
"""A folder or file on the workers, or an address."""


class AdvisorySources(Value):
    """Where advisories are, and what they need not cover."""

    osv: list[Place] = Field(
        default_factory=list,
        description="Records in OSV format: folders, archives (.zip, .tar.gz), or addresses of archives",
    )
    kev: Place | None = Field(None, description="The list of known exploited vulnerabilities (KEV), as JSON")
    epss: Place | None = Field(None, description="The scores of EPSS, as CSV, also packed by gzip")
    older_than: Duration | None = Field(
        None,
        gt=0,
        description="Records whose newest is older than this count as none; default: their age does not matter",
    )
    leave_out: list[str] = Field(
        default_factory=list,
        description="Types of package URLs that the records need not cover, like `generic`; what is left out is told",
    )
