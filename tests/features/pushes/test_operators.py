"""Which releases the DAG of pushes begins: with a real repository, a registry on this machine, and a stand-in for Airflow's runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset

from release_pipelines.adapters.history import History
from release_pipelines.adapters.registries.distribution import Distribution
from release_pipelines.airflow.hooks.history import HistoryHook
from release_pipelines.airflow.pushes import as_kept, judge
from release_pipelines.core.model.artifact import Artifact
from release_pipelines.core.pushes import deciding
from release_pipelines.core.pushes.push import Push
from release_pipelines.core.pushes.reading import registry
from release_pipelines.features.pushes import looking, operators
from release_pipelines.features.pushes.operators import LookForPushesOperator, TakePushesOperator
from release_pipelines.spec.pushes import receiving_spec
from tests.core.pushes import payloads
from tests.core.pushes.payloads import I1
from tests.features.helpers import Ti
from tests.repositories import commit, git
from tests.spec.conftest import Project

I2, I3 = "sha256:" + "2" * 64, "sha256:" + "3" * 64


class Runs(Ti):
    """A task instance that knows Airflow's runs: DAG ids to run ids and states."""

    def __init__(self) -> None:
        super().__init__("look")
        self.there: dict[str, dict[str, str]] = {}

    def get_dr_count(self, dag_id: str, run_ids: list[str] | None = None, states: list[str] | None = None) -> int:
        runs = self.there.get(dag_id, {})
        return sum((not run_ids or it in run_ids) and (not states or runs[it] in states) for it in runs)


class World:
    """A project, its history, its runs, and the images of its registry: tags and digests to digests."""

    def __init__(self, project: Project, repository: Path) -> None:
        self.project, self.repository, self.ti = project, repository, Runs()
        self.images: dict[str, str] = {}
        self.away = False

    @property
    def history(self) -> History:
        return HistoryHook().history()

    def app(self, text: str, name: str = "shop") -> None:
        self.project.app(f"name: {name}\n{text}", name)

    def from_commits(self, name: str = "shop", starts: str = "{branch: main}") -> None:
        self.app(f"version_scheme: commit\nbuild: {{repository: '{self.repository}'}}\nstarts: {starts}", name)

    def images_of(self, name: str = "shop", starts: str = "{registry: true}") -> None:
        self.app(f"image: acme/{name}\nstarts: {starts}", name)

    def tell(self, *pushes: Push, app: str = "shop") -> list[str]:
        spec = receiving_spec(app, self.project.apps, self.project.config)
        return [it.result for it in judge(self.history, spec, pushes)]

    def look(self, woken: bool = True, events: Any = None) -> list[dict[str, Any]]:
        task = LookForPushesOperator(task_id="look", apps=self.project.apps, config=self.project.config)
        run = SimpleNamespace(dag_id="release_pushes", run_id="woken-1" if woken else "scheduled__1", clear_number=0)
        context: Any = {"ti": self.ti, "dag_run": run, "triggering_asset_events": events or {}}
        return list(task.execute(context))

    def begun(self, **how: Any) -> list[str]:
        """The versions that begin, their runs made as Airflow does."""
        found = self.look(**how)
        for it in found:
            self.ti.there.setdefault(it["release_dag"], {})[it["release_run"]] = "running"
        return [it["parameters"]["version"] for it in found]

    def end(self, version: str, outcome: str = "released", app: str = "shop", **artifact: Any) -> None:
        """What runs of an app ends, and the history knows it."""
        dag, history = f"release_{app}", self.history
        for run in self.ti.there.get(dag, {}):
            self.ti.there[dag][run] = "success"
            history.begin(f"{dag}/{run}#0", app, dag, run, version, "alice")
            self.released(f"{dag}/{run}#0", version, outcome, app, **artifact)

    def by_hand(self, version: str, outcome: str = "released", app: str = "shop", **artifact: Any) -> None:
        self.history.begin(f"release_{app}/{version}#0", app, f"release_{app}", version, version, "alice")
        self.released(f"release_{app}/{version}#0", version, outcome, app, **artifact)

    def released(self, release: str, version: str, outcome: str, app: str, **artifact: Any) -> None:
        history = self.history
        digest = artifact.pop("digest", "sha256:" + version.encode().hex().ljust(64, "0")[:64])
        made = Artifact(app=app, version=version, image=f"r/{app}", digest=digest, **artifact)
        history.record_artifact(release, made)
        if outcome == "released":
            history.record_event(release, "deployed", "deployed", "production")
            history.promoted(release)
        history.finish(release, outcome, "it ended")  # type: ignore[arg-type]

    def states(self, app: str = "shop") -> dict[str, str]:
        return {it.version: it.state for it in self.history.starts(app, limit=500)}


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    it = World(Project(tmp_path), tmp_path / "repository")

    class Registry(BaseHTTPRequestHandler):
        def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            digest = it.images.get(self.path.rpartition("/")[2])
            if it.away:
                self.answer(503, {})
            else:
                self.answer(200 if digest else 404, {"Docker-Content-Digest": digest} if digest else {})

        def do_GET(self) -> None:
            tags = [name for name in it.images if ":" not in name]
            self.answer(503 if it.away else 200, {}, json.dumps({"name": "acme/shop", "tags": tags}).encode())

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Registry) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        given = {"conn_type": "registry", "host": "127.0.0.1", "port": server.server_port, "extra": {"insecure": True}}
        monkeypatch.setenv("AIRFLOW_CONN_REGISTRY", json.dumps(given))
        monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
        monkeypatch.setattr(operators, "LOOK_SECONDS", 0.01)
        monkeypatch.setattr(deciding, "AGREES_WITHIN", 0.2)
        monkeypatch.setattr(looking, "TELLS_WITHIN", 0.0)
        yield it
        server.shutdown()
        thread.join()


