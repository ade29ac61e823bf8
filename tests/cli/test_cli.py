"""The `release` command as a terminal and a program see it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.adapters.history import open_history
from release_pipelines.cli import app
from release_pipelines.core.findings.judgement import judge
from release_pipelines.core.model.measurement import Sample
from release_pipelines.core.model.verdict import Verdict
from release_pipelines.core.sarif import write
from tests.adapters.history.conftest import artifact, digest
from tests.core.findings.findings import NOW, exemption, flaw, found, rules

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """One release that was rolled back and one that runs, where the command looks for them."""
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/history.db")
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/one#0", "shop", "release_shop", "one", "1.2.0", "ann")
    history.record_artifact("release_shop/one#0", artifact("1.2.0", "a"))
    history.record_approval("release_shop/one#0", digest("a"), "approved", "bob")
    verdict = Verdict(
        judgement="fail", decided_at=1e9, step="weight_25", weight=25, sentence="4.8 % errors, limit 1 %."
    )
    history.record_verdict(
        "release_shop/one#0", "production", verdict, [Sample(metric="errors", at=1e9, bad=48, total=1000)]
    )
    history.finish("release_shop/one#0", "rolled_back", "Rolled back 1.2.0 at 25 %: 4.8 % errors.")
    history.begin("release_cart/two#0", "cart", "release_cart", "two", "3.0.0", "carol")


def test_programs_get_all_that_happened() -> None:
    newest, oldest = json.loads(run(app, ["history", "--json"]).stdout)
    assert (newest["app"], newest["outcome"], newest["ended"]) == ("cart", None, None)
    assert oldest["outcome"] == "rolled_back"
    assert oldest["digest"] == digest("a")
    assert oldest["sentence"] == "Rolled back 1.2.0 at 25 %: 4.8 % errors."
    assert (oldest["requester"], oldest["approver"], oldest["version"]) == ("ann", "bob", "1.2.0")
    assert oldest["started"].endswith("+00:00")


def test_who_rejected_a_release_is_in_the_list(tmp_path: Path) -> None:  # R10
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.begin("release_shop/three#0", "shop", "release_shop", "three", "1.3.0", "ann")
    history.record_approval("release_shop/three#0", digest("b"), "rejected", "carol", "wrong prices")
    newest = json.loads(run(app, ["history", "shop", "--json"]).stdout)[0]
    assert (newest["version"], newest["approver"]) == ("1.3.0", "carol")
    assert history.releases("shop")[0].approver == "carol"


def test_people_get_a_table_of_one_app() -> None:
    said = run(app, ["history", "shop"]).stdout
    assert "rolled_back" in said
    assert "cart" not in said


@pytest.mark.parametrize("command", [["history"], ["history", "--json"], ["stability"]])
def test_an_app_that_nobody_knows_is_a_mistake_and_one_without_releases_is_none(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:  # R12
    monkeypatch.setenv("RELEASE_PIPELINES_APPS", str(tmp_path / "apps"))
    (tmp_path / "apps").mkdir()
    (tmp_path / "apps" / "storefront.yaml").write_text("name: storefront\n")
    new = run(app, [*command, "storefront"])
    assert (new.exit_code, new.stdout) == (0, "[]\n" if "--json" in command else "No release of storefront yet.\n")
    unknown = run(app, [*command, "stroefront"])
    assert (unknown.exit_code, unknown.stdout) == (1, "")
    assert unknown.stderr.splitlines()[-1] == (
        f"No app stroefront is known: it has no release in the history, and no file in {tmp_path}/apps. Did you mean storefront?"
    )
    assert run(app, [*command, "crt"]).stderr.endswith(" Did you mean cart?\n")
    assert run(app, [*command, "zzz"]).stderr.endswith(" Known: cart, shop, storefront.\n")


def test_a_release_that_nobody_knows_is_told_with_the_app_that_may_be_meant() -> None:  # R12
    failed = run(app, ["show", "shpo"])
    assert (failed.exit_code, failed.stderr) == (
        1,
        "The history knows no release and no app shpo. Did you mean shop?\n",
    )


@pytest.mark.parametrize("command", sorted(it.name or it.callback.__name__ for it in app.registered_commands))
def test_the_help_of_every_command_has_examples_that_are_commands(command: str) -> None:
    for option in ("-h", "--help"):
        said = run(app, [command, option], env={"COLUMNS": "300", "TERM": "dumb"})
        assert said.exit_code == 0
        assert f"release {command}" in said.stdout.partition("Examples:")[2]


def test_one_release_is_told_with_its_numbers() -> None:  # R13
    said = run(app, ["show", "shop"]).stdout
    assert "weight_25" in said
    assert "4.8 % errors, limit 1 %." in said
    assert "approved by bob" in said
    detail = json.loads(run(app, ["show", "release_shop", "--json"]).stdout)
    assert detail["measurements"][0]["bad"] == 48
    assert detail["verdicts"][0]["decided_at"] == "2001-09-09T01:46:40.000+00:00"


def test_an_incident_report_is_printed_and_its_plots_are_saved(tmp_path: Path) -> None:  # R8, R13
    said = run(app, ["report", "shop"])
    assert said.stdout == "shop 1.2.0 has no incident report: Rolled back 1.2.0 at 25 %: 4.8 % errors.\n"
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.attach("release_shop/one#0", "incident.md", "text/markdown", "# shop 1.2.0: rolled back")
    history.attach("release_shop/one#0", "production-weight_25-errors.svg", "image/svg+xml", "<svg/>")
    said = run(app, ["report", "release_shop/one", "--plots", str(tmp_path / "plots")])
    assert (said.exit_code, said.stdout) == (0, "# shop 1.2.0: rolled back\n")
    assert said.stderr == f"1 plot in {tmp_path}/plots.\n"
    assert [it.name for it in (tmp_path / "plots").iterdir()] == ["production-weight_25-errors.svg"]
    (tmp_path / "file").write_text("")
    failed = run(app, ["report", "shop", "--plots", str(tmp_path / "file")])
    assert (failed.exit_code, "A folder is expected." in failed.stderr) == (1, True)
    assert run(app, ["report", "cart"]).stdout == "cart 3.0.0 has no incident report: it has not ended.\n"


def test_what_is_not_there_is_a_sentence_and_an_exit_code() -> None:  # R12
    failed = run(app, ["show", "nothing"])
    assert failed.exit_code == 1
    assert failed.stderr == "The history knows no release and no app nothing.\n"


def test_a_history_that_is_not_there_is_not_made(tmp_path: Path) -> None:  # R12
    file = tmp_path / "histroy.db"
    failed = run(app, ["history", "--database", f"sqlite:///{file}"])
    assert failed.exit_code == 1
    assert failed.stderr.startswith(f"There is no release history at {file}: ")
    assert not file.exists()


def test_the_version_is_the_packages() -> None:
    assert run(app, ["--version"]).stdout.strip() == version("release-pipelines")


def test_pruning_says_how_much_went() -> None:
    assert run(app, ["prune", "--older-than", "365d"]).stdout == "Removed 0 releases.\n"
    nothing = run(app, ["prune", "--older-than", "0d"])
    assert (nothing.exit_code, nothing.stdout) == (1, "")
    assert "expected a positive time" in nothing.stderr
    assert run(app, ["prune", "--older-than", "1ms"]).stdout == "Removed 1 release.\n"
    failed = run(app, ["prune", "--older-than", "soon"])
    assert failed.exit_code == 1
    assert failed.stderr == "--older-than: found `soon`, expected a time like 365d.\n"


def test_environments_are_checked_by_themselves_and_with_the_apps_also_where_no_app_names_them(tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(Path("include"), include, ignore=shutil.ignore_patterns("schemas"))
    assert (
        run(app, ["validate", str(include / "config" / "production.yaml")]).stdout
        == "1 environment file, no mistakes.\n"
    )
    (include / "config" / "qa.yaml").write_text("adress: http://qa.test\n")
    for path in (include / "apps", include / "config", include / "config" / "qa.yaml"):
        failed = run(app, ["validate", str(path)])
        assert failed.exit_code == 1
        assert failed.stderr.startswith("qa.yaml: adress: found an unknown key"), failed.stderr


def test_app_files_are_checked(tmp_path: Path) -> None:  # R12
    include = tmp_path / "include"
    for folder in ("apps", "config"):
        (include / folder).mkdir(parents=True)
    (include / "config" / "base.yaml").write_text(
        "platform: container_host\nconnections: {platform: p, engine: e, registry: r, prometheus: m}\n"
        "address: {url: 'http://127.0.0.1:8000'}\napprovers: [bob]\n"
    )
    for name in ("staging", "production"):
        (include / "config" / f"{name}.yaml").write_text(f"name: {name}\n")
    file = include / "apps" / "shop.yaml"
    file.write_text("name: shop\n")
    all_of_it = "1 app file, 3 environment files, no mistakes.\n"
    assert run(app, ["validate", str(include / "apps")]).stdout == all_of_it
    assert run(app, ["validate", str(file)]).stdout == "1 app file, no mistakes.\n"
    file.write_text("name: shop\nanalysis: {metrics: [{name: errors, source: errors, limit: 1}]}\n")
    for path, counted in ((file, "1 app file, no mistakes.\n"), (include / "apps", all_of_it)):
        doubtful = run(app, ["validate", str(path)])
        assert (doubtful.exit_code, doubtful.stdout) == (0, counted)
        assert doubtful.stderr == (
            "Warning: shop.yaml: analysis.metrics[0].limit: 1 is read as 100 %: `1%` if that is meant, else `100%`.\n"
        )
    failed = run(app, ["validate", str(include / "config" / "nothing")])
    assert (failed.exit_code, "does not exist" in failed.stderr) == (1, True)
    (tmp_path / "empty").mkdir()
    failed = run(app, ["validate", str(tmp_path / "empty")])  # the wrong folder must not look like a right one
    assert (failed.exit_code, "has no app files" in failed.stderr) == (1, True)
    file.write_text("name: shop\nverison_scheme: date\n")
    for path in (file, include / "apps"):
        failed = run(app, ["validate", str(path)])
        assert failed.exit_code == 1
        assert "verison_scheme" in failed.stderr


def test_analyses_are_checked_by_themselves_and_with_the_apps_also_where_no_app_names_them(tmp_path: Path) -> None:
    include = tmp_path / "include"
    shutil.copytree(Path("include"), include, ignore=shutil.ignore_patterns("schemas"))
    (include / "analyses").mkdir(exist_ok=True)
    file = include / "analyses" / "strict.yaml"
    file.write_text("metrics: [{name: errors, source: errors, limit: 1}]\n")
    for path in (file, file.parent, include / "apps"):
        doubtful = run(app, ["validate", str(path)])
        assert doubtful.exit_code == 0, doubtful.stderr
        assert "Warning: strict.yaml: metrics[0].limit: 1 is read as 100 %" in doubtful.stderr
    assert run(app, ["validate", str(file)]).stdout == "1 analysis file, no mistakes.\n"
    file.write_text("metrics: [{name: errors, source: eror, limit: 1%}]\n")
    for path in (file, file.parent, include / "apps"):
        failed = run(app, ["validate", str(path)])
        assert (failed.exit_code, failed.stderr.startswith("strict.yaml: metrics[0].source: found `eror`")) == (1, True)


def test_schemas_are_written(tmp_path: Path) -> None:
    assert run(app, ["schema", str(tmp_path)]).exit_code == 0
    assert json.loads((tmp_path / "app.schema.json").read_text())["title"] == "AppSpec"


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:  # R12
    (tmp_path / "file").write_text("")
    failed = run(app, ["schema", str(tmp_path / "file")])
    assert failed.exit_code == 1
    assert failed.stderr == f"{tmp_path}/file cannot be written: File exists. A folder is expected.\n"


def test_the_command_does_without_airflow() -> None:
    code = "import sys, release_pipelines.cli, release_pipelines.adapters.history; print('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


def test_findings_of_a_release_are_listed_and_printed_as_sarif(tmp_path: Path) -> None:
    assert run(app, ["findings", "shop"]).stdout == "shop 1.2.0 has no findings that were judged together.\n"
    judged = judge(
        {"trivy": [found(flaw("CVE-1"), flaw("CVE-2", severity="low"))]}, rules(exceptions=[exemption("CVE-1")]), NOW
    )
    history = open_history(f"sqlite:///{tmp_path}/history.db")
    history.attach("release_shop/one#0", "findings.sarif", "application/sarif+json", write(judged))
    said = run(app, ["findings", "shop", "1.2.0"]).stdout
    assert "CVE-1" in said
    assert "scan.exceptions[0]: not reached (ada, until 2026-12-31)" in " ".join(said.split())
    report = json.loads(run(app, ["findings", "shop", "--json"]).stdout)
    assert [it["ruleId"] for it in report["runs"][0]["results"]] == ["CVE-1", "CVE-2"]
