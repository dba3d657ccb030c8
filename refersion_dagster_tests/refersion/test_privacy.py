"""Customers' personal values: hashed, kept or dropped before anything is written."""

import hashlib
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refersion_dagster.refersion.errors import AnotherSalt
from refersion_dagster.refersion.tables.catalog import CLICKS, CONVERSIONS
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy, normalise, normalised
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.refersion.plain_dlt import NOW, Warehouse, read

PERSONAL = [column.name for column in CONVERSIONS.columns if column.personal]
LATE = {"read_from": "2025-06-01"}


@pytest.mark.parametrize(
    ("value", "normal"),
    [
        ("Kim@Example.COM", "kim@example.com"),
        ("  kim@example.com\n", "kim@example.com"),
        ("kim+shop@example.com", "kim@example.com"),
        ("k.i.m+shop@gmail.com", "kim@gmail.com"),
        ("k.im@googlemail.com", "kim@gmail.com"),
        ("k.im@example.com", "k.im@example.com"),
        ("k.im@hotmail.com", "k.im@hotmail.com"),
        ("203.0.113.7", "203.0.113.7"),
        ("2001:DB8::1", "2001:db8::1"),
        ("", ""),
        (None, ""),
        (7, "7"),
    ],
)
def test_one_person_has_one_spelling(value: Any, normal: str) -> None:
    assert normalise(value) == normal


@given(st.text(st.characters()))
def test_normalising_twice_changes_nothing_more_of_an_address(text: str) -> None:
    address = f"{text.replace('+', '')}@example.com"
    assert normalise(normalise(address)) == normalise(address)


@given(
    st.lists(
        st.none()
        | st.text(st.sampled_from("aB.+@ \tİß\x1c\x00"))
        | st.from_regex(r"[a-c.+]{1,5}@gmail\.com", fullmatch=True)
    )
)
def test_columns_are_normalised_as_single_values_are(texts: list[str | None]) -> None:
    expected = [None if text is None else normalise(text).encode() for text in texts]
    assert normalised(pa.array(texts, pa.string())).to_pylist() == expected
    assert [value or None for value in normalised(texts).to_pylist()] == [value or None for value in expected]


class TestHashes:
    def test_are_sha256_of_salt_and_value_which_sql_can_repeat(self, warehouse: Warehouse) -> None:
        (digest,) = Privacy(PersonalData.HASH, "salt").digests(["Kim@Example.com"])
        assert digest == hashlib.sha256(b"saltkim@example.com").hexdigest()
        with duckdb.connect() as connection:
            found = connection.execute("SELECT sha256('salt' || lower(trim('Kim@Example.com ')))").fetchall()
        assert found == [(digest,)]

    def test_nothing_stays_nothing(self) -> None:
        assert Privacy(PersonalData.HASH, "salt").apply([None, "", "  "]) == [None, None, None]

    def test_are_those_of_hashlib_for_whole_columns(self) -> None:
        values = [
            "Kim@Example.com",
            None,
            "",
            "İstanbul",
            "k.i.m+x@gmail.com",
            *(f"customer {i}" for i in range(5_000)),
        ]
        found = Privacy(PersonalData.HASH, "pépper").digest_chunks([pa.array(values), pa.array([7, None]), [b"", 2.5]])
        every = [*values, 7, None, b"", 2.5]
        digests = [
            hashlib.sha256(f"pépper{normalise(value)}".encode()).hexdigest() if normalise(value) else None
            for value in every
        ]
        assert found.to_pylist() == digests

    @given(st.lists(st.text(st.characters())), st.text())
    def test_are_the_same_for_the_same_salt_alone(self, values: list[str], salt: str) -> None:
        first, second = Privacy(PersonalData.HASH, salt), Privacy(PersonalData.HASH, salt)
        assert first.digests(values) == second.digests(values)
        other = Privacy(PersonalData.HASH, salt + "x").digests(values)
        assert all(a is None or a != b for a, b in zip(first.digests(values), other, strict=True))

    def test_the_salt_is_not_shown(self) -> None:
        assert "pepper" not in repr(Privacy(PersonalData.HASH, "pepper"))


