"""`release validate` says "no mistakes" only where there are none, and what it looked at."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from release_pipelines.cli import app
from tests.cli.test_steering import PRODUCTION

run = CliRunner().invoke
OPEN = "entries: [{freeze: holidays, from: 2099-12-24, to: 2099-12-26}]\n"


@pytest.fixture
def include(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The app shop, which keeps to the calendar hours, and the train weekly."""
    include = tmp_path / "include"
    for folder in ("apps", "config", "calendars", "trains"):
        (include / folder).mkdir(parents=True)
    (include / "config" / "production.yaml").write_text(PRODUCTION)
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [hours]\n")
    (include / "calendars" / "hours.yaml").write_text(OPEN)
    (include / "trains" / "weekly.yaml").write_text("waves: [[shop]]\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    monkeypatch.setenv("AIRFLOW_CONN_RELEASE_HISTORY", f"sqlite:///{tmp_path}/none.db")
    return include


def checked(*path: Path) -> tuple[int, str, str]:
    done = run(app, ["validate", *map(str, path)])
    return done.exit_code, done.stdout, done.stderr


def test_all_files_that_were_looked_at_are_counted(include: Path) -> None:
    code, said, _ = checked()
    assert (code, said) == (0, "1 app file, 1 environment file, 1 calendar, 1 train, no mistakes.\n")


def test_a_broken_calendar_is_no_matter_of_trains_and_environments_that_do_not_name_it(include: Path) -> None:
    (include / "calendars" / "broken.yaml").write_text("entries: [{freeze: a, days: daliy}]\n")
    assert checked(include / "trains") == (0, "1 train, no mistakes.\n", "")
    assert checked(include / "config") == (0, "1 environment file, no mistakes.\n", "")
    assert checked(include / "apps" / "shop.yaml")[0] == 0
    for path in ([], [include / "calendars"]):
        code, _, said = checked(*path)
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("broken.yaml: entries[0].days: found `daliy`")


def test_a_broken_calendar_is_told_of_whatever_names_it(include: Path) -> None:
    (include / "calendars" / "hours.yaml").write_text("entries: [{freeze: a, days: daliy}]\n")
    (include / "trains" / "weekly.yaml").write_text("waves: [[shop]]\ncalendars: [hours]\n")
    for path in (include / "apps" / "shop.yaml", include / "trains", include / "apps"):
        code, _, said = checked(path)
        assert (code, said.count("\n")) == (1, 1)
        assert said.startswith("hours.yaml: entries[0].days: found `daliy`")


def test_a_calendar_that_an_app_names_and_that_has_no_file_is_a_mistake(include: Path) -> None:
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\ncalendars: [hours, huors]\n")
    for path in ([], [include / "apps" / "shop.yaml"]):
        code, _, said = checked(*path)
        expected = "found `huors`, which has no file, expected one of hours; did you mean `hours`?"
        assert (code, said) == (1, f"shop.yaml: calendars[1]: {expected}\n")


@pytest.mark.parametrize(("where", "text"), [("production", PRODUCTION), ("base", "")])
def test_a_calendar_that_an_environment_names_and_that_has_no_file_is_a_mistake(
    include: Path, where: str, text: str
) -> None:
    (include / "config" / f"{where}.yaml").write_text(f"{text}calendars: [nope]\n")
    paths = [include / "config", include / "config" / "production.yaml", include / "apps" / "shop.yaml"]
    for path in ([], *([it] for it in paths)):
        code, _, said = checked(*path)
        expected = f"{where}.yaml: calendars[0]: found `nope`, which has no file, expected one of hours\n"
        assert (code, said) == (1, expected)
    (include / "calendars" / "hours.yaml").unlink()
    assert "expected a file nope.yaml in calendars/" in checked(include / "config")[2]


def test_a_calendars_file_that_nothing_reads_is_a_mistake(include: Path) -> None:
    (include / "calendars" / "holidays.yml").write_text(OPEN)
    for path in ([], [include / "calendars" / "holidays.yml"]):
        code, _, said = checked(*path)
        expected = "found the ending `.yml`, expected holidays.yaml: no other file is read as a calendar"
        assert (code, said) == (1, f"holidays.yml: {expected}\n")


def test_what_is_not_there_is_told_with_its_own_folder(include: Path) -> None:
    for folder, kind, variable in (
        ("calendars", "calendars", "CALENDARS"),
        ("trains", "trains", "TRAINS"),
        ("config", "environment files", "CONFIG"),
        ("apps", "app files", "APPS"),
    ):
        code, _, said = checked(include / folder / "nope.yaml")
        expected = f"the folder of the {kind}, or one of them, is expected; RELEASE_PIPELINES_{variable} names it."
        assert (code, said) == (1, f"{include / folder / 'nope.yaml'} does not exist: {expected}\n")
    code, _, said = checked(include)
    assert (code, "without a path all of the project is checked" in said) == (1, True)


def test_an_icalendar_file_is_checked_by_the_calendar_that_names_it(include: Path) -> None:
    (include / "calendars" / "told.ics").write_text("BEGIN:VCALENDAR\n")
    code, _, said = checked(include / "calendars" / "told.ics")
    assert (code, said.count("\n")) == (1, 1)
    assert said.endswith("that of a calendar is checked with the iCalendar file that it names.\n")


def test_entries_that_are_limited_to_nobody_here_are_warnings(include: Path) -> None:
    (include / "calendars" / "hours.yaml").write_text(
        "entries: [{freeze: a, apps: [shop, shpo], environments: prod, tags: web, from: 2099-12-24, to: 2099-12-26}]\n"
    )
    code, _, said = checked()
    assert code == 0
    assert said.splitlines()[:3] == [
        'Warning: hours: freeze "a" names `shpo` in `apps`, and no app file is called so (is `shop` meant?).',
        'Warning: hours: freeze "a" names `prod` in `environments`, and no environment file is called so.',
        'Warning: hours: freeze "a" names `web` in `tags`, and no app has that tag.',
    ]


def test_an_approver_of_a_train_who_approves_none_of_its_apps_is_a_warning(include: Path) -> None:
    (include / "trains" / "weekly.yaml").write_text(
        "waves: [[shop]]\napprovers: [zed, bob, {email: ann@example.org}]\n"
    )
    code, _, said = checked()
    expected = "Warning: train weekly: approvers: `zed` approves none of its apps: that answer counts for nothing.\n"
    assert (code, [it for it in said.splitlines(keepends=True) if "approvers" in it]) == (0, [expected])


def test_a_latest_start_that_no_window_is_long_enough_for_is_a_warning(include: Path) -> None:
    window = 'entries: [{window: night, days: daily, from: "01:00", to: "08:00"}]\n'
    (include / "calendars" / "hours.yaml").write_text(window)
    app_file = include / "apps" / "shop.yaml"
    for latest, warned in (("9h", True), ("7h", False)):
        app_file.write_text(f"name: shop\nenvironments: [production]\ncalendars: [hours]\nlatest_start: {latest}\n")
        code, _, said = checked(app_file)
        expected = "Warning: shop in production: `latest_start` (9 h) is longer than every window that is known: nothing can begin.\n"
        assert (code, expected in said) == (0, warned)


GOOD_POLICY = 'package release\ndeny contains "no" if { input.app == "cart" }\n'


@pytest.fixture
def policies(include: Path) -> Path:
    """The policy good, which the app shop and production name."""
    (include / "policies").mkdir()
    (include / "policies" / "good.rego").write_text(GOOD_POLICY)
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\npolicies: [good]\n")
    (include / "config" / "production.yaml").write_text(f"{PRODUCTION}policies: [good]\n")
    return include / "policies"


def test_policies_that_are_there_and_can_be_asked_are_no_mistake(policies: Path) -> None:
    assert checked() == (0, "1 app file, 1 environment file, 1 calendar, 1 train, no mistakes.\n", "")


def test_a_policy_that_an_app_names_and_that_has_no_file_is_a_mistake(include: Path, policies: Path) -> None:
    (include / "apps" / "shop.yaml").write_text("name: shop\nenvironments: [production]\npolicies: [good, goood]\n")
    for path in ([], [include / "apps" / "shop.yaml"]):
        code, _, said = checked(*path)
        expected = "found `goood`, which has no file, expected one of good; did you mean `good`?"
        assert (code, said) == (1, f"shop.yaml: policies[1]: {expected}\n")


@pytest.mark.parametrize(("where", "text"), [("production", PRODUCTION), ("base", "")])
def test_a_policy_that_an_environment_names_and_that_has_no_file_is_a_mistake(
    include: Path, where: str, text: str
) -> None:
    (include / "config" / f"{where}.yaml").write_text(f"{text}policies: [nosuch]\n")
    for path in ([], [include / "config"], [include / "apps" / "shop.yaml"]):
        code, _, said = checked(*path)
        expected = (
            f"{where}.yaml: policies[0]: found `nosuch`, which has no file, expected a file nosuch.rego in policies/\n"
        )
        assert (code, said) == (1, expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("package release\ndeny contains {", "good.rego:2"),
        (GOOD_POLICY.replace("release", "releases"), "No rule answered: good.rego says `package releases`"),
    ],
)
def test_a_policy_that_cannot_be_asked_is_a_mistake(policies: Path, text: str, said: str) -> None:
    (policies / "good.rego").write_text(text)
    code, _, told = checked()
    assert (code, told.count("\n")) == (1, 1)
    assert told.startswith("policy good: found what cannot be asked (")
    assert said in told


