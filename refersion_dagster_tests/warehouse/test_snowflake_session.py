"""Snowflake without its connector: what is read from dlt's configuration, what is sent, and how errors are told."""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest
from dlt.common.configuration.exceptions import ConfigurationException
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException

from refersion_dagster.refersion.environment import DATASET, PIPELINE
from refersion_dagster.warehouse import lease
from refersion_dagster.warehouse.dlt_internals.snowflake import find_credentials
from refersion_dagster.warehouse.errors import (
    ConcurrentChange,
    WarehouseError,
    WarehouseForbidden,
    WarehouseFull,
    WarehouseNotSet,
    WarehouseUnreachable,
)
from refersion_dagster.warehouse.snowflake.credentials import SESSION_PARAMETERS
from refersion_dagster.warehouse.snowflake.errors import convert_error
from refersion_dagster.warehouse.snowflake.session import (
    SnowflakeSession,
    comment_statements,
    swap_statement,
    type_name,
    with_duckdb_types,
)
from refersion_dagster.warehouse.sql import write_statement

SETTING = "DESTINATION__SNOWFLAKE__CREDENTIALS"
ADDRESS = "snowflake://loader:s3cret@account/analytics?warehouse=refresh&role=loader"


class TestCredentials:
    def test_sessions_are_opened_in_utc_whatever_is_set(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(SETTING, ADDRESS)
        monkeypatch.setenv(f"{SETTING}__SESSION_TIMEZONE", "Asia/Tokyo")
        given = find_credentials(PIPELINE, DATASET, SESSION_PARAMETERS).to_connector_params()
        assert given["timezone"] == "UTC"
        assert given["session_parameters"] == SESSION_PARAMETERS
        assert (given["account"], given["database"]) == ("account", "analytics")
        assert (given["warehouse"], given["role"]) == ("refresh", "loader")

    def test_they_may_be_set_one_by_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = {"HOST": "account", "DATABASE": "analytics", "USERNAME": "loader", "PASSWORD": "s3cret"}
        for name, value in names.items():
            monkeypatch.setenv(f"{SETTING}__{name}", value)
        given = find_credentials(PIPELINE, DATASET, SESSION_PARAMETERS).to_connector_params()
        assert (given["account"], given["user"], given["password"]) == ("account", "loader", "s3cret")

    @pytest.mark.parametrize("missing", ["HOST", "DATABASE", "PASSWORD"])
    def test_what_is_missing_is_an_error(self, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
        names = {"HOST": "account", "DATABASE": "analytics", "USERNAME": "loader", "PASSWORD": "s3cret"}
        for name in names.keys() - {missing}:
            monkeypatch.setenv(f"{SETTING}__{name}", names[name])
        with pytest.raises((ConfigurationException, ValueError)):
            find_credentials(PIPELINE, DATASET, SESSION_PARAMETERS)


class TestStatements:
    def test_a_lease_is_made_and_taken_by_the_clock_of_the_server(self) -> None:
        table = f"{lease.DATASET}.{lease.TABLE}"
        take = write_statement(lease.TAKE.format(table=table, seconds=120), {"token": "a", "holder": "b"}, DIALECT)
        assert take == (
            f"UPDATE {table} SET token = 'a', holder = 'b', taken_at = CURRENT_TIMESTAMP(), valid_until = "
            "CURRENT_TIMESTAMP() + INTERVAL '120 SECOND' WHERE valid_until <= CURRENT_TIMESTAMP()"
        )
        # Snowflake's documentation has no IF NOT EXISTS before AS.
        assert write_statement(lease.CREATE, {}, DIALECT).startswith(
            f"CREATE TABLE {table} AS SELECT CAST('' AS VARCHAR)"
        )

    def test_rows_are_replaced_by_one_statement(self) -> None:
        assert swap_statement("made", "pay", "pay__new", has_same_columns=True) == (
            "INSERT OVERWRITE INTO made.pay SELECT * FROM made.pay__new"
        )
        assert swap_statement("made", "pay", "pay__new", has_same_columns=False) == (
            "CREATE OR REPLACE TABLE made.pay COPY GRANTS AS SELECT * FROM made.pay__new"
        )

    def test_descriptions_of_columns_are_one_statement(self) -> None:
        assert comment_statements("made", "pay", "It's", {"id": "A \\ b", "order": "x"}) == [
            r"COMMENT ON TABLE made.pay IS 'It\'s'",
            r"""ALTER TABLE made.pay ALTER COLUMN "ID" COMMENT 'A \\ b', COLUMN "ORDER" COMMENT 'x'""",
        ]
        assert comment_statements("made", "pay", "Pay.", {}) == ["COMMENT ON TABLE made.pay IS 'Pay.'"]


DIALECT = SnowflakeSession.dialect


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "precision", "scale", "expected"),
        [
            ("NUMBER", 38, 0, "bigint"),
            ("NUMBER", 18, 4, "decimal(18,4)"),
            ("TEXT", None, None, "varchar"),
            ("FLOAT", None, None, "double"),
            ("BOOLEAN", None, None, "boolean"),
            ("DATE", None, None, "date"),
            ("TIMESTAMP_LTZ", None, None, "timestamp with time zone"),
            ("TIMESTAMP_TZ", None, None, "timestamp with time zone"),
            ("TIMESTAMP_NTZ", None, None, "timestamp"),
        ],
    )
    def test_columns_are_told_in_duckdbs_words(
        self, kind: str, precision: int | None, scale: int | None, expected: str
    ) -> None:
        assert type_name(kind, precision, scale) == expected

    def test_rows_have_lower_case_names_and_one_type_for_whole_numbers(self) -> None:
        given = pa.table(
            {
                "ROWS": pa.array([1, None], pa.int8()),
                "WIDE": pa.array([Decimal(2**62), None], pa.decimal128(38, 0)),
                "AMOUNT": pa.array([Decimal("1.50"), None], pa.decimal128(18, 2)),
                "AT": pa.array([0, None], pa.timestamp("ns", "Etc/UTC")),
                "My name": pa.array(["x", None]),
            }
        )
        found = with_duckdb_types(given)
        kinds = [pa.int64(), pa.int64(), pa.decimal128(18, 2), pa.timestamp("us", "UTC"), pa.string()]
        assert found.schema.names == ["rows", "wide", "amount", "at", "My name"]
        assert found.schema.types == kinds
        assert found["wide"].to_pylist() == [2**62, None]

    def test_no_digit_is_lost_in_silence(self) -> None:
        with pytest.raises(pa.ArrowInvalid):
            with_duckdb_types(pa.table({"N": pa.array([Decimal(2**63)], pa.decimal128(38, 0))}))


