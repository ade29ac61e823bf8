"""The files ``include/trains/<name>.yaml``: apps that are released together, in waves."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from release_pipelines.core.calendars.zones import zone
from release_pipelines.core.model.base import Value, stored
from release_pipelines.core.model.person import Person, as_word
from release_pipelines.core.model.train import Compensate, WhenHeld
from release_pipelines.core.model.units import DnsName, Duration
from release_pipelines.core.trains.waves import too_early, waves_of
from release_pipelines.spec.frozen import state_folder
from release_pipelines.spec.loader import SpecError, read_yaml, validated
from release_pipelines.spec.release import app_files

TRAIN_DAG = "train_"
"""What the id of a train's DAG begins with; it is the train's ``app`` in the history, too."""
FORM, NEWEST = "form", "newest that passed staging"


class ManifestSpec(Value):
    """Versions that stand in a file in Git: YAML or JSON, names of apps to versions."""

    repository: str = Field(min_length=1, description="A URL, or a folder")
    path: str = Field(min_length=1, description="The file in it, like trains/weekly.yaml")
    branch: str = Field("main", min_length=1, description="Its newest commit is read")
    connection: str | None = Field(None, description="Airflow connection with login and password; default: none")


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[
    list[str],
    BeforeValidator(_listed),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]


class TrainSpec(Value):
    """One train: the file ``include/trains/<name>.yaml``."""

    schema_version: Literal[1] = 1
    name: DnsName
    description: str = ""
    owner: str = "release-managers"
    waves: list[Annotated[list[DnsName], Field(min_length=1)]] = Field(
        default_factory=list, description="Apps, wave after wave; those of one wave are released side by side"
    )
    apps: list[DnsName] = Field(default_factory=list, description="Instead of `waves`: the waves follow from `needs`")
    needs: dict[DnsName, Names] = Field(
        default_factory=dict,
        description="Apps to those whose new versions theirs need: they come in an earlier wave, and stay where what needs them stays",
    )
    versions: ManifestSpec | str = Field(
        FORM,
        description="Where the versions come from: `form`, `newest that passed staging` (the environment before the last one), or a "
        "file in Git",
    )
    schedule: Names = Field(
        default_factory=list, description="Names of calendars: a run begins when they open; default: by hand"
    )
    calendars: Names = Field(
        default_factory=list, description="Names of calendars that each wave keeps to; default: those of `schedule`"
    )
    approvers: list[Annotated[str | Person, BeforeValidator(as_word)]] = Field(
        default_factory=list, description="Who may answer the train's form; default: the approvers of its apps"
    )
    approval_timeout: Duration = Field(86400, gt=0, description="How long the form waits for an answer")
    when_held: WhenHeld = Field("wait", description="What the train does with an app that another release holds")
    compensate: Compensate = Field("all", description="What it takes back when it stops")
    bake: Duration = Field(0, description="How long all apps are watched together at the end")
    requested_by: str | None = Field(None, description="Who asks for the runs that the schedule starts")
    time_zone: str = Field("UTC", description="Of times in the form and in notes")

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        zone(name)
        return name

    @field_validator("versions")
    @classmethod
    def _known_source(cls, versions: ManifestSpec | str) -> ManifestSpec | str:
        if isinstance(versions, str) and versions not in (FORM, NEWEST):
            raise ValueError(f"`{FORM}`, `{NEWEST}`, or a `repository` and a `path` in it, is expected")
        return versions

    @model_validator(mode="after")
    def _fits(self) -> "TrainSpec":
        if bool(self.waves) == bool(self.apps):
            empty = " and ".join(f"`{key}`" for key in ("waves", "apps") if key in self.model_fields_set)
            found = (
                "both `waves` and `apps`"
                if self.apps
                else f"{empty} without an app"
                if empty
                else "neither `waves` nor `apps`"
            )
            raise ValueError(f"`waves`, or `apps` with what they need in `needs`, is expected, found {found}")
        seen: dict[str, int] = {}
        for n, wave in enumerate(self.waves or [self.apps], 1):
            for app in wave:
                if app in seen:
                    where = f"in waves {seen[app]} and {n}" if seen[app] != n else "twice"
                    raise ValueError(f"each app once is expected, found `{app}` {where}")
                seen[app] = n
        for app, others in self.needs.items():
            for name in (app, *others):
                if name not in seen:
                    raise ValueError(f"`needs` between apps of this train is expected, found `{name}`")
        early = too_early(self.waves, self.needs) if self.waves and not self.circle() else None
        if early:
            app, other = early
            raise ValueError(
                f"`{other}` in an earlier wave than `{app}`, which needs it, is expected, found `{other}` in wave {seen[other]} and "
                f"`{app}` in wave {seen[app]}"
            )
        waves_of(list(seen), self.needs)  # says where the needs are a circle
        return self

    def circle(self) -> bool:
        """Whether the needs are a circle."""
        from release_pipelines.core.trains.waves import circle_in

        return circle_in(self.needs) is not None

    @property
    def in_waves(self) -> list[list[str]]:
        """Its waves, as they are written or as they follow from what the apps need."""
        return self.waves or waves_of(self.apps, self.needs)

    @property
    def keeps_to(self) -> list[str]:
        """Names of the calendars that each wave keeps to: a run that its schedule began late, or that was approved late, is in no window any more."""
        return self.calendars or self.schedule

    @property
    def all_apps(self) -> list[str]:
        """Its apps, wave after wave."""
        return [app for wave in self.in_waves for app in wave]


def train_dag_id(name: str) -> str:
    """The id of the DAG of a train."""
    return f"{TRAIN_DAG}{name.replace('-', '_')}"


def train_files(folder: Path) -> list[Path]:
    """The trains' files in a folder, by name."""
    return app_files(folder) if folder.is_dir() else []


