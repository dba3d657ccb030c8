"""Clicks in each way an account may offer them: the same rows, once each, without personal data."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.sandbox.model import Click
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import SMALL, Row, Warehouse, read

EVERY_FIELD = ("affiliate_id", "referer", "landed_url", "sub_id", "creative_id")
NO_PAGES = ["clicks.first", "clicks.offset"]
REFUSED = {"introspection": "refused"}


@pytest.fixture(scope="module")
def shop() -> Iterator[SandboxServer]:
    with SandboxServer(SMALL) as running:
        account = running.account
        first = account.clicks[-1]
        # Two that are identical except for their id, such as a double click, and more of one affiliate than fit on a
        # page.
        alike = first._replace(id=1), first._replace(id=2)
        many = [first._replace(id=number, created=first.created - number) for number in range(100, 550)]
        account.clicks.extend([*alike, *many])
        account.record_change()
        yield running


def expected(shop: SandboxServer) -> list[Click]:
    begin = shop.start.timestamp()
    return [click for click in shop.account.clicks if begin <= click.created]


def described(row: Row) -> tuple[Any, ...]:
    return row["created"], *(row[name] for name in EVERY_FIELD)


def facts(click: Click) -> tuple[Any, ...]:
    creative = None if click.creative_id is None else str(click.creative_id)
    created = datetime.fromtimestamp(click.created, UTC)
    return created, str(click.affiliate_id), click.referer, click.landed_url, click.sub_id or None, creative


@pytest.mark.parametrize(
    "switches",
    limit_cases(
        [
            {},
            {"clicks": "root", "remove_fields": ["Click.id"]},
            {"clicks": "affiliates"},
            {"clicks": "offers", "remove_fields": ["Click.id"]},
            {"clicks": "root", "remove_arguments": ["clicks.created_from"]},
            {"clicks": "root", "remove_arguments": NO_PAGES},
            {"clicks": "affiliates", "remove_fields": ["Click.id", "Click.affiliate_id"]},
            {"clicks": "affiliates", "remove_arguments": ["affiliates.id"]},
            {"clicks": "affiliates", "remove_arguments": ["affiliates.id", "affiliates.offset"], "page_cap": 50},
            {"clicks": "offers", "remove_arguments": NO_PAGES},
            {**REFUSED, "clicks": "root"},
            {**REFUSED, "clicks": "affiliates"},
            {**REFUSED, "clicks": "offers", "remove_fields": ["Click.creative_id"]},
        ],
        4,
    ),
    ids=str,
)
def test_each_way_gives_every_click_once(shop: SandboxServer, switches: dict[str, Any]) -> None:
    shop.configure(**switches)
    try:
        rows = read(shop, "clicks").to_pylist()
    finally:
        shop.configure(clicks="everywhere", remove_fields=[], remove_arguments=[], introspection="open", page_cap=200)
    clicks = expected(shop)
    if "Click.creative_id" in switches.get("remove_fields", ()):
        assert {row["creative_id"] for row in rows} == {None}
        clicks = [click._replace(creative_id=None) for click in clicks]
    assert sorted(map(described, rows), key=str) == sorted(map(facts, clicks), key=str)
    assert len({row["click_key"] for row in rows}) == len(clicks)
    if "Click.id" not in switches.get("remove_fields", ()):
        assert {row["click_key"] for row in rows} == {str(click.id) for click in clicks}
    if switches.get("clicks") == "offers":
        offers = {str(one.id): str(one.offer_id) for one in shop.account.affiliates.values()}
        assert all(row["offer_id"] == offers[row["affiliate_id"]] for row in rows)


def test_keys_made_of_rows_are_the_same_in_each_reading_and_by_each_way(sandbox: SandboxServer) -> None:
    sandbox.configure(remove_fields=["Click.id"], order="oldest_first")
    once = {row["click_key"]: row["created"] for row in read(sandbox, "clicks").to_pylist()}
    sandbox.configure(clicks="affiliates", order="newest_first")
    assert {row["click_key"]: row["created"] for row in read(sandbox, "clicks").to_pylist()} == once


def test_an_account_without_clicks_has_an_empty_table_and_says_so(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    sandbox.configure(clicks="none")
    report = warehouse.load(sandbox, "clicks").table("clicks")
    assert warehouse.count("clicks") == 0
    assert report.not_offered is not None
    assert "does not offer clicks" in report.not_offered


def test_clicks_without_their_time_cannot_be_counted(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    sandbox.configure(remove_fields=["Click.created"])
    report = warehouse.load(sandbox, "clicks").table("clicks")
    assert (warehouse.count("clicks"), "without created" in str(report.not_offered)) == (0, True)


def test_only_the_last_days_are_read_again(sandbox: SandboxServer, warehouse: Warehouse) -> None:
    warehouse.load(sandbox, "clicks")
    sandbox.advance(days=10)
    again = warehouse.load(sandbox, "clicks").table("clicks")
    assert again.rows < 60 < len(expected(sandbox))
    assert warehouse.count("clicks") == len(expected(sandbox))


@pytest.mark.parametrize("way", ["root", "affiliates"])
@pytest.mark.parametrize("policy", ["hash", "drop", "keep"])
def test_neither_ip_nor_e_mail_lands_unless_told_to(sandbox: SandboxServer, way: str, policy: str) -> None:
    personal = sandbox.account.clicks[0]._replace(
        id=7,
        created=int(sandbox.start.timestamp()) + 60,
        ip="203.0.113.9",
        referer="https://mail.example.com/?to=ada.byron%2Bshop%40example.org&x=1",
        landed_url="https://shop.example.com/?email=ada@example.org#a",
    )
    sandbox.account.clicks.append(personal)
    sandbox.account.record_change()
    sandbox.configure(clicks=way)
    (row,) = (row for row in read(sandbox, "clicks", pii=policy).to_pylist() if row["id"] == "7")
    found = row["ip"], row["referer"], row["landed_url"]
    if policy == "keep":
        assert found == (personal.ip, personal.referer, personal.landed_url)
    else:
        assert found[1:] == ("https://mail.example.com/?to=[e-mail]&x=1", "https://shop.example.com/?email=[e-mail]#a")
        assert (row["ip"] is None) == (policy == "drop")
        assert "203.0.113.9" not in str(row)
