"""Items from files: CSV as written by spreadsheets, and Parquet."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.planning.input_errors import InputErrors
from refersion_dagster.actions.planning.input_files import Row, from_file

CREDIT = ENDPOINTS["conversion_manual_credit"]
HEADER = "affiliate_id,commission,currency,status,notes"


def rows(path: Path, text: str | bytes, endpoint: str = "conversion_manual_credit") -> list[Row]:
    path = path / "items.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return from_file(path, ENDPOINTS[endpoint])


def errors(path: Path, text: str | bytes, endpoint: str = "conversion_manual_credit") -> list[str]:
    with pytest.raises(InputErrors) as found:
        rows(path, text, endpoint)
    return [str(one) for one in found.value.found]


class TestCSV:
    def test_is_read_row_by_row_as_texts(self, tmp_path: Path) -> None:
        assert rows(tmp_path, f"{HEADER},key\n007,12.50,USD,PENDING,Bonus,k1\n") == [
            Row(
                "row 2",
                "k1",
                {
                    "affiliate_id": "007",
                    "commission": "12.50",
                    "currency": "USD",
                    "status": "PENDING",
                    "notes": "Bonus",
                },
            )
        ]

    def test_an_empty_cell_is_not_given(self, tmp_path: Path) -> None:
        (row,) = rows(tmp_path, f"{HEADER},key\n7,12.50,USD,PENDING,  ,\n")
        assert "notes" not in row.values
        assert row.key is None

    def test_rows_are_counted_as_a_spreadsheet_does(self, tmp_path: Path) -> None:
        text = f'{HEADER}\n7,1,USD,PENDING,"two\nlines"\n\n8,1,USD,PENDING,\n,,,,\n9,1,USD,PENDING\n'
        assert [row.place for row in rows(tmp_path, text)] == ["row 2", "row 4", "row 6"]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_as_excel_writes_it_anywhere(self, tmp_path: Path, delimiter: str, newline: str, mark: str) -> None:
        lines = [HEADER, '7,12.50,USD,PENDING,"a, b; c"']
        text = mark + newline.join(line.replace(",", delimiter) for line in lines) + newline
        ((row),) = rows(tmp_path, text.encode())
        assert row.values["commission"] == "12.50"
        assert row.values["notes"] == "a, b; c".replace(",", delimiter)

    def test_rows_end_where_csv_ends_them(self, tmp_path: Path) -> None:
        """Other line separators of Unicode do not end a row."""
        (row,) = rows(tmp_path, f"{HEADER}\n7,1,USD,PENDING,a\u2028b\x0bc\x85d\n")
        assert row.values["notes"] == "a\u2028b\x0bc\x85d"

    def test_names_of_columns_are_taken_in_any_case(self, tmp_path: Path) -> None:
        (row,) = rows(tmp_path, ' Affiliate_ID ,"COMMISSION"\n7,1\n')
        assert row.values == {"affiliate_id": "7", "commission": "1"}

    def test_all_unknown_columns_are_named(self, tmp_path: Path) -> None:
        found = errors(tmp_path, "affiliate,comission\n7,1\n")
        assert len(found) == 2
        assert (
            "has an unknown column 'comission'; known columns are affiliate_id, commission, currency, status, "
            "notes, key."
        ) in found[1]

    def test_a_column_that_is_there_twice_is_named(self, tmp_path: Path) -> None:
        assert "the column notes twice" in errors(tmp_path, f"{HEADER},notes\n")[0]

    def test_a_row_longer_than_the_header_is_named(self, tmp_path: Path) -> None:
        text = f"{HEADER}\n7,1,234.00,USD,PENDING,x\n7,1,USD,PENDING,\n7,1,USD,PENDING,a,b\n"
        assert errors(tmp_path, text) == [
            "row 2: has 6 cells, but the header has 5",
            "row 4: has 6 cells, but the header has 5",
        ]

    def test_one_that_is_not_utf_8_says_so(self, tmp_path: Path) -> None:
        assert "is not UTF-8 (byte" in errors(tmp_path, f"{HEADER}\n7,1,USD,PENDING,für\n".encode("latin-1"))[0]

    def test_a_quote_that_does_not_end_is_told(self, tmp_path: Path) -> None:
        assert "is not valid CSV" in errors(tmp_path, f'{HEADER}\n7,1,USD,PENDING,"open\n')[0]

    @pytest.mark.parametrize("text", ["", "\n", HEADER, f"{HEADER}\n\n,,,,\n"])
    def test_one_without_rows_has_no_items(self, tmp_path: Path, text: str) -> None:
        assert rows(tmp_path, text) == []


class TestParquet:
    def test_values_keep_their_types(self, tmp_path: Path) -> None:
        table = pa.table(
            {
                "affiliate_id": pa.array([7, None], pa.int64()),
                "commission": pa.array([Decimal("12.50"), Decimal("1.00")], pa.decimal128(18, 4)),
                "notes": ["x", None],
            }
        )
        pq.write_table(table, tmp_path / "items.parquet")
        first, second = from_file(tmp_path / "items.parquet", CREDIT)
        assert first == Row("row 1", None, {"affiliate_id": 7, "commission": Decimal("12.5000"), "notes": "x"})
        assert second == Row("row 2", None, {"commission": Decimal("1.0000")})

    def test_what_pandas_writes_for_an_absent_number_is_not_given(self, tmp_path: Path) -> None:
        pq.write_table(pa.table({"affiliate_id": [7.0, float("nan")], "notes": ["x", "y"]}), tmp_path / "a.parquet")
        assert [row.values for row in from_file(tmp_path / "a.parquet", CREDIT)] == [
            {"affiliate_id": 7.0, "notes": "x"},
            {"notes": "y"},
        ]

    def test_one_that_is_none_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_text("affiliate_id\n7\n")
        with pytest.raises(InputErrors, match="cannot be read"):
            from_file(tmp_path / "a.parquet", CREDIT)


@pytest.mark.parametrize(("name", "why"), [("none.csv", " does not exist."), ("a.xlsx", "use a .csv or a .parquet")])
def test_a_file_that_is_not_there_or_of_another_kind_is_told(tmp_path: Path, name: str, why: str) -> None:
    with pytest.raises(InputErrors, match=why):
        from_file(tmp_path / name, CREDIT)


class TestOrders:
    """The rows of a cancelled order are one item."""

    def test_are_put_together_wherever_their_rows_are(self, tmp_path: Path) -> None:
        text = "order_id,sku,price,quantity\n1001,A,9.99,1\n1002,B,,\n1001,C,5,2\n"
        assert rows(tmp_path, text, "conversion_cancel") == [
            Row(
                "rows 2, 4",
                None,
                {
                    "order_id": "1001",
                    "skus": [
                        {"sku": "A", "price": "9.99", "quantity": "1"},
                        {"sku": "C", "price": "5", "quantity": "2"},
                    ],
                },
            ),
            Row("row 3", None, {"order_id": "1002", "skus": [{"sku": "B"}]}),
        ]

    def test_with_two_keys_are_told(self, tmp_path: Path) -> None:
        text = "order_id,sku,key\n1001,A,k1\n1001,B,k2\n"
        assert errors(tmp_path, text, "conversion_cancel") == ["rows 2, 3: are one order but have different keys"]

    def test_rows_without_an_order_stay_apart(self, tmp_path: Path) -> None:
        found = rows(tmp_path, "order_id,sku\n,A\n,B\n", "conversion_cancel")
        assert [row.place for row in found] == ["row 2", "row 3"]


def test_custom_fields_are_columns_by_their_id(tmp_path: Path) -> None:
    text = "affiliate_id,custom_field_901,custom_field_902\n7,https://example.com,\n"
    (row,) = rows(tmp_path, text, "affiliate_edit")
    assert row.values == {"affiliate_id": "7", "custom_fields": [{"id": "901", "value": "https://example.com"}]}


def test_dates_and_the_like_are_for_the_item_to_refuse(tmp_path: Path) -> None:
    pq.write_table(pa.table({"notes": [date(2025, 7, 1)]}), tmp_path / "a.parquet")
    (row,) = from_file(tmp_path / "a.parquet", CREDIT)
    assert row.values == {"notes": date(2025, 7, 1)}
