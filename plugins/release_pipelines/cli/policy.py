"""``release policy``: what policies say of a release that was, and what is wrong with a policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from release_pipelines.cli.known import found
from release_pipelines.cli.terminal import AsJson, Database, errors_as_sentences, fail, open_history_at, print_json

if TYPE_CHECKING:
    from release_pipelines.adapters.history import History
    from release_pipelines.core.model.policy import Policy, Ruling
    from release_pipelines.core.model.records import ReleaseDetail
    from release_pipelines.spec.release import ReleaseSpec


def policy(
    name: Annotated[str | None, typer.Argument(metavar="[APP]", help="The app.")] = None,
    version: Annotated[str | None, typer.Argument(metavar="[VERSION]", help="Default: its newest release.")] = None,
    check: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A policy, as a file or a folder: is it one that can be asked?")
    ] = None,
    evidence: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="A document of evidence that the policy of --check is asked about."),
    ] = None,
    as_json: AsJson = False,
    database: Database = None,
) -> None:
    """Ask the policies of an app about an earlier release of it, as they are written now; nothing is changed. Ends with 1 unless they pass."""
    if name is None and check is None:
        fail("An app is expected, or --check with a policy.")
    if name is not None and check is not None:
        fail("--check asks a policy by itself: an app and --check do not go together.")
    if evidence is not None and check is None:
        fail("--evidence goes with --check: an app's evidence is in the history.")
    with errors_as_sentences():
        if check is not None:
            _check(check, evidence, as_json)
            return
        history = open_history_at(database)
        assert name is not None  # noqa: S101 - see above
        _tell(_of_release(history, name, version), as_json)


def _of_release(history: History, name: str, version: str | None) -> Ruling:
    from release_pipelines.airflow.policies import asked_about
    from release_pipelines.spec.folders import policies_folder
    from release_pipelines.spec.policies import policies_of, waivers_of

    spec = _spec(name)
    environment = spec.production.name
    names = policies_of(spec, environment)
    if not names:
        raise ValueError(
            f"{name} keeps to no policy in {environment}: `policies` in {environment}.yaml, or in its own file, names them."
        )
    detail = found(history, name, version)
    return asked_about(
        _document(history, detail, spec),
        names,
        folder=policies_folder(Path.cwd()),
        waivers=waivers_of(spec, environment),
        time_zone=spec.production.time_zone,
    )


def _spec(name: str) -> ReleaseSpec:
    from release_pipelines.spec.folders import apps_folder, config_folder
    from release_pipelines.spec.release import analyses_of, app_files, load_release

    folder = apps_folder(Path.cwd())
    path = next((it for it in app_files(folder) if it.stem == name), None)
    if path is None:
        raise ValueError(f"{name} has no file in {folder.absolute()}: it says which policies are asked.")
    return load_release(path, config_folder(Path.cwd()), analyses_of(folder))


def _document(history: History, detail: ReleaseDetail, spec: ReleaseSpec) -> dict[str, Any]:
    """The evidence that the release was judged by; where it was judged by no policy, what the history knows of it."""
    from release_pipelines.airflow.policies import Setting, collected
    from release_pipelines.core.model.artifact import Artifact
    from release_pipelines.spec.windows import window_rule

    environment = spec.production.name
    kept = next((it for it in history.attachments(detail.id) if it.name == f"policy-{environment}.json"), None)
    if kept is not None:
        return json.loads(kept.content)  # type: ignore[no-any-return]
    if detail.digest is None or detail.image is None:
        raise ValueError(f"{detail.app} {detail.version} came to no image, so there is no evidence about one.")
    given = {"app": detail.app, "version": detail.version, "image": detail.image, "digest": detail.digest}
    artifact = Artifact(**given, commit=detail.commit)
    good = history.last_good(detail.app, environment, excluding=detail.digest)
    before = {"version": good.version, "digest": good.digest, "commit": good.commit} if good else {}
    rule = window_rule(spec, environment)
    setting = Setting(
        environment, spec.app.strategy.name, spec.app.part("tags", list) or [], rule.calendars if rule else []
    )
    preflight = {"requester": detail.requester, "urgent_reason": detail.reason, "before": before}
    tests = {
        name: result
        for it in detail.events
        if it.kind == "evidence"
        for name, result in (it.data or {}).get("results", {}).items()
    }
    return collected(history, detail.id, artifact, setting, preflight, tests)


def _check(path: Path, evidence: Path | None, as_json: bool) -> None:
    from release_pipelines.adapters.policies.folder import library_in, policies_in
    from release_pipelines.adapters.policies.rego import Rego
    from release_pipelines.core.policies.asking import look_at, unusable

    if not path.exists():
        raise ValueError(f"There is no {path}: a policy's file, or its folder, is expected.")
    try:
        [given], library = (
            policies_in(path.parent, [path.stem if path.is_file() else path.name]),
            library_in(path.parent),
        )
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read: {error}.") from None
    if evidence is not None:
        _tell(_about(given, library, evidence), as_json)
        return
    rules, needs, wrong = look_at(Rego(), given, library)
    wrong += unusable(Rego(), given, library)
    if as_json:
        print_json({"policy": given.name, "rules": rules, "needs": needs, "mistakes": wrong})
    else:
        print(f"{given.name}: {rules} rule{'s' if rules != 1 else ''}. It needs {', '.join(needs) or 'no evidence'}.")
        for sentence in wrong:
            print(sentence)
    if wrong:
        raise typer.Exit(1)


def _about(policy: Policy, library: dict[str, str], evidence: Path) -> Ruling:
    from datetime import date

    from release_pipelines.adapters.policies.rego import Rego
    from release_pipelines.core.policies.asking import rule_on

    try:
        document = json.loads(evidence.read_text())
    except (OSError, ValueError) as error:
        raise ValueError(f"{evidence} cannot be read as JSON: {error}.") from None
    if not isinstance(document, dict):
        raise ValueError(f"{evidence} is a document with keys, found {type(document).__name__}.")
    return rule_on(Rego(), [policy], library, document, today=date.today())


def _tell(ruling: Ruling, as_json: bool) -> None:
    if as_json:
        print_json(ruling.model_dump(mode="json"))
    else:
        print(f"{ruling.status}: {ruling.sentence}")
        for answer in ruling.answers:
            print(
                f"  {answer.policy:<20} {answer.rules} rule{'s' if answer.rules != 1 else ''}, {len(answer.denials)} against it"
            )
    if ruling.status != "passed":
        raise typer.Exit(1)