def load_train(path: Path, apps: Path, calendars: Path) -> TrainSpec:
    """One train's file.

    :param apps: folder of the app files.
    :param calendars: folder of the calendars' files.
    :raises SpecError: for the first mistake, with the others in ``also``.
    """
    spec = validated(TrainSpec, {"name": path.stem, **read_yaml(path)}, path.name)
    if spec.name != path.stem:
        raise SpecError(path.name, "name", f"`{spec.name}`", f"`{path.stem}`, as the file is called")
    mistakes = [
        *_unknown(path, "waves" if spec.waves else "apps", spec.all_apps, [it.stem for it in app_files(apps)], apps),
        *(
            it
            for key in ("schedule", "calendars")
            for it in _unknown(
                path, key, getattr(spec, key), sorted(c.stem for c in calendars.glob("*.yaml")), calendars
            )
        ),
    ]
    if mistakes:
        mistakes[0].also = mistakes[1:]
        raise mistakes[0]
    return spec


def _unknown(path: Path, key: str, names: Iterable[str], known: Sequence[str], folder: Path) -> list[SpecError]:
    expected = f"one of {', '.join(known)}" if known else f"a file in {folder.name}/"
    return [SpecError(path.name, key, f"`{name}`, which has no file", expected) for name in names if name not in known]


def train_errors(trains: Path, apps: Path, calendars: Path) -> list[SpecError]:
    """Everything that is wrong in the trains' files of a folder."""
    return errors_in(train_files(trains), apps, calendars)


def errors_in(files: Sequence[Path], apps: Path, calendars: Path) -> list[SpecError]:
    """Everything that is wrong in these files of trains."""
    errors: list[SpecError] = []
    for path in files:
        try:
            load_train(path, apps, calendars)
        except SpecError as error:
            errors += [error, *error.also]
    return errors


def train_specs(trains: Path, apps: Path, calendars: Path, only: str | None = None) -> list[TrainSpec]:
    """The trains; one whose file is broken as it was last valid. Never raises.

    :param only: the id of the only DAG that is wanted.
    """
    found = []
    for path in train_files(trains):
        if only is not None and only != train_dag_id(path.stem):
            continue
        try:
            spec = load_train(path, apps, calendars)
            _remember(spec)
        except SpecError:
            last = _last_valid(path.stem)
            if last is None:
                continue
            spec = last
        found.append(spec)
    return found


def _valid_path(name: str) -> Path:
    return state_folder() / "valid_trains" / f"{name}.json"


def _remember(spec: TrainSpec) -> None:
    """Keep it as the last valid one, where that is another one."""
    path, text = _valid_path(spec.name), spec.model_dump_json()
    try:
        if path.is_file() and path.read_text() == text:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(text)
        new.replace(path)
    except OSError:  # a folder that only reads keeps no DAG away
        return


def _last_valid(name: str) -> TrainSpec | None:
    try:
        with stored():
            return TrainSpec.model_validate_json(_valid_path(name).read_text())
    except (OSError, ValueError):
        return None
