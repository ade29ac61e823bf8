"""All that one release needs to know, in one value: app, environments and analysis, checked against each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from release_pipelines.core.model.analysis import Analysis
from release_pipelines.core.model.base import Value
from release_pipelines.spec.app import AppSpec
from release_pipelines.spec.checks import check, relaxed
from release_pipelines.spec.environment import EnvironmentSpec
from release_pipelines.spec.feature import FEATURES
from release_pipelines.spec.loader import SpecError, file_of, load_analysis, load_app, load_environment, read_yaml
from release_pipelines.spec.remarks import remarks
from release_pipelines.spec.windows import window_remarks


class ReleaseSpec(Value):
    """An app with everything that it names, resolved."""

    later: ClassVar[frozenset[str]] = frozenset({"remarks"})

    app: AppSpec
    environments: list[EnvironmentSpec]
    analysis: Analysis
    remarks: list[str] = []
    """What its files say in a way that may be meant otherwise: sentences without a full stop."""

    @property
    def production(self) -> EnvironmentSpec:
        """The last environment: the one with approval and canary."""
        return self.environments[-1]

    def environment(self, name: str) -> EnvironmentSpec:
        """The environment of that name.

        :raises KeyError: when the app does not go there.
        """
        for environment in self.environments:
            if environment.name == name:
                return environment
        raise KeyError(f"{self.app.name} does not go to {name}")


def analyses_of(apps: Path) -> Path:
    """Where analyses with names stand: ``analyses/`` beside the folder of the apps."""
    return apps.parent / "analyses"


def app_files(apps: Path) -> list[Path]:
    """The app files in a folder, by name."""
    return sorted(path for path in apps.glob("*.y*ml") if path.suffix in (".yaml", ".yml") and path.is_file())


def load_release(path: Path, config: Path, analyses: Path) -> ReleaseSpec:
    """One app file with its environments and its analysis.

    :param path: the app's file.
    :param config: folder with ``base.yaml`` and a file per environment.
    :param analyses: folder of the analyses that have names.
    :raises SpecError: for the first thing that is not as expected.
    """
    app = load_app(path, analyses)
    environments = []
    for n, wanted in enumerate(app.environments):
        if not (config / f"{wanted.name}.yaml").is_file():
            known = sorted(file.stem for file in config.glob("*.yaml") if file.stem != "base")
            expected = f"one of {', '.join(known)}" if known else f"a file {wanted.name}.yaml in {config.name}/"
            raise SpecError(path.name, f"environments[{n}].name", f"`{wanted.name}`", expected)
        environments.append(load_environment(wanted.name, config))
    analysis = app.analysis if isinstance(app.analysis, Analysis) else load_analysis(app.analysis, analyses)
    named = analyses / f"{app.analysis}.yaml" if isinstance(app.analysis, str) else None
    written, of_analysis = read_yaml(path), read_yaml(named) if named and named.is_file() else {}
    try:
        spec = ReleaseSpec(app=_relaxed(app), environments=environments, analysis=relaxed(analysis, app))
        wrong = [
            *check(app, environments, analysis),
            *(it for _, feature in FEATURES.usable() for it in feature.mistakes(spec)),
        ]
        doubtful = list(dict.fromkeys([*remarks(app, analysis, written, of_analysis), *window_remarks(spec, written)]))
    except Exception as error:  # what somebody else's package adds may raise anything
        failure = f"something that cannot be checked ({type(error).__name__}: {error})"
        raise SpecError(path.name, "", failure, "values that what is installed can check") from error
    mistakes = [_said(path, config, *mistake) for mistake in dict.fromkeys(wrong)]
    if mistakes:
        mistakes[0].also = mistakes[1:]
        raise mistakes[0]
    return spec.model_copy(update={"remarks": doubtful}) if doubtful else spec


def _said(path: Path, config: Path, place: str, found: str, expected: str) -> SpecError:
    """A mistake between the files, at the file in which it stands."""
    environment, of_environment, key = place.rpartition(".yaml: ")
    if of_environment:
        return SpecError(file_of(environment, key, config), key, found, expected)
    return SpecError(path.name, place, found, expected)


def _relaxed(app: AppSpec) -> AppSpec:
    """The app, its strategy's own analyses without what cannot be measured."""
    name, settings = app.strategy.name, app.strategy.chosen
    settings = app.strategy.strategy.with_analyses(settings, lambda analysis: relaxed(analysis, app))
    return app.model_copy(update={"strategy": app.strategy.model_copy(update={name: settings})})


def load_all(apps: Path, config: Path) -> Iterator[ReleaseSpec | SpecError]:
    """Every app file: its release, or what is wrong with it. Two files may not have one app."""
    names: dict[str, str] = {}
    for path in app_files(apps):
        if path.stem in names:
            problem = f"`{path.stem}`, which {names[path.stem]} has already"
            yield SpecError(path.name, "name", problem, "a name of its own")
            continue
        names[path.stem] = path.name
        try:
            yield load_release(path, config, analyses_of(apps))
        except SpecError as error:
            yield error


def release_specs(apps: Path, config: Path, only: str | None = None) -> list[ReleaseSpec]:
    """The valid apps; never raises. With ``only`` (an app's name) no other file is read."""
    if only is None:
        return [it for it in load_all(apps, config) if isinstance(it, ReleaseSpec)]
    for path in app_files(apps):
        if path.stem == only:
            try:
                return [load_release(path, config, analyses_of(apps))]
            except SpecError:
                return []
    return []


def app_errors(apps: Path, config: Path) -> list[SpecError]:
    """Everything that is wrong in the app files and in what they name, each mistake once."""
    errors = [error for it in load_all(apps, config) if isinstance(it, SpecError) for error in (it, *it.also)]
    return list({str(error): error for error in errors}.values())