def test_a_policy_that_nobody_names_has_to_be_rego_and_no_more(policies: Path) -> None:
    (policies / "draft.rego").write_text("package elsewhere\nallowed := true\n")
    assert checked()[0] == 0
    (policies / "draft.rego").write_text("package elsewhere\nallowed :=\n")
    code, _, told = checked()
    assert code == 1
    assert told.startswith("policy draft: found what cannot be read (")


def test_without_what_reads_rego_policies_are_not_looked_at_and_that_is_said(
    policies: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (policies / "good.rego").write_text("package release\ndeny contains {")
    monkeypatch.setattr("release_pipelines.cli.policy_files.importlib.util.find_spec", lambda _: None)
    code, _, told = checked()
    assert (code, told) == (
        0,
        "Warning: Policies were not looked at: regorus (extra `policy`) is not installed here.\n",
    )


def test_a_message_of_a_policy_that_nobody_can_read_is_a_warning(policies: Path) -> None:
    (policies / "good.rego").write_text('package release\ndeny contains {"rule": "r"} if { input.app == "cart" }\n')
    code, _, told = checked()
    assert code == 0
    assert told.startswith("Warning: good.rego:2: its message has no `message`, so its answers will be unknown")


def test_exceptions_and_waivers_that_have_run_out_are_warnings(include: Path) -> None:
    exception = "id: CVE-1, component: 'pkg:npm/a', reason: r, who: ada"
    exceptions = f"[{{{exception}, until: 2999-01-01}}, {{{exception}, until: 2020-01-31}}]"
    (include / "apps" / "shop.yaml").write_text(
        f"name: shop\nenvironments: [production]\nscan: {{exceptions: {exceptions}}}\n"
    )
    waiver = "app: shop, rule: keep, reason: r, who: ada"
    (include / "config" / "production.yaml").write_text(
        f"{PRODUCTION}policy_waivers: [{{{waiver}, until: 2020-02-29}}, {{{waiver}, until: 2999-01-01}}]\n"
    )
    code, _, told = checked()
    assert (code, sorted(told.splitlines())) == (
        0,
        [
            "Warning: production.yaml: `policy_waivers[0]`, for shop and keep, has run out on 2020-02-29.",
            "Warning: shop.yaml: `scan.exceptions[1]`, for CVE-1 in pkg:npm/a, has run out on 2020-01-31.",
        ],
    )