def of_connector(number: int, state: str, said: str, kind: str = "ProgrammingError") -> Exception:
    """An error that looks like one of the connector's, which may not be installed."""
    error = type(kind, (Exception,), {"__module__": "snowflake.connector.errors"})(said)
    error.errno, error.sqlstate = number, state  # pyright: ignore[reportAttributeAccessIssue]
    return error


class TestErrors:
    @pytest.mark.parametrize(
        ("error", "kind", "told"),
        [
            (
                of_connector(390100, "28000", "Incorrect password", "DatabaseError"),
                WarehouseForbidden,
                "refused the login",
            ),
            (of_connector(390201, "08001", "no database", "DatabaseError"), WarehouseNotSet, f"{SETTING}__DATABASE"),
            (of_connector(290404, "08001", "404 Not Found", "HttpError"), WarehouseNotSet, f"{SETTING}__HOST"),
            (of_connector(250001, "08001", "no route", "DatabaseError"), WarehouseUnreachable, "cannot be reached"),
            (of_connector(4, "n/a", "gave up", "OperationalError"), WarehouseUnreachable, "cannot be reached"),
            (of_connector(606, "57P03", "No active warehouse"), WarehouseNotSet, "AUTO_RESUME"),
            (of_connector(3001, "42501", "Insufficient privileges"), WarehouseForbidden, "CREATE SCHEMA"),
            (of_connector(90073, "22000", "cannot be resumed"), WarehouseFull, "resource monitor"),
            (of_connector(625, "57014", "has locked table"), ConcurrentChange, "Run again"),
        ],
    )
    def test_an_error_is_told_in_words_also_where_dlt_wraps_it(
        self, error: Exception, kind: type[WarehouseError], told: str
    ) -> None:
        for raised in (error, DatabaseTransientException(error)):
            found = convert_error(raised)
            assert type(found) is kind
            assert told in str(found)
            assert str(error) in str(found)

    def test_an_error_of_a_statement_is_no_trouble_of_the_server(self) -> None:
        wrong = of_connector(1003, "42000", "SQL compilation error: syntax error")
        assert convert_error(DatabaseTerminalException(wrong)) is None
        assert convert_error(ValueError("Insufficient privileges")) is None
