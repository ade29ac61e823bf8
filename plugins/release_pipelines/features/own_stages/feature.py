"""What an app adds to a release, leaves out of it and puts elsewhere; where each stands is decided in :mod:`release_pipelines.spec.arrangement`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator

from release_pipelines.core.errors import ExtensionError
from release_pipelines.core.placeholders import named_of_image
from release_pipelines.core.text import one_of
from release_pipelines.spec.feature import Feature, Key, Mistake, Slot
from release_pipelines.spec.own_stages import OwnStageSpec, Place

if TYPE_CHECKING:
    from release_pipelines.spec.release import ReleaseSpec


_PATH = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*(\.\*)?")
_DAG = re.compile(r"[\w-]+(\.[\w-]+)*(\.\*)?")


def _path(raw: str) -> str:
    if not _PATH.fullmatch(raw):
        raise ValueError(
            "a path like acme.operators.PurgeCacheOperator, or all below one like acme.operators.*, is expected"
        )
    return raw


def _dag(raw: str) -> str:
    if "*" in raw and not _DAG.fullmatch(raw):
        raise ValueError("a DAG's id, or all below one like caches.*, is expected")
    return raw


class OwnStagesFeature(Feature):
    """The keys ``stages``, ``leave_out`` and ``move`` of an app, and what an environment allows and demands of them."""

    app_keys = {
        "stages": Key(list[OwnStageSpec], list, "Stages of the team's own between those of every release"),
        "leave_out": Key(list[str], list, "Tasks that the app's releases do without, like `scan.bandit`"),
        "move": Key(dict[str, Place], dict, "Tasks that stand elsewhere in the app's releases, to where"),
    }
    environment_keys = {
        "operators_allowed": Key(
            list[Annotated[str, AfterValidator(_path)]],
            list,
            "Import paths of operators that stages of apps may run here, like `acme.operators.*`; empty: none",
        ),
        "dags_allowed": Key(
            list[Annotated[str, AfterValidator(_dag)]],
            list,
            "Ids of DAGs that stages of apps may start here; empty: none",
        ),
        "demands": Key(
            list[str],
            list,
            "Tasks that apps which go here can neither leave out nor move, like `scan.bandit` or `staging.smoke_test`",
        ),
    }

    def mistakes(self, spec: ReleaseSpec) -> Iterator[Mistake]:
        """What has no place in the release, and what does not fit to where it stands."""
        from release_pipelines.spec.arrangement import arranged, demands_of, place_in

        arranges = (stages_of(spec), spec.app.part("leave_out", list), spec.app.part("move", dict), demands_of(spec))
        if not any(arranges):
            return
        try:
            arrangement = arranged(spec)
        except ExtensionError:  # the feature that cannot say its tasks says what is wrong
            return
        yield from (Mistake(*it) for it in arrangement.mistakes)
        names = [it.name for it in spec.environments]
        put = {it.place.name: it for it in arrangement.tasks if isinstance(it.place, OwnStageSpec)}
        for n, stage in enumerate(stages_of(spec)):
            where = f"stages[{n}]"
            if stage.environment is not None and stage.environment not in names:
                yield Mistake(f"{where}.environment", f"`{stage.environment}`", one_of(names, stage.environment))
            elif stage.name in put:
                put_there = put[stage.name]
                known = put_there.slot > Slot.ARTIFACT
                place = place_in(spec, stage.environment or put_there.environment or names[0], image=known)
                texts = () if known else stage.work.texts(stage.options)
                for name in dict.fromkeys(it for text in texts for it in named_of_image(text)):
                    expected = "a place after `artifact`: the image is not known before"
                    yield Mistake(f"{where}.{stage.kind}", f"`{{{name}}}`", expected)
                yield from (Mistake(*it) for it in stage.work.mistakes(f"{where}.{stage.kind}", stage.options, place))

    def demands(self, spec: ReleaseSpec) -> Mapping[str, str]:
        """What the files of the environments demand."""
        return {name: f"{it.name}.yaml" for it in spec.environments for name in it.part("demands", list) or []}

    def summary(self, spec: ReleaseSpec) -> str | None:
        parts = {
            "with": [it.name for it in stages_of(spec)],
            "without": spec.app.part("leave_out", list) or [],
            "moved:": list(spec.app.part("move", dict) or {}),
        }
        return "; ".join(f"{word} {', '.join(names)}" for word, names in parts.items() if names) or None


def stages_of(spec: ReleaseSpec) -> list[OwnStageSpec]:
    """The stages that the app's file adds."""
    return spec.app.part("stages", list) or []


FEATURE = OwnStagesFeature()
