"""The rolling update as a pure function, played through from any state that can be found."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.platforms.container_host.engine import NoSuchImage, pull_error
from release_pipelines.adapters.platforms.container_host.engine import usage as usage_of
from release_pipelines.adapters.platforms.container_host.keeper import pause_before, target_of
from release_pipelines.adapters.platforms.container_host.logs import unframed
from release_pipelines.adapters.platforms.container_host.replicas import container_body, memory_bytes
from release_pipelines.adapters.platforms.container_host.rollout import (
    Plan,
    Replica,
    Want,
    broken,
    plan,
    served,
    settled,
    status,
    upkeep,
)
from release_pipelines.adapters.platforms.container_host.state import KnownApp
from release_pipelines.core.model.observation import Observed
from release_pipelines.core.stable import first_release

NEW, OLD, OLDER = (f"sha256:{letter * 64}" for letter in "abc")


def replica(digest: str, number: int, state: str = "running", **more: object) -> Replica:
    name = f"{digest[7:9]}-{number}"
    return Replica(id=name, name=name, digest=digest, number=number, state=state, url=f"http://{name}", **more)  # type: ignore[arg-type]


def want(replicas: int = 2, **more: object) -> Want:
    return Want(digest=NEW, version="2.0.0", image="shop", replicas=replicas, progress_at=0, **more)  # type: ignore[arg-type]


found = st.dictionaries(
    st.tuples(st.sampled_from([NEW, OLD, OLDER]), st.integers(0, 3)),
    st.tuples(
        st.sampled_from(["running", "running", "created", "exited"]),
        st.sampled_from([None, None, "does not serve port 8080"]),
        st.booleans(),
        st.sampled_from([None, None, None, 0.0]),
    ),
    max_size=6,
)


def replicas_of(state: dict[tuple[str, int], tuple[str, str | None, bool, float | None]]) -> list[Replica]:
    return [
        replica(digest, number, how, trouble=trouble, listed=listed and left is None, left_at=left)
        for (digest, number), (how, trouble, listed, left) in state.items()
        if not (digest == NEW and how == "exited")  # that is a failure, not a step
    ]


def step(wanted: Want, replicas: list[Replica], now: float) -> list[Replica]:
    """What a host would make of one plan: everything that is started becomes ready."""
    todo = plan(wanted, replicas, now)
    joined, left = {r.id for r in todo.join}, {r.id for r in todo.leave}
    stopped, started = {r.id for r in todo.stop}, {r.id for r in todo.start}
    after = []
    for one in replicas:
        if one.id in stopped:
            continue
        if one.id in joined:
            one = replace(one, listed=True)
        if one.id in left:
            one = replace(one, listed=False, left_at=now)
        if one.id in started or (one.digest == NEW and one.state == "running"):
            one = replace(one, state="running", trouble=None)
        after.append(one)
    return after + [replica(NEW, number) for number in todo.create]


@given(found, st.integers(1, 4))
def test_a_rolling_update_settles_and_never_serves_with_fewer(state: dict, wanted: int) -> None:  # type: ignore[type-arg]  # R5
    goal, replicas, now = want(wanted), replicas_of(state), 10.0
    serving = sum(r.ready and r.listed for r in replicas)
    surge = max(wanted + 1, sum(r.left_at is None and not r.ended for r in replicas))
    for _ in range(60):
        if settled(goal, replicas):
            break
        replicas, now = step(goal, replicas, now), now + 0.5
        ready = sum(r.ready and r.listed for r in replicas)
        assert ready >= min(serving, wanted)
        assert sum(r.left_at is None and not r.ended for r in replicas) <= surge
    assert settled(goal, replicas)
    assert status("stable", goal, replicas).settled


@given(found, st.integers(1, 4))
def test_what_is_settled_is_left_alone(state: dict, wanted: int) -> None:  # type: ignore[type-arg]
    replicas = [replica(NEW, number, listed=True) for number in range(wanted)]
    assert settled(want(wanted), replicas)
    todo = plan(want(wanted), replicas, 10.0)
    assert not any((todo.create, todo.start, todo.join, todo.leave, todo.stop))


def test_old_replicas_stay_while_the_new_one_is_not_ready() -> None:  # R7
    old = [replica(OLD, number, listed=True) for number in range(2)]
    new = replica(NEW, 0, trouble="does not serve port 8080")
    todo = plan(want(), [*old, new], 10.0)
    assert not any((todo.create, todo.join, todo.leave, todo.stop))


def test_a_replica_drains_before_it_is_stopped() -> None:  # R15
    new = [replica(NEW, number, listed=True) for number in range(2)]
    leaving = replica(OLD, 0, left_at=10.0)
    assert plan(want(), [*new, leaving], 10.9).stop == []
    assert plan(want(), [*new, leaving], 11.0).stop == [leaving]


def test_a_replica_that_ends_is_a_failure_except_on_a_stable_that_had_worked() -> None:  # R7
    ended = [replica(NEW, 0, state="exited"), replica(NEW, 1, listed=True)]
    assert broken(want(), ended, "stable")
    assert broken(want(settled=True), ended, "canary")
    assert not broken(want(settled=True), ended, "stable")


def test_a_refused_pull_is_told_from_a_registry_that_is_away() -> None:  # R7
    for said in ("manifest unknown", "name unknown: repository name not known to registry", "unauthorized: no"):
        assert isinstance(pull_error("shop@sha256:1", said), NoSuchImage)
    for said in ("dial tcp 10.0.0.1:5000: connect: connection refused", "i/o timeout", "503 Service Unavailable"):
        assert not isinstance(pull_error("shop@sha256:1", said), NoSuchImage)


def test_log_frames_become_text() -> None:
    framed = b"\x01\0\0\0\0\0\0\x06hello\n" + b"\x02\0\0\0\0\0\0\x05world"
    assert unframed(framed) == "hello\nworld"
    assert unframed(b"plain text") == "plain text"


def test_usage_is_a_share_of_the_limit_and_nothing_without_one() -> None:
    now = {"cpu_usage": {"total_usage": 3e8}, "system_cpu_usage": 4e9, "online_cpus": 4}
    before = {"cpu_usage": {"total_usage": 1e8}, "system_cpu_usage": 2e9}
    memory = {"usage": 96, "stats": {"inactive_file": 32}}
    stats = {"cpu_stats": now, "precpu_stats": before, "memory_stats": memory}
    limited = usage_of({"NanoCpus": 5e8, "Memory": 128}, stats)
    assert (limited.cpu, limited.memory) == (0.8, 0.5)
    free = usage_of({}, stats)
    assert (free.cpu, free.memory) == (None, None)


def test_memory_limits_are_bytes() -> None:
    assert [memory_bytes(limit) for limit in ("1Ki", "256Mi", "2Gi", None)] == [1024, 256 * 2**20, 2 * 2**30, 0]


def test_a_track_says_which_repository_it_runs_from() -> None:  # R8
    assert status("stable", want(), [replica(NEW, 0, listed=True)]).image == "shop"


def test_replicas_of_which_the_store_knows_nothing_are_stable_all_the_same() -> None:  # R17
    left = [
        replica(OLD, 0, version="1.0.0", image="old/shop", created_at=1.0),
        replica(NEW, 0, version="1.1.0", image="shop", created_at=2.0),
        replica(NEW, 1, "exited", version="1.1.0"),
    ]
    seen = status("stable", None, left)
    assert (seen.digest, seen.version, seen.image) == (NEW, "1.1.0", "shop")
    assert (seen.wanted, seen.ready, seen.settled) == (2, 0, False)
    assert not first_release(Observed(tracks={"stable": seen}))
    assert status("canary", None, left).wanted == 0  # it is being retired
    assert status("stable", None, []).settled


def exited(digest: str, number: int, code: int = 137, **more: object) -> Replica:
    return replica(digest, number, state="exited", exit_code=code, **more)


def test_a_replica_that_was_killed_starts_again_once_the_router_has_it_no_more() -> None:
    killed, other = exited(NEW, 0, listed=True), replica(NEW, 1, listed=True)
    goal = want(settled=True)
    todo = plan(goal, [killed, other], 10.0)
    assert not any((todo.create, todo.start, todo.leave, todo.stop))
    assert served([killed.url, other.url], [killed, other], todo) == [other.url]  # type: ignore[list-item]
    unlisted = replace(killed, listed=False)
    todo = plan(goal, [unlisted, other], 10.0)
    assert (todo.start, todo.create, todo.stop) == ([unlisted], [], [])


def test_what_is_no_replica_of_the_track_leaves_the_routers_list() -> None:
    there = replica(NEW, 1, listed=True)
    assert served(["http://another-apps", "http://aa-1"], [there], Plan()) == ["http://aa-1"]
    assert served(["http://aa-1"], [replace(there, state="restarting")], Plan()) == []
    assert served(["http://aa-1"], [], Plan()) == []


def test_a_replica_whose_end_the_engine_does_not_notice_leaves_the_list_and_another_takes_its_place() -> None:
    lost, other = replica(NEW, 0, state="lost", listed=True), replica(NEW, 1, listed=True)
    goal = want(settled=True)
    assert not settled(goal, [lost, other])
    assert served([lost.url, other.url], [lost, other], Plan()) == [other.url]  # type: ignore[list-item]
    for found, missing in (([lost, other], [0]), ([lost, replace(lost, number=1)], [0, 1])):
        todo = upkeep(goal, "stable", found, 10.0, watched=False)
        gone = [it for it in found if it.state == "lost"]
        assert (todo.create, todo.leave, todo.stop) == (missing, gone, gone)
        assert not any((todo.start, todo.join))
    leaving = replica(NEW, 0, state="removing", left_at=10.0)
    assert not broken(want(), [leaving, other], "stable")  # its end is ours


def test_a_killed_canary_is_replaced_while_others_of_it_are_ready_and_a_verdict_otherwise() -> None:  # R5
    goal = want(settled=True)
    others = replica(NEW, 1, listed=True)
    assert not broken(goal, [exited(NEW, 0), others], "canary")
    assert broken(goal, [exited(NEW, 0)], "canary")
    assert broken(goal, [exited(NEW, 0, code=1), others], "canary")
    assert broken(goal, [exited(NEW, 0, out_of_memory=True), others], "canary")


def test_old_replicas_of_a_batch_start_again_after_the_machine_did() -> None:
    half = want(2, share=50)
    found = [exited(NEW, 0), exited(OLD, 0, code=1), exited(OLD, 1)]
    todo = upkeep(half, "stable", found, 10.0, watched=False)
    assert {it.id for it in todo.start} == {"aa-0", "bb-0"}
    assert not any((todo.create, todo.stop, todo.leave))
    running = [replica(NEW, 0, listed=True), replica(OLD, 0)]
    assert upkeep(half, "stable", running, 10.0, watched=False).join == [running[1]]


def test_upkeep_leaves_a_rollout_and_a_verdict_to_the_release() -> None:
    crashed = exited(NEW, 0, code=1)
    assert upkeep(want(), "canary", [crashed], 10.0, watched=True) == Plan()
    todo = upkeep(want(settled=True), "canary", [crashed, replica(NEW, 1, listed=True)], 10.0, watched=True)
    assert not any((todo.start, todo.create, todo.stop))
    assert upkeep(want(settled=True), "canary", [crashed], 10.0, watched=False).start == [crashed]
    assert upkeep(want(settled=True), "stable", [crashed], 10.0, watched=True).start == [crashed]
    assert upkeep(want(settled=True), "canary", [], 10.0, watched=True).create == [0, 1]
    assert upkeep(want(failure="it cannot be pulled"), "stable", [], 10.0, watched=False) == Plan()


def test_a_replica_has_one_address_for_good_and_only_a_stable_that_had_worked_restarts_by_itself() -> None:
    target = target_of(KnownApp("shop", "production", None, "traefik"))
    for track, goal, policy in (
        ("stable", want(settled=True), "unless-stopped"),
        ("stable", want(), "no"),
        ("canary", want(settled=True), "no"),
    ):
        body = container_body(target, track, goal, 0, "127.0.0.1", "127.0.0.1:20017")  # type: ignore[arg-type]
        host = body["HostConfig"]
        assert host["PortBindings"] == {"8080/tcp": [{"HostIp": "127.0.0.1", "HostPort": "20017"}]}
        assert body["Labels"]["release-pipelines.address"] == "127.0.0.1:20017"
        assert host["RestartPolicy"]["Name"] == policy


def test_what_ends_again_and_again_is_started_after_longer_pauses() -> None:
    assert [pause_before(starts) for starts in (1, 2, 3, 9)] == [1.0, 2.0, 4.0, 10.0]


def test_a_replica_runs_until_every_proxy_has_heard_that_it_left() -> None:  # R15
    leaving = replica(OLD, 0, left_at=10.0)
    found = [replica(NEW, number, listed=True) for number in range(2)] + [leaving]
    assert upkeep(want(settled=True), "stable", found, 12.9, watched=False).stop == []
    assert upkeep(want(settled=True), "stable", found, 13.0, watched=False).stop == [leaving]
