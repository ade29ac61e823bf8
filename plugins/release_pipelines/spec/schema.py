"""JSON Schemas of the files that a team writes; an editor that knows them completes keys and marks mistakes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.evidence import ReleaseEvidence
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.calendars import CalendarSpec
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.trains import TrainSpec

if TYPE_CHECKING:
    from pydantic import BaseModel

MODELS: dict[str, type[BaseModel]] = {
    "app": AppSpec,
    "environment": EnvironmentSpec,
    "analysis": Analysis,
    "calendar": CalendarSpec,
    "train": TrainSpec,
    "evidence": ReleaseEvidence,
}


def schemas() -> dict[str, str]:
    """File names to their contents."""
    return {f"{name}.schema.json": _text(name) for name in MODELS}


def write(folder: Path) -> list[Path]:
    """Write all schemas into ``folder``; returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in schemas().items():
        (folder / name).write_text(text)
    return [folder / name for name in schemas()]


def _text(name: str) -> str:
    schema: dict[str, Any] = MODELS[name].model_json_schema(mode="validation")
    if name == "app":  # a name is enough for an environment that differs in nothing, and for a strategy
        items = schema["properties"]["environments"]
        items["items"] = {"anyOf": [items["items"], {"type": "string"}]}
        strategy = schema["$defs"]["StrategySettings"]
        schema["properties"]["strategy"] = {
            "anyOf": [schema["properties"]["strategy"], {"enum": list(strategy["properties"])}]
        }
    if name in ("calendar", "train"):  # the file's name gives the name
        schema.pop("required", None)
    if name == "environment":  # base.yaml gives the rest, the file's name gives the name
        for part in (schema, *schema["$defs"].values()):
            part.pop("required", None)
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"
