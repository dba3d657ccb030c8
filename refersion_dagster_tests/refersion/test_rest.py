"""REST: the affiliate list with every way to end, details of changed affiliates, and control totals."""

import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import requests

from refersion_dagster.refersion import LoadRequest, ReadReport
from refersion_dagster.refersion.errors import RefersionError, UnexpectedAnswer, UnreadableValue
from refersion_dagster.sandbox import SandboxServer, SandboxSettings
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, SMALL, Warehouse, read, rows

LIST, GET, TOTALS = "rest:/affiliate/list", "rest:/affiliate/get", "rest:/conversion/totals"


def codes(sandbox: SandboxServer) -> list[str]:
    return sorted(person.code for person in sandbox.account.affiliates.values())


def listed(sandbox: SandboxServer, **changes: Any) -> list[str]:
    return sorted(read(sandbox, "affiliate_list", **changes).column("id").to_pylist())


@pytest.fixture(params=limit_cases([250, 0, 1, 99, 100, 101, 300], 2), scope="module")
def crowd(request: pytest.FixtureRequest) -> Iterator[SandboxServer]:
    """An account with this many affiliates; pages hold 100."""
    with SandboxServer(SandboxSettings(affiliates=request.param, orders=0, days=30, now=NOW)) as running:
        yield running


@pytest.fixture(scope="module")
def several_pages() -> Iterator[SandboxServer]:
    with SandboxServer(SandboxSettings(affiliates=250, orders=0, days=30, now=NOW)) as running:
        yield running