def branch(commit: str, by: str | None = "octocat") -> Push:
    return Push(kind="branch", source="github", ref="main", commit=commit, by=by)


def image(tag: str, digest: str) -> Push:
    return Push(kind="image", source="registry", repository="acme/shop", ref=tag, digest=digest)


def test_a_push_begins_the_run_of_its_app(world: World) -> None:
    world.from_commits()
    c1 = commit(world.repository, {"a": "1"})
    assert world.tell(branch(c1)) == ["kept"]
    assert world.look() == [
        {
            "release_dag": "release_shop",
            "release_run": f"push-{c1[:16]}",
            "parameters": {
                "version": c1,
                "requested_by": "octocat@github",
                "notes": f"Started by a push (by octocat, commit:{c1}, told by github)",
            },
        }
    ]
    assert world.tell(branch(c1)) == ["known"]


def test_a_login_is_the_user_that_the_environment_names_and_otherwise_nobody(world: World) -> None:  # R10
    world.project.environment("production", "name: production\nforge_users: {Octocat: alice}")
    world.from_commits()
    c1 = commit(world.repository, {"a": "1"})
    world.tell(branch(c1, by="octoCAT"))
    assert world.look()[0]["parameters"]["requested_by"] == "alice"


def test_who_is_not_named_is_nobody_and_does_not_approve_by_the_same_name(world: World) -> None:  # R10
    from release_pipelines.core.approvers import allowed_approvers

    world.from_commits()
    world.tell(branch(commit(world.repository, {"a": "1"}), by="bob"))
    asked = world.look()[0]["parameters"]["requested_by"]
    assert asked == "bob@github"
    assert allowed_approvers(["bob", "carol"], asked, self_approval=False) == ["carol"]


def test_a_run_that_airflow_did_not_make_is_asked_for_again(world: World) -> None:
    world.from_commits()
    c1 = commit(world.repository, {"a": "1"})
    world.tell(branch(c1))
    assert len(world.look()) == 1
    assert len(world.look()) == 1
    assert world.begun() == [c1]
    assert world.begun() == []
    assert world.states() == {c1: "started"}


def test_a_child_before_its_parent_leaves_the_parent_out_whatever_their_dates(world: World) -> None:
    world.from_commits()
    c1 = commit(world.repository, {"a": "1"})
    c2 = commit(world.repository, {"a": "2"})
    world.tell(branch(c2))
    assert world.begun() == [c2]
    world.tell(branch(c1))
    world.end(c2, commit=c2)
    assert world.begun() == []
    assert world.states() == {c2: "started", c1: "ignored"}


def test_a_branch_that_is_forced_back_is_not_released_unasked(world: World) -> None:
    world.from_commits()
    commits = [commit(world.repository, {"a": str(n)}) for n in range(5)]
    world.by_hand(commits[4], commit=commits[4])
    git(world.repository, "branch", "kept")
    git(world.repository, "reset", "--quiet", "--hard", commits[2])
    world.tell(branch(commits[2]))
    assert world.begun() == []
    [kept] = world.history.starts("shop")
    assert "to go back is for a person" in str(kept.sentence)


