"""What a scanner may use."""

from pydantic import Field

from release_pipelines.core.model.base import Value
from release_pipelines.core.model.units import Duration, Memory


class Limits(Value):
    """What a scanner may use. Beyond it, it is ended, and could not look."""

    timeout: Duration = Field(
        300.0, gt=0, description="How long it may look, at one platform where it looks at an image"
    )
    memory: Memory | None = Field(
        None, description="Of all its processes together, like 2Gi; none: as much as there is"
    )