class TestAffiliateList:
    @pytest.mark.parametrize("past_end", ["empty", "repeat", "422"])
    @pytest.mark.parametrize("page_key", [True, False])
    @pytest.mark.parametrize("total", ["number", "string"])
    def test_ends_in_whatever_way_the_server_has(
        self, crowd: SandboxServer, total: str, page_key: bool, past_end: str
    ) -> None:
        crowd.configure(list_total=total, list_page_key=page_key, list_past_end=past_end)
        assert listed(crowd) == codes(crowd)

    @pytest.mark.parametrize("past_end", limit_cases(["empty", "repeat", "422"], 2))
    @pytest.mark.parametrize("page_key", limit_cases([True, False]))
    @pytest.mark.parametrize("total", [None, "", "many", 100, 7, 251, 1000])
    def test_ends_without_a_total_or_with_a_wrong_one(
        self, several_pages: SandboxServer, total: Any, page_key: bool, past_end: str
    ) -> None:
        several_pages.configure(list_page_key=page_key, list_past_end=past_end)
        with totals_told_as(total, several_pages) as url:
            assert listed(several_pages, rest_url=url) == codes(several_pages)

    def test_numbers_as_ids_are_kept_as_text(self, sandbox: SandboxServer) -> None:
        sandbox.configure(list_ids="number")
        assert listed(sandbox) == sorted(map(str, sandbox.account.affiliates))

    def test_pages_are_fetched_up_to_the_total_and_no_further(self, several_pages: SandboxServer) -> None:
        several_pages.forget_requests()
        listed(several_pages)
        assert several_pages.requests() == {LIST: 3}

    def test_the_page_that_is_named_as_the_last_is_the_end(self, several_pages: SandboxServer) -> None:
        several_pages.configure(list_page_key=True)
        several_pages.forget_requests()
        with totals_told_as(None, several_pages) as url:
            assert listed(several_pages, rest_url=url) == codes(several_pages)
        assert several_pages.requests() == {LIST: 3}

    def test_of_a_page_that_comes_empty_before_the_end_that_page_alone_is_fetched_again(
        self, several_pages: SandboxServer
    ) -> None:
        several_pages.forget_requests()
        several_pages.fault(LIST, "status", status=200, body={"total": 250, "results": []}, after=1)
        assert listed(several_pages) == codes(several_pages)
        assert several_pages.requests() == {LIST: 4}

    @pytest.mark.parametrize("change", ["arrives", "vanishes"])
    def test_a_list_that_moves_while_it_is_read_is_read_again(self, change: str) -> None:
        """The first page is from before the change, the others from after it."""
        with SandboxServer(SandboxSettings(affiliates=250, orders=0, days=30, now=NOW)) as running:
            status, before = list_page(running, 1)
            if change == "arrives":
                template = next(iter(running.account.affiliates.values()))
                newcomer = replace(template, id=1, code="new1", email="new@example.com")
                running.account.add_affiliate(newcomer)
            else:
                del running.account.affiliates[min(running.account.affiliates)]
                running.account.record_change()
            running.fault(LIST, "status", status=status, body=before)
            assert listed(running) == codes(running)

    def test_a_row_without_an_id_is_named(self, sandbox: SandboxServer) -> None:
        _, answer = list_page(sandbox, 1)
        answer["results"][3] = without(answer["results"][3], "id")
        sandbox.fault(LIST, "status", status=200, body=answer, times=None)
        for table in ("affiliate_list", "affiliate_get"):
            with pytest.raises(UnreadableValue, match=r"affiliate_list\.id of row .*number 4 "):
                read(sandbox, table)

    @pytest.mark.parametrize("results", [None, {}, "none", [1, 2], [None]])
    def test_an_answer_that_is_no_list_of_affiliates_is_said(self, sandbox: SandboxServer, results: Any) -> None:
        sandbox.fault(LIST, "status", status=200, body={"total": 2, "results": results}, times=None)
        with pytest.raises(UnexpectedAnswer, match="/affiliate/list: the response contains no list of affiliates"):
            read(sandbox, "affiliate_list")

    def test_a_field_nobody_knows_is_kept_as_text(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        number = min(sandbox.account.affiliates)
        sandbox.change_affiliate(number, tier=3)
        report = warehouse.load(sandbox, "affiliate_list")
        assert report.table("affiliate_list").fields_extra == ["tier"]
        assert Counter(row[0] for row in warehouse.rows("affiliate_list", "tier")) == {None: 11, "3": 1}


@contextmanager
def totals_told_as(total: Any, sandbox: SandboxServer) -> Iterator[str]:
    """A server in front of the sandbox that reports another total (None: no total), which the sandbox cannot do."""

    class Between(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = requests.post(f"{sandbox.url}{self.path}", data=body, headers=dict(self.headers), timeout=20)
            told = {key: value for key, value in answer.json().items() if key != "total"}
            if answer.status_code == 200 and total is not None:
                told["total"] = total
            sent = json.dumps(told).encode()
            self.send_response(answer.status_code)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def log_message(self, format: str, *args: Any) -> None:
            """Does nothing: the standard library's server would write to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Between) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v2"
        server.shutdown()
        thread.join()


def list_page(sandbox: SandboxServer, number: int) -> tuple[int, dict[str, Any]]:
    """The server's response for a page: status and body."""
    keys = {"Refersion-Public-Key": sandbox.public_key, "Refersion-Secret-Key": sandbox.secret_key}
    body = {"limit": "100", "page": str(number)}
    answer = requests.post(f"{sandbox.rest_url}/affiliate/list", json=body, headers=keys, timeout=20)
    return answer.status_code, answer.json()


def without(answer: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if key != name}


class TestAffiliateGet:
    def test_a_second_run_reads_those_who_are_new_or_changed(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        assert warehouse.load(sandbox, "affiliate_get").table("affiliate_get").rows == 12
        assert warehouse.load(sandbox, "affiliate_get").table("affiliate_get").rows == 0
        people = list(sandbox.account.affiliates.values())
        sandbox.change_affiliate(people[2].id, status="DISABLED")
        newcomer = replace(people[0], id=1, code="new1", email="new@example.com")
        sandbox.account.add_affiliate(newcomer)
        sandbox.forget_requests()
        report = warehouse.load(sandbox, "affiliate_get")
        assert report.table("affiliate_get").rows == 2
        assert sandbox.requests() == {LIST: 1, GET: 2}
        assert dict(warehouse.rows("affiliate_get", "id", "status"))[str(people[2].id)] == "DISABLED"
        assert warehouse.count("affiliate_get") == 13

    def test_all_are_read_on_request(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "affiliate_get")
        number = min(sandbox.account.affiliates)
        sandbox.change_affiliate(number, company="Found only in the details")
        assert warehouse.load(sandbox, "affiliate_get").table("affiliate_get").rows == 0
        assert warehouse.load(sandbox, "affiliate_get", all_details=True).table("affiliate_get").rows == 12
        assert dict(warehouse.rows("affiliate_get", "id", "company_name"))[str(number)] == "Found only in the details"

    def test_those_asked_for_are_read_whatever_the_list_shows(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "affiliate_get")
        person = next(iter(sandbox.account.affiliates.values()))
        sandbox.change_affiliate(person.id, company="Found only in the details")
        report = warehouse.load(
            sandbox, "affiliate_get", request=LoadRequest(details_of=frozenset({person.code, "not there"}))
        )
        assert report.table("affiliate_get").rows == 1
        assert dict(warehouse.rows("affiliate_get", "id", "company_name"))[str(person.id)] == person.company

    def test_those_whose_load_failed_are_read_again(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        sandbox.fault(GET, "500", after=5, times=None)
        with pytest.raises(RefersionError):
            warehouse.load(sandbox, "affiliate_get", retry_seconds=0)
        sandbox.clear_faults()
        assert warehouse.load(sandbox, "affiliate_get").table("affiliate_get").rows == 12

    @pytest.mark.parametrize("ids", ["code", "number"])
    def test_both_ids_are_known_whichever_the_list_has(self, sandbox: SandboxServer, ids: str) -> None:
        sandbox.configure(list_ids=ids)
        found = {row["id"]: row["affiliate_code"] for row in read(sandbox, "affiliate_get").to_pylist()}
        assert found == {str(person.id): person.code for person in sandbox.account.affiliates.values()}

    def test_a_code_that_looks_like_somebody_elses_number_is_not_mixed_up(self, sandbox: SandboxServer) -> None:
        first, second, *_ = sandbox.account.affiliates.values()
        first.code, second.code = str(second.id), str(first.id)
        sandbox.account.record_change()
        found = {row["id"]: row["email"] for row in read(sandbox, "affiliate_get").to_pylist()}
        assert found == {str(person.id): person.email for person in sandbox.account.affiliates.values()}

    def test_one_who_is_gone_is_a_warning(self, sandbox: SandboxServer) -> None:
        """Listed, and deleted before the details were requested."""
        status, answer = list_page(sandbox, 1)
        gone = min(sandbox.account.affiliates)
        code = sandbox.account.affiliates.pop(gone).code
        sandbox.account.record_change()
        sandbox.fault(LIST, "status", status=status, body=answer)
        report = ReadReport()
        assert read(sandbox, "affiliate_get", report=report).num_rows == 11
        assert report.table("affiliate_get").warnings == [f"1 listed affiliates were not found, including {code}"]

    def test_custom_fields_are_the_same_by_either_api(self, account: SandboxServer) -> None:
        def fields(table: str) -> dict[str, list[tuple[str, str]]]:
            found = read(account, table).to_pylist()
            return {
                row["email"]: [(one["label"], one["value"]) for one in json.loads(row["custom_fields"])]
                for row in found
            }

        assert fields("affiliate_list") == fields("affiliate_get") == fields("affiliates")
        assert any(fields("affiliates").values())


def truth(sandbox: SandboxServer, by: str) -> dict[tuple[datetime, str, str], tuple[int, Decimal, Decimal]]:
    """Counts and sums per period, status and payment status, in the account's currency and without tests."""
    groups: dict[tuple[datetime, str, str], tuple[int, Decimal, Decimal]] = {}
    for row in sandbox.account.conversions.values():
        if row.is_test_conversion or row.currency != sandbox.settings.base:
            continue
        moment = datetime.fromtimestamp(row.created, UTC).replace(hour=0, minute=0, second=0)
        key = (moment.replace(day=1) if by == "month" else moment, row.status, row.payment_status)
        count, commission, total = groups.get(key, (0, Decimal(0), Decimal(0)))
        groups[key] = (count + 1, commission + row.commission_total, total + row.total)
    return groups


class TestConversionTotals:
    KEY = ("period_from", "status", "payment_status")

    @pytest.mark.parametrize("by", ["month", "day"])
    @pytest.mark.parametrize("shape", limit_cases(["sample", "numbers", "strings", "separators", "stray_comma"], 2))
    def test_equal_the_accounts_own_sums_in_every_published_shape(
        self, sandbox: SandboxServer, shape: str, by: str
    ) -> None:
        sandbox.configure(totals_shape=shape)
        start = f"{sandbox.start:%Y-%m-%d}" if by == "month" else "2025-06-20"
        found = read(sandbox, "conversion_totals", totals_by=by, start_date=start).to_pylist()
        sums = {
            (row["period_from"], row["status"], row["payment_status"]): (
                row["conversions_count"],
                row["commission_total"],
                row["order_total"],
            )
            for row in found
        }
        # The first month begins with the first load, because earlier rows are not in the warehouse.
        first = datetime.fromisoformat(start).replace(tzinfo=UTC)
        from_start = {
            (max(day, first), *of): value
            for (day, *of), value in truth(sandbox, by).items()
            if day >= (first.replace(day=1) if by == "month" else first)
        }
        assert {key: value for key, value in sums.items() if value[0]} == from_start
        assert {row["granularity"] for row in found} == {by}
        assert {row["currency"] for row in found} == {"USD"}

    def test_every_status_and_payment_status_has_a_row_in_every_period(self, account: SandboxServer) -> None:
        found = read(account, "conversion_totals").to_pylist()
        periods = Counter(row["period_from"] for row in found)
        assert set(periods.values()) == {8}
        assert min(periods) == account.start.replace(hour=0, minute=0, second=0)

    def test_hold_nothing_that_is_older_than_the_first_load(self, account: SandboxServer) -> None:
        found = read(account, "conversion_totals", start_date="2025-06-20T08:30:00Z").to_pylist()
        june = datetime(2025, 6, 20, 8, 30, tzinfo=UTC)
        assert min(row["period_from"] for row in found) == june
        made = [row for row in account.account.conversions.values() if row.created >= june.timestamp()]
        counted = [row for row in made if row.currency == account.settings.base and not row.is_test_conversion]
        assert sum(row["conversions_count"] for row in found) == len(counted) > 0

    @pytest.mark.exhaustive
    def test_of_loaded_conversions_end_where_those_were_read(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        """Orders between the two reads are in no table, and count in no total."""

        def end_of_totals(report: ReadReport | None = None, **changes: Any) -> datetime:
            warehouse.load(sandbox, "conversion_totals", report=report, totals_of_loaded=True, **changes)
            return warehouse.rows("conversion_totals", "max(period_to)", order="ALL")[0][0]

        report = warehouse.load(sandbox, "conversions")
        sandbox.advance(seconds=300)
        assert end_of_totals(report) == NOW
        sandbox.advance(days=40)
        assert end_of_totals() == NOW  # a run of totals alone
        report = warehouse.load(
            sandbox, "conversions", read_from="2025-08-01"
        )  # an explicit span leaves the mark unchanged
        sandbox.advance(seconds=300)
        assert end_of_totals(report, read_from="2025-08-01") == NOW + timedelta(days=40, seconds=300)

    def test_end_now_where_they_are_not_held_against_conversions(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        report = warehouse.load(sandbox, "conversions")
        sandbox.advance(seconds=300)
        warehouse.load(sandbox, "conversion_totals", report=report)
        assert warehouse.rows("conversion_totals", "max(period_to)", order="ALL") == [(NOW + timedelta(seconds=300),)]

    def test_without_any_conversions_end_now(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversion_totals", totals_of_loaded=True)
        assert warehouse.rows("conversion_totals", "max(period_to)", order="ALL") == [(NOW,)]

    def test_periods_touch_and_do_not_overlap(self, account: SandboxServer) -> None:
        found = read(account, "conversion_totals", totals_by="day", start_date="2025-06-01").to_pylist()
        periods = sorted({(row["period_from"], row["period_to"]) for row in found})
        for (_, end), (start, _) in itertools.pairwise(periods):
            assert start == end + timedelta(seconds=1)

    def test_a_second_run_reads_the_months_of_the_look_back(self, sandbox: SandboxServer, warehouse: Warehouse) -> None:
        warehouse.load(sandbox, "conversion_totals")
        before = warehouse.rows("conversion_totals", "* EXCLUDE (read_at)", order="ALL")
        sandbox.insert_conversion(created=int(NOW.timestamp()) - 86_400, commission_total="3.00", total="30.00")
        sandbox.forget_requests()
        report = warehouse.load(sandbox, "conversion_totals", lookback_days=20).table("conversion_totals")
        assert report.rows < len(before)
        june = datetime(2025, 6, 1, tzinfo=UTC)
        (count,) = warehouse.query(
            "SELECT sum(conversions_count) FROM refersion_data.conversion_totals "
            f"WHERE period_from = '{june.isoformat()}' AND granularity = 'month'"
        )
        assert count[0] == sum(value[0] for key, value in truth(sandbox, "month").items() if key[0] == june)

    @pytest.mark.parametrize("amount", ["12,x", "", None, "1.234,56"])
    def test_a_sum_that_cannot_be_read_is_named(self, sandbox: SandboxServer, amount: Any) -> None:
        body = {
            "conversions_count": "10,",
            "commission_total": amount,
            "order_total": "0.00",
            "commissionable_order_total": "0.00",
            "currency": "USD",
        }
        sandbox.fault(TOTALS, "status", status=200, body=body, times=None)
        with pytest.raises(UnreadableValue, match=r"conversion_totals\.commission_total of row month"):
            read(sandbox, "conversion_totals")

    def test_a_plan_without_them_is_said(self, sandbox: SandboxServer) -> None:
        sandbox.configure(plan_excludes=["/conversion/totals"])
        report = ReadReport()
        assert read(sandbox, "conversion_totals", report=report).num_rows == 0
        told = report.table("conversion_totals")
        assert "the account's plan does not offer this" in (told.not_offered or "")
        assert any("/conversion/totals: the account's plan" in warning for warning in told.warnings)


def test_what_rest_tells_is_the_same_on_every_reading(account: SandboxServer) -> None:
    for table in ("affiliate_list", "affiliate_get"):
        assert rows(read(account, table)) == rows(read(account, table, max_concurrency=1))
    assert SMALL.affiliates == read(account, "affiliate_list").num_rows