def test_while_an_app_releases_the_newest_waits_and_follows(world: World) -> None:
    world.from_commits()
    c1, c2, c3 = (commit(world.repository, {"a": str(n)}) for n in range(3))
    world.tell(branch(c1))
    assert world.begun() == [c1]
    world.tell(branch(c3), branch(c2))
    assert world.begun() == []
    assert world.states() == {c1: "started", c2: "waiting", c3: "waiting"}
    world.end(c1, commit=c1)
    assert world.begun() == [c3]
    assert world.states() == {c1: "started", c2: "ignored", c3: "starting"}


def test_a_run_that_a_person_started_is_waited_for_too(world: World) -> None:
    world.images_of()
    world.images |= {"1.4.0": I1}
    world.ti.there["release_shop"] = {"manual__1": "queued"}
    world.tell(image("1.4.0", I1))
    assert world.begun() == []
    world.ti.there["release_shop"]["manual__1"] = "failed"
    assert world.begun() == ["1.4.0"]


@pytest.mark.parametrize("outcome", ["failed", "rolled_back", "rejected"])
def test_after_a_release_that_did_not_stay_a_delivery_starts_nothing(world: World, outcome: str) -> None:
    world.images_of()
    world.images |= {"1.4.0": I1}
    world.tell(image("1.4.0", I1))
    assert world.begun() == ["1.4.0"]
    world.end("1.4.0", outcome, digest=I1)
    assert world.tell(image("1.4.0", I1)) == ["known"]
    assert world.begun(woken=False) == []


def test_what_ci_released_is_not_started_again(world: World) -> None:
    world.images_of()
    world.by_hand("1.4.0", digest=I1)
    assert world.tell(image("1.4.0", I1)) == ["ignored"]
    assert world.begun() == []


def test_a_tag_that_was_pushed_again_with_another_image_is_refused(world: World) -> None:  # R1
    world.images_of()
    world.by_hand("1.4.0", digest=I1)
    world.images |= {"1.4.0": I2}
    assert world.tell(image("1.4.0", I2)) == ["refused"]
    assert world.begun(woken=False) == []
    [kept] = world.history.starts("shop")
    assert "a version keeps its image" in str(kept.sentence)


def test_a_hundred_old_events_are_one_start_of_the_newest(world: World) -> None:
    world.images_of()
    pushes = [image(f"1.{n}.0", f"sha256:{n:064x}") for n in (*range(50, 100), *range(50))]
    world.images |= {it.ref: str(it.digest) for it in pushes}
    world.tell(*pushes)
    assert world.begun() == ["1.99.0"]
    assert list(world.states().values()).count("ignored") == 99


def test_a_tag_that_cannot_be_read_yet_is_asked_for_again_and_then_its_digest_counts(world: World) -> None:
    world.images_of()
    world.images |= {I1: I1}
    world.tell(image("1.4.0", I1))
    [begun] = world.look()
    assert begun["parameters"]["digest"] == I1


def test_of_a_tag_that_moves_what_it_names_at_last_is_released(world: World) -> None:
    world.images_of()
    world.images |= {"1.4.0": I2, I2: I2}
    world.tell(image("1.4.0", I1))
    assert world.begun() == []
    assert world.states() == {"1.4.0": "refused"}
    world.tell(image("1.4.0", I2))
    assert world.begun() == ["1.4.0"]


def test_one_app_whose_registry_is_away_stops_no_other_one(world: World) -> None:
    world.images_of("cart")
    world.from_commits("shop")
    c1 = commit(world.repository, {"a": "1"})
    push = Push(kind="image", source="registry", repository="acme/cart", ref="1.0.0", digest=I1)
    world.away = True
    world.tell(push, app="cart")
    world.tell(branch(c1))
    assert world.begun(woken=False) == [c1]
    [kept] = world.history.starts("cart")
    assert kept.state == "waiting"
    assert "answers with status 503" in str(kept.sentence)
    world.away = False
    world.images |= {"1.0.0": I1}
    assert world.begun() == ["1.0.0"]


