"""Files of trains: what they mean, and their mistakes as sentences (R12)."""

from __future__ import annotations

from pathlib import Path

import pytest

from release_pipelines.spec.loader import SpecError
from release_pipelines.spec.trains import TrainSpec, load_train, train_errors, train_specs


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """Trains, apps (cart, search and shop) and calendars (nights)."""
    trains, apps, calendars = (tmp_path / it for it in ("trains", "apps", "calendars"))
    for folder in (trains, apps, calendars):
        folder.mkdir()
    for name in ("cart", "search", "shop"):
        (apps / f"{name}.yaml").write_text(f"name: {name}\n")
    (calendars / "nights.yaml").write_text("time_zone: UTC\n")
    return trains, apps, calendars


def load(folders: tuple[Path, Path, Path], text: str) -> TrainSpec:
    trains, apps, calendars = folders
    (trains / "weekly.yaml").write_text(text)
    return load_train(trains / "weekly.yaml", apps, calendars)


def test_waves_are_as_they_are_written_or_follow_from_what_the_apps_need(folders: tuple[Path, Path, Path]) -> None:
    assert load(folders, "waves: [[cart, search], [shop]]").in_waves == [["cart", "search"], ["shop"]]
    derived = load(folders, "apps: [shop, cart, search]\nneeds: {shop: [cart], search: cart}")
    assert derived.in_waves == [["cart"], ["shop", "search"]]
    assert derived.all_apps == ["cart", "shop", "search"]


def test_waves_keep_to_the_calendars_of_the_schedule_where_no_others_are_named(
    folders: tuple[Path, Path, Path],
) -> None:
    assert load(folders, "waves: [[cart]]").keeps_to == []
    assert load(folders, "waves: [[cart]]\nschedule: nights").keeps_to == ["nights"]
    assert load(folders, "waves: [[cart]]\ncalendars: nights").schedule == []


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("waves: [[cart], [cart]]", "weekly.yaml: found `cart` in waves 1 and 2, expected each app once"),
        ("apps: [cart, cart]", "weekly.yaml: found `cart` twice, expected each app once"),
        ("waves: [[cart], []]", "weekly.yaml: waves[1]: found a list of 0, expected at least 1"),
        (
            "apps: [cart, shop]\nneeds: {cart: shop, shop: cart}",
            "weekly.yaml: found cart → shop → cart, expected no circle",
        ),
        (
            "waves: [[cart], [shop]]\nneeds: {cart: shop, shop: cart}",
            "weekly.yaml: found cart → shop → cart, expected no circle",
        ),
        (
            "waves: [[cart, shop]]\nneeds: {shop: cart}",
            "weekly.yaml: found `cart` in wave 1 and `shop` in wave 1, expected `cart` in an earlier wave than `shop`, which needs it",
        ),
        ("waves: [[cat]]", "weekly.yaml: waves: found `cat`, which has no file, expected one of cart, search, shop"),
        (
            "waves: [[cart]]\ncalendars: days",
            "weekly.yaml: calendars: found `days`, which has no file, expected one of nights",
        ),
        (
            "waves: [[cart]]\nschedule: [nights, days]",
            "weekly.yaml: schedule: found `days`, which has no file, expected one of nights",
        ),
        (
            "waves: [[cart]]\nneeds: {cart: shop}",
            "weekly.yaml: found `shop`, expected `needs` between apps of this train",
        ),
        (
            "description: x",
            "weekly.yaml: found neither `waves` nor `apps`, expected `waves`, or `apps` with what they need in `needs`",
        ),
        (
            "waves: []",
            "weekly.yaml: found `waves` without an app, expected `waves`, or `apps` with what they need in `needs`",
        ),
        (
            "waves: [[cart]]\napps: [cart]",
            "weekly.yaml: found both `waves` and `apps`, expected `waves`, or `apps` with what they need in `needs`",
        ),
        (
            "waves: [[cart]]\nversions: newest",
            "weekly.yaml: versions: found `newest`, expected `form`, `newest that passed staging`, or a `repository` and a `path` in it",
        ),
        (
            "waves: [[cart]]\nversions: {repository: x.git}",
            "weekly.yaml: versions.path: found nothing, expected a value: this key is required",
        ),
        (
            "waves: [[cart]]\ncompensate: some",
            "weekly.yaml: compensate: found `some`, expected one of `all`, `wave`, `none`",
        ),
        (
            "waves: [[cart]]\nwhen_held: refuse",
            "weekly.yaml: when_held: found `refuse`, expected one of `wait`, `stop`",
        ),
        ("waves: [[cart]]\nbake: long", "weekly.yaml: bake: found `long`, expected a duration like 30s, 5m or 1h30m"),
        ("name: daily\nwaves: [[cart]]", "weekly.yaml: name: found `daily`, expected `weekly`, as the file is called"),
    ],
)
def test_a_mistake_is_one_sentence(folders: tuple[Path, Path, Path], text: str, sentence: str) -> None:
    with pytest.raises(SpecError) as mistake:
        load(folders, text)
    assert str(mistake.value) == sentence


def test_a_file_that_breaks_keeps_its_train_as_it_was_last_valid(
    folders: tuple[Path, Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RELEASE_PIPELINES_STATE", str(tmp_path / "state"))
    trains, apps, calendars = folders
    (trains / "daily.yaml").write_text("waves: [[cart]]")
    (trains / "weekly.yaml").write_text("waves: [[cart, search], [shop]]")
    assert [it.name for it in train_specs(trains, apps, calendars)] == ["daily", "weekly"]
    (trains / "weekly.yaml").write_text("waves: [[cart], [cart]]")
    (trains / "new.yaml").write_text("waves: []")
    found = {it.name: it for it in train_specs(trains, apps, calendars)}
    assert set(found) == {"daily", "weekly"}
    assert found["weekly"].in_waves == [["cart", "search"], ["shop"]]
    assert [it.file for it in train_errors(trains, apps, calendars)] == ["new.yaml", "weekly.yaml"]
    assert [it.name for it in train_specs(trains, apps, calendars, "train_weekly")] == ["weekly"]


def test_where_there_are_no_trains_nothing_is_wrong(tmp_path: Path) -> None:
    assert train_specs(tmp_path / "none", tmp_path, tmp_path) == []
    assert train_errors(tmp_path / "none", tmp_path, tmp_path) == []
