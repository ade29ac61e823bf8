"""The rolling update as a pure function, played through from any state that can be found."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from release_pipelines.adapters.platforms.container_host.engine import NoSuchImage, pull_error, unframed
from release_pipelines.adapters.platforms.container_host.engine import usage as usage_of
from release_pipelines.adapters.platforms.container_host.replicas import memory_bytes
from release_pipelines.adapters.platforms.container_host.rollout import Replica, Want, broken, plan, settled, status
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