class TestPolicies:
    def test_hash_lands_hashes_by_which_rows_of_one_customer_join(self, sandbox: SandboxServer) -> None:
        customer = {"name": "Kim", "email": "kim@example.com", "browser_ip": "203.0.113.7"}
        for email in ("kim@example.com", "KIM+2@example.com"):
            sandbox.insert_conversion(created=int(NOW.timestamp()) - 60, customer={**customer, "email": email})
        found = read(sandbox, "conversions", read_from="2025-06-30T23:59:00").to_pylist()
        assert len(found) == 2
        assert {row["customer__name"] for row in found} == {hashlib.sha256(b"saltkim").hexdigest()}
        assert {row["customer__email"] for row in found} == {hashlib.sha256(b"saltkim@example.com").hexdigest()}
        assert {row["customer__browser_ip"] for row in found} == {hashlib.sha256(b"salt203.0.113.7").hexdigest()}

    def test_keep_lands_the_values(self, account: SandboxServer) -> None:
        found = read(account, "conversions", pii="keep").to_pylist()
        expected = {
            str(row.id): (row.customer.name, row.customer.email, row.customer.ip)
            if row.customer
            else (None, None, None)
            for row in account.account.conversions.values()
        }
        names = ("customer__name", "customer__email", "customer__browser_ip")
        assert {row["id"]: tuple(row[name] for name in names) for row in found} == expected

    def test_they_are_about_the_customer_of_an_order_and_the_visitor_who_clicked(self) -> None:
        customer = ["customer__name", "customer__email", "customer__browser_ip"]
        assert [*customer, "click__ip"] == PERSONAL
        assert [column.name for column in CLICKS.columns if column.personal] == ["ip"]

    def test_drop_lands_nothing(self, account: SandboxServer) -> None:
        found = read(account, "conversions", pii="drop")
        assert all(found.column(name).null_count == found.num_rows for name in PERSONAL)

    @pytest.mark.parametrize("policy", limit_cases(["hash", "drop"]))
    def test_no_customers_value_is_anywhere_in_the_warehouse(
        self, account: SandboxServer, warehouse: Warehouse, policy: str
    ) -> None:
        warehouse.load(account, pii=policy)
        customers = [row.customer for row in account.account.conversions.values() if row.customer]
        people = account.account.affiliates.values()
        affiliates = {person.email for person in people} | {person.paypal_email for person in people}
        values = {one.email for one in customers} - affiliates | {one.ip for one in customers}
        assert len(values) > 50
        columns = warehouse.query(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE data_type = 'VARCHAR' "
            "AND schema_name = 'refersion_data'"
        )
        for table, column in columns:
            landed = {value for (value,) in warehouse.query(f'SELECT "{column}" FROM refersion_data."{table}"')}
            assert landed & values == set(), (table, column)

    def test_an_affiliate_who_is_a_customer_is_found_by_the_hash(self, sandbox: SandboxServer) -> None:
        person = next(iter(sandbox.account.affiliates.values()))
        buyer = {"name": "x", "email": person.email.upper(), "browser_ip": "203.0.113.7"}
        number = sandbox.insert_conversion(created=int(NOW.timestamp()) - 60, customer=buyer)
        people = {row["id"]: row["email_hash"] for row in read(sandbox, "affiliates").to_pylist()}
        orders = {row["id"]: row["customer__email"] for row in read(sandbox, "conversions", **LATE).to_pylist()}
        assert orders[str(number)] == people[str(person.id)]


class TestSalt:
    def hashes(self, warehouse: Warehouse) -> dict[str, str]:
        return dict(warehouse.rows("conversions", "id", "customer__email"))

    @pytest.mark.exhaustive
    def test_without_one_hashes_stay_the_same_between_runs_and_machines(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "conversions", pii_salt=None, **LATE)
        first = self.hashes(warehouse)
        for machine in ("this", "another"):
            warehouse.load(sandbox, "conversions", pii_salt=None, machine=machine, **LATE)
            assert self.hashes(warehouse) == first
        assert any(first.values())

    def test_without_one_every_warehouse_has_its_own(self, account: SandboxServer, tmp_path: Any) -> None:
        found = []
        for name in ("a", "b"):
            (tmp_path / name).mkdir()
            warehouse = Warehouse(tmp_path / name)
            warehouse.load(account, "conversions", pii_salt=None, **LATE)
            found.append(self.hashes(warehouse))
        assert found[0].keys() == found[1].keys()
        assert all(a is None or a != b for a, b in zip(found[0].values(), found[1].values(), strict=True))

    def test_a_given_one_makes_the_same_hashes_everywhere(self, account: SandboxServer) -> None:
        column = "customer__email"
        first, second = (read(account, "conversions", pii_salt="s", **LATE).column(column) for _ in range(2))
        assert first.equals(second)
        assert not first.equals(read(account, "conversions", pii_salt="t", **LATE).column(column))

    @pytest.mark.exhaustive
    def test_without_one_hashes_of_affiliates_stay_the_same_too(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        warehouse.load(sandbox, "affiliates", pii_salt=None)
        before = warehouse.rows("affiliates", "id", "email_hash")
        warehouse.load(sandbox, "affiliates", pii_salt=None, machine="another")
        assert warehouse.rows("affiliates", "id", "email_hash") == before

    @pytest.mark.parametrize(
        ("before", "after", "said"),
        [
            (None, "given", "REFERSION_PII_SALT is not the salt .* Remove the variable"),
            ("given", "another", "REFERSION_PII_SALT is not the salt .* Set that salt"),
            ("given", None, "REFERSION_PII_SALT is not set, but .* Set that salt"),
        ],
    )
    def test_another_than_before_is_refused_before_the_first_row(
        self, sandbox: SandboxServer, warehouse: Warehouse, before: str | None, after: str | None, said: str
    ) -> None:
        warehouse.load(sandbox, "conversions", pii_salt=before, **LATE)
        hashes = self.hashes(warehouse)
        sandbox.insert_conversion()
        for machine in ("this", "another"):
            with pytest.raises(AnotherSalt, match=said) as error:
                warehouse.load(sandbox, "conversions", pii_salt=after, machine=machine, **LATE)
            assert "given" not in str(error.value)
            assert "another" not in str(error.value).replace("To use another salt", "")
        assert self.hashes(warehouse) == hashes
        # The refused salt does not take effect.
        warehouse.load(sandbox, "conversions", "affiliates", pii_salt=before, **LATE)
        assert len(self.hashes(warehouse)) == len(hashes) + 1

    def test_of_a_warehouse_that_an_earlier_release_loaded_counts_too(
        self, sandbox: SandboxServer, warehouse: Warehouse
    ) -> None:
        """Its state has the random salt without a fingerprint."""
        warehouse.load(sandbox, "affiliates", pii_salt=None)
        pipeline = warehouse.pipeline()
        with pipeline.managed_state(extract_state=True) as state:
            del state.get("sources", {})["refersion_source"]["pii_salt_fingerprint"]
        pipeline.normalize()
        pipeline.load()
        with pytest.raises(AnotherSalt, match="Remove the variable"):
            warehouse.load(sandbox, "affiliates", pii_salt="given")
