"""The sandbox's own container engine."""

from __future__ import annotations

from pathlib import Path

from sandbox.engine import left_rules, mounted_below


def test_what_containers_left_mounted_is_found_the_innermost_first(tmp_path: Path) -> None:
    inside = [f"{tmp_path}/root/overlay", f"{tmp_path}/root/overlay/1a2b/merged", f"{tmp_path}/root/shm"]
    mounts = "".join(f"overlay {place} overlay rw,relatime 0 0\n" for place in ("/", f"{tmp_path}-other", *inside))
    found = mounted_below(tmp_path, mounts)
    assert sorted(found) == sorted(inside)
    assert found.index(inside[1]) < found.index(inside[0])


def test_rules_of_containers_that_died_with_their_engine_are_found_and_no_others() -> None:
    def published(port: int, subnet: str, address: str, name: str) -> list[str]:
        chain = f"NETAVARK-DN-1D87 -s {{}} -d 127.0.0.1/32 -p tcp -m tcp --dport {port} -j NETAVARK-HOSTPORT-SETMARK"
        return [
            chain.format(subnet),
            chain.format("127.0.0.1/32"),
            f"NETAVARK-DN-1D87 -d 127.0.0.1/32 -p tcp -m tcp --dport {port} -j DNAT --to-destination {address}:8080",
            f'NETAVARK-HOSTPORT-DNAT -p tcp -m tcp --dport {port} -m comment --comment "id: {name}" -j NETAVARK-DN-1D87',
        ]

    left = ["POSTROUTING -s 10.231.0.0/24 -j NETAVARK-1D87", "NETAVARK-1D87 -d 10.231.0.0/24 -j ACCEPT"]
    left += published(26787, "10.231.0.0/24", "10.231.0.128", "dead")
    others = ["POSTROUTING -j NETAVARK-HOSTPORT-MASQ", "NETAVARK-1D87 -d 10.232.9.0/24 -j ACCEPT"]
    others += published(26788, "10.232.9.0/24", "10.232.9.7", "alive")
    other_chains = ["KUBE-POSTROUTING -s 10.231.0.9/32 -j MASQUERADE"]
    lines = [f"-A {rule}" for rule in [*others[:3], *left, *others[3:], *other_chains]]
    assert left_rules("\n".join(["*nat", ":NETAVARK-1D87 - [0:0]", *lines, "COMMIT"]), "10.231.0.0/24") == left
    shared = [*left, *published(26787, "10.232.9.0/24", "10.232.9.8", "alive")]
    found = left_rules("\n".join(f"-A {rule}" for rule in shared), "10.231.0.0/24")
    assert found == [rule for rule in left if "10.231.0." in rule]
