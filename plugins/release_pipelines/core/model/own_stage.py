"""What a stage of a team's own came to."""

from typing import Any

from pydantic import Field

from release_pipelines.core.model.base import Stored

LARGEST_RESULT = 16 * 1024
"""Maximum size of what a stage hands on, as JSON, in bytes: it travels with the release, and is shown to people."""


class OwnStageResult(Stored):
    """How a stage of a team's own ended, and what it hands on."""

    succeeded: bool
    sentence: str = Field(description="In a few words, without a full stop: people see it beside the approval")
    values: Any = Field(
        None, description="What later stages can name, as `{stages.<name>.<key>}`; JSON, 16 KiB at most"
    )
    ended: bool = Field(True, description="False: it took too long, so nobody knows what it would have come to")
    exit_code: int | None = None
    goes_on: bool = Field(False, description="It failed, and the app's file lets the release go on all the same")
