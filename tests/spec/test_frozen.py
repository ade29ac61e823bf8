"""What a running release needs stays as it was when it began; a file that breaks keeps its DAG (R12)."""

from __future__ import annotations

import time

import pytest

from release_pipelines.spec.frozen import FORGOTTEN_AFTER, dag_id, dag_specs, freeze, frozen, last_valid, thaw
from release_pipelines.spec.release import load_release

RUN = "release_storefront/manual__2026-11-23T12:00:00+00:00#0"


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    return tmp_path / "state"


def load(project):
    return load_release(project.apps / "storefront.yaml", project.config, project.analyses)


def owners(project, only=None):
    return {spec.app.name: spec.app.owner for spec in dag_specs(project.apps, project.config, only)}


def test_an_edit_changes_no_release_that_has_begun(project):
    project.app("owner: before")
    freeze(RUN, load(project))
    project.app("owner: after")
    assert owners(project) == owners(project, "storefront") == {"storefront": "before"}
    thaw(RUN)
    assert owners(project) == owners(project, "storefront") == {"storefront": "after"}


def test_a_preflight_that_runs_again_does_not_freeze_an_edit(project):  # R6
    project.app("owner: before")
    freeze(RUN, load(project))
    project.app("owner: after")
    freeze(RUN, load(project))
    assert frozen("storefront").app.owner == "before"


def test_of_two_running_releases_the_older_one_counts(project):
    project.app("owner: first")
    freeze("first", load(project))
    project.app("owner: second")
    freeze("second", load(project))
    assert frozen("storefront").app.owner == "first"
    thaw("first")
    assert frozen("storefront").app.owner == "second"


def test_thawing_twice_or_what_was_never_frozen_is_harmless():
    thaw(RUN)
    thaw(RUN)
    assert frozen("storefront") is None


def test_a_file_that_breaks_keeps_its_dag(project):  # R12
    project.app("owner: before")
    assert owners(project) == {"storefront": "before"}
    project.app("ownr: after")
    assert owners(project) == owners(project, "storefront") == {"storefront": "before"}
    project.environment("production", "platform: mainframe")
    assert owners(project) == {"storefront": "before"}


def test_a_file_that_was_never_valid_has_no_dag_and_hides_no_other(project):  # R12
    project.app("ownr: me", name="broken")
    project.app("owner: me", name="whole")
    assert owners(project) == {"whole": "me"}
    assert owners(project, "broken") == {}


def test_a_running_release_keeps_its_dag_when_its_file_is_deleted(project):  # R6
    path = project.app("owner: me")
    freeze(RUN, load(project))
    path.unlink()
    assert owners(project) == {"storefront": "me"}
    thaw(RUN)
    assert owners(project) == {}


def test_an_edit_of_an_environment_or_an_analysis_is_seen(project):
    (project.analyses / "own.yaml").write_text("metrics: [{name: errors, source: errors, limit: 1%}]")
    project.app("analysis: own")
    assert dag_specs(project.apps, project.config)[0].analysis.metrics[0].limit == 0.01
    (project.analyses / "own.yaml").write_text("metrics: [{name: errors, source: errors, limit: 0.25%}]")
    assert dag_specs(project.apps, project.config)[0].analysis.metrics[0].limit == 0.0025
    project.environment("production", "name: production\nnamespace: elsewhere")
    assert dag_specs(project.apps, project.config)[0].production.namespace == "elsewhere"


def test_an_unchanged_file_is_not_parsed_again(project, monkeypatch):
    project.app("owner: me")
    assert owners(project) == {"storefront": "me"}
    monkeypatch.setattr("release_pipelines.spec.frozen.load_release", lambda *_: pytest.fail("parsed again"))
    assert owners(project) == {"storefront": "me"}


def test_records_that_cannot_be_read_are_as_if_they_were_not_there(project, state):
    project.app("owner: me")
    freeze(RUN, load(project))
    assert owners(project) == {"storefront": "me"}
    for path in state.rglob("*.json"):
        path.write_text("{half")
    assert owners(project) == {"storefront": "me"}


def test_a_folder_that_cannot_be_written_takes_no_dag_down(project, state):
    state.write_text("a file where the folder should be")
    project.app("owner: me")
    assert owners(project) == {"storefront": "me"}


def test_a_folder_of_apps_that_does_not_exist_gives_no_dags(tmp_path):
    assert dag_specs(tmp_path / "nowhere", tmp_path / "nowhere") == []


def test_a_release_that_was_deleted_while_it_ran_does_not_shadow_its_file_for_ever(project, monkeypatch):
    project.app("owner: before")
    freeze(RUN, load(project))
    project.app("owner: after")
    now = time.time()
    monkeypatch.setattr("release_pipelines.spec.frozen.time.time", lambda: now + FORGOTTEN_AFTER + 1)
    assert owners(project) == {"storefront": "after"}


def test_no_half_written_record_is_left_behind(project, state):
    project.app()
    owners(project)
    assert last_valid("storefront") is not None
    assert [path.name for path in (state / "valid").iterdir()] == ["storefront.json"]


def test_dag_ids():
    assert dag_id("web-shop") == "release_web_shop"