def test_a_registry_of_another_package_that_raises_anything_stops_no_other_app(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.images_of("cart")
    world.from_commits("shop")
    c1 = commit(world.repository, {"a": "1"})
    push = Push(kind="image", source="registry", repository="acme/cart", ref="1.0.0", digest=I1)
    world.tell(push, app="cart")
    world.tell(branch(c1))
    with monkeypatch.context() as patch:
        patch.setattr(Distribution, "digest_of", lambda *_: {}["secret"])
        assert world.begun(woken=False) == [c1]
    [kept] = world.history.starts("cart")
    assert kept.sentence == "it is looked at again: an unforeseen KeyError"


def test_what_was_there_at_first_is_left_alone_and_what_comes_later_is_found(world: World) -> None:
    world.from_commits(starts="{branch: main, tags: true}")
    commit(world.repository, {"a": "1"}, "v1.0.0")
    assert world.begun(woken=False) == []
    c2 = commit(world.repository, {"a": "2"})
    assert world.begun(woken=False) == [c2]
    assert world.begun(woken=False) == []
    [kept] = world.history.starts("shop")
    assert (kept.source, kept.by) == ("comparison", None)


def test_what_a_comparison_finds_waits_for_who_pushed_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:  # R10
    monkeypatch.setattr(looking, "TELLS_WITHIN", 3600.0)
    world.from_commits()
    commit(world.repository, {"a": "1"})
    assert world.begun(woken=False) == []
    c2 = commit(world.repository, {"a": "2"})
    assert world.begun(woken=False) == []
    assert world.tell(branch(c2)) == ["known"]
    [begun] = world.look()
    assert begun["parameters"]["requested_by"] == "octocat@github"


def test_who_pushed_it_is_not_changed_by_who_tells_it_again(world: World) -> None:  # R10
    world.from_commits()
    c1 = commit(world.repository, {"a": "1"})
    world.tell(branch(c1), branch(c1, by="mallory"))
    assert world.look()[0]["parameters"]["requested_by"] == "octocat@github"


@pytest.mark.parametrize("told", [True, False])
def test_what_a_release_has_made_is_found_by_no_comparison(world: World, told: bool) -> None:
    world.from_commits(starts="{branch: main, ignore_accounts: [Ann], ignore_files: ['deploy/*']}")
    commit(world.repository, {"a": "1"})
    assert world.begun(woken=False) == []
    robots = commit(world.repository, {"deploy/production.yaml": "a", "b": "1"})  # by Ann
    if told:
        assert world.tell(branch(robots, by="Ann")) == ["ignored"]
    assert world.begun(woken=False) == []
    git(
        world.repository,
        "-c",
        "user.name=Bo",
        "-c",
        "user.email=bo@example.org",
        "commit",
        "--amend",
        "--quiet",
        "--reset-author",
        "-m",
        "mine",
    )
    persons = git(world.repository, "rev-parse", "HEAD")
    assert world.begun(woken=False) == [persons]


def test_files_that_a_release_wrote_are_found_by_no_comparison(world: World) -> None:
    world.from_commits(starts="{branch: main, ignore_files: ['deploy/*']}")
    commit(world.repository, {"a": "1"})
    assert world.begun(woken=False) == []
    commit(world.repository, {"deploy/production.yaml": "a"})
    assert world.begun(woken=False) == []
    c3 = commit(world.repository, {"a": "2"})
    assert world.begun(woken=False) == [c3]


def test_a_commit_of_a_robot_is_released_where_a_person_tags_it(world: World) -> None:
    world.from_commits(starts="{branch: main, tags: true, ignore_accounts: [release-bot]}")
    c1 = commit(world.repository, {"a": "1"})
    assert world.tell(branch(c1, by="release-bot")) == ["ignored"]
    assert world.tell(Push(kind="tag", source="github", ref="v1.0.0", commit=c1, by="octocat")) == ["kept"]
    assert world.begun() == [c1]


def test_the_first_tag_after_the_first_look_is_found(world: World) -> None:
    world.app(f"build: {{repository: '{world.repository}'}}\nstarts: {{tags: true}}")
    commit(world.repository, {"a": "1"})
    assert world.begun(woken=False) == []
    git(world.repository, "tag", "v1.0.0")
    assert world.begun(woken=False) == ["1.0.0"]


def test_four_tags_in_one_push_of_which_no_forge_tells_are_found(world: World) -> None:
    names = ("api", "cart", "desk", "shop")
    for name in names:
        world.app(
            f"build: {{repository: '{world.repository}', tag: '{{app}}-v{{version}}'}}\nstarts: {{tags: true}}", name
        )
    commit(world.repository, {"a": "1"}, *(f"{it}-v1.0.0" for it in names))
    assert world.begun(woken=False) == []
    commit(world.repository, {"a": "2"}, *(f"{it}-v1.1.0" for it in names))
    assert world.begun(woken=False) == ["1.1.0"] * 4


def test_images_of_which_nobody_told_are_found_and_an_older_one_is_not(world: World) -> None:
    world.images_of()
    world.images |= {"1.0.0": I1, "1.1.0": I2}
    assert world.begun(woken=False) == []
    del world.images["1.1.0"]
    assert world.begun(woken=False) == []
    world.images |= {"1.2.0": I3, "latest": I3}
    assert world.begun(woken=False) == ["1.2.0"]


def test_deliveries_that_nobody_could_judge_are_judged(world: World) -> None:
    world.images_of()
    world.images |= {"1.4.0": I1}
    told = registry({"events": [payloads.pushed("1.4.0", I1, "acme/shop"), payloads.pushed("1.4.0", I2, "acme/cart")]})
    world.history.deliver("shop", "registry", None, as_kept(told))
    world.history.deliver("gone", "registry", None, as_kept(told))
    assert world.begun() == ["1.4.0"]
    assert world.history.deliveries(unjudged=True) == []
    assert "acme/cart is not what shop is made from" in str(world.history.deliveries("shop")[0].sentence)


def test_a_delivery_that_another_version_kept_stops_no_other_one(world: World) -> None:
    world.images_of()
    world.images |= {"1.4.0": I1}
    world.history.deliver("shop", "registry", None, [{"kind": "moon"}])
    world.history.deliver("shop", "registry", None, as_kept([image("1.4.0", I1)]))
    assert world.begun() == ["1.4.0"]
    assert "it cannot be read" in str(world.history.deliveries("shop")[1].sentence)


def events(uri: str, *extras: Any) -> dict[Asset, list[Any]]:
    return {Asset(uri): [event(number, it) for number, it in enumerate(extras)]}


def event(number: int, extra: Any) -> SimpleNamespace:
    """One event of an asset, so many seconds after the first."""
    at = datetime(2026, 11, 28, 21, tzinfo=timezone.utc) + timedelta(seconds=number)
    return SimpleNamespace(id=number, timestamp=at, extra=extra)


def test_an_event_of_an_asset_starts_a_release_once_where_the_registry_agrees(world: World) -> None:
    world.images_of(starts="{asset: 's3://models/shop'}")
    world.images |= {"1.4.0": I1, "1.5.0": I2}
    trained = {"version": "1.4.0", "digest": I1}
    forged = {"version": "1.5.0", "digest": I3}
    told = events("s3://models/shop", trained, trained, forged, {"version": "1.6.0"}, {}, {"version": 7, "digest": I1})
    [begun] = world.look(events=told)
    assert begun["parameters"]["version"] == "1.4.0"
    assert begun["parameters"]["requested_by"] == "nobody@asset"
    assert world.states() == {"1.4.0": "starting", "1.5.0": "refused"}
    world.ti.there["release_shop"] = {begun["release_run"]: "success"}
    assert world.look(events=told) == []


def test_an_event_that_came_right_after_the_one_that_began_the_run_is_not_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Airflow gives the run only the first of events that come at once."""
    world.images_of(starts="{asset: 's3://models/shop'}")
    world.images |= {"1.4.0": I1, "1.5.0": I2}
    first, second = event(0, {"version": "1.4.0", "digest": I1}), event(1, {"version": "1.5.0", "digest": I2})

    class Accessor:
        def __init__(self, asset_name: str, asset_uri: str) -> None:
            assert asset_uri == "s3://models/shop"

        def after(self, since: str) -> list[Any]:
            return [it for it in (first, second) if it.timestamp >= datetime.fromisoformat(since)]

    monkeypatch.setattr("airflow.sdk.execution_time.context.InletEventsAccessor", Accessor)
    [begun] = world.look(events={Asset("s3://models/shop"): [first]})
    assert begun["parameters"]["version"] == "1.5.0"


def test_events_of_another_asset_start_nothing(world: World) -> None:
    world.images_of(starts="{asset: 's3://models/shop'}")
    world.images |= {"1.4.0": I1}
    assert world.look(events=events("s3://models/cart", {"version": "1.4.0", "digest": I1})) == []


def test_messages_of_a_queue_are_read_like_deliveries(world: World) -> None:
    world.images_of()
    told = payloads.ecr("1.4.0", I1)
    told["detail"]["repository-name"] = "acme/shop"
    batch = [{"MessageId": "1", "Body": json.dumps(told)}, {"MessageId": "2", "Body": "no JSON"}, {"Body": None}]
    extras = [{"from_trigger": True, "payload": {"status": "success", "message_batch": batch}}, told, {"payload": 7}]
    task = TakePushesOperator(task_id="take", apps=world.project.apps, config=world.project.config)
    context: Any = {"ti": Ti(), "triggering_asset_events": events("sqs://pushes", *extras)}
    said = task.execute(context)
    assert "image tag 1.4.0 (111111111111): kept, its release is asked for" in said
    assert "ignored, because a message is no JSON object" in said
    assert world.states() == {"1.4.0": "waiting"}
