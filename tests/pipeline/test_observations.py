"""What a whole release leaves behind, as the DAG that looks and the release's own loops saw it."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.dag_processing.dagbag import DagBag, sync_bag_to_db
from airflow.sdk import DAG

from release_pipelines.airflow import progress
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.core.model.sighting import Sighting
from release_pipelines.features.observations.dag import observations_dag
from tests.fakes import NEW, artifact
from tests.pipeline.conftest import Released, Releases


@pytest.fixture
def observations(releases: Releases, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DAG:
    """The DAG `release_observations` of the project, known to Airflow."""
    monkeypatch.setattr(progress, "SEEN_SECONDS", 0.02)
    dag = observations_dag(releases.apps, releases.config)
    dag.fileloc, dag.relative_fileloc = str(tmp_path / "observations.py"), "observations.py"
    Path(dag.fileloc).write_text("# made by the fixture\n")
    bag = DagBag(dag_folder=str(tmp_path / "no_dags"))
    bag.bag_dag(dag)
    sync_bag_to_db(bag, "dags-folder", None)
    return dag


def looked(dag: DAG) -> dict[str, Sighting]:
    it = Released(dag.test())
    assert it.state == "success", it.states
    return rows()


def rows() -> dict[str, Sighting]:
    return {it.environment: it for it in HistoryHook().history().observations(["shop"])}


def test_what_a_release_brings_and_a_rollback_takes_back_is_seen_where_it_runs(
    releases: Releases, observations: DAG
) -> None:
    releases.runs("1.0.0")
    before = looked(observations)
    assert {name: it.version for name, it in before.items()} == {"staging": "1.0.0", "production": "1.0.0"}
    assert before["production"].drift == []

    made = releases.release("1.1.0")
    assert made.outcome == "released"
    fresh = rows()["production"]  # nobody has looked since but the release itself
    assert (fresh.digest, fresh.version) == (NEW, "1.1.0")
    assert fresh.observed_at > before["production"].observed_at  # type: ignore[operator]

    after = looked(observations)
    history = HistoryHook().history()
    [release] = [it for it in history.releases("shop") if it.version == "1.1.0"]
    full = [
        it.data["at"] for it in history.release(release.id).events if it.kind == "traffic" and it.data["weight"] == 100
    ]  # type: ignore[index]
    it = after["production"]
    assert (it.version, it.since, it.release, it.previous_version) == ("1.1.0", full[0], release.id, "1.0.0")
    assert (it.backward, it.drift, it.holder) == (False, [], None)
    assert (after["staging"].version, after["staging"].release) == ("1.1.0", release.id)
    assert after["staging"].drift == []

    assert releases.roll_back(app="shop", reason="wrong prices", requested_by="dora").state == "success"
    back = looked(observations)["production"]
    assert (back.version, back.previous_version, back.backward, back.drift) == ("1.0.0", "1.1.0", True, [])
    assert back.release is not None
    assert back.release.startswith("release_rollback/")
    verified = [one.at for one in history.release(back.release).events if one.kind == "verified"]
    assert back.since == verified[0]


def test_a_release_that_fails_leaves_what_ran_since_when_it_ran(releases: Releases, observations: DAG) -> None:
    releases.runs("1.0.0")
    before = looked(observations)["production"]
    releases.outside.bad = 0.5
    assert releases.release("1.1.0").outcome == "rolled_back"
    after = looked(observations)["production"]
    assert (after.version, after.since, after.digest) == ("1.0.0", before.since, before.digest)
    assert (after.drift, after.backward) == ([], False)


def test_what_somebody_puts_there_by_hand_is_drift_and_a_place_that_no_file_names_is_forgotten(
    releases: Releases, observations: DAG
) -> None:
    releases.runs("1.0.0")
    looked(observations)
    by_hand = artifact("1.0.0", f"sha256:{'e' * 64}")
    releases.production.runs("stable", by_hand)
    it = looked(observations)["production"]
    assert (it.digest, it.version, [one.kind for one in it.drift]) == (by_hand.digest, None, ["version"])

    file = releases.apps / "shop.yaml"
    (releases.apps / "cart.yaml").write_text(file.read_text().replace("name: shop", "name: cart"))
    file.unlink()
    assert looked(observations) == {}
    assert {it.app for it in HistoryHook().history().observations()} == {"cart"}
