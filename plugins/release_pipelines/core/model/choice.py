"""A value that is one of the names of a seam: what is installed decides, in the model and in its JSON Schema."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from release_pipelines.core.seams import Seam


class Choice:
    """Annotation of a text: ``Annotated[str, Choice(SCANNERS)]``.

    :param seam: whose names are allowed.
    """

    def __init__(self, seam: Seam[Any]) -> None:
        self.seam = seam

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._known, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "enum": self.seam.names()}

    def _known(self, name: str) -> str:
        names = self.seam.names()
        if name not in names:
            quoted = [f"'{it}'" for it in names]
            expected = " or ".join(part for part in (", ".join(quoted[:-1]), quoted[-1]) if part)
            raise PydanticCustomError("literal_error", "Input should be {expected}", {"expected": expected})
        return name
