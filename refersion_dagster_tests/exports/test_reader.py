"""Which column is which, and what the cells of a row have to be."""

from decimal import Decimal
from pathlib import Path

import pytest

from refersion_dagster.refersion.errors import UnusableExport
from refersion_dagster.refersion.exports.mapping import FILE, Confidence, ExportSettings, read_settings
from refersion_dagster.refersion.tables.catalog import AFFILIATE_GET, AFFILIATES, CONVERSIONS
from refersion_dagster_tests.exports.files import HEADER, ROWS, read, text

NEW_YORK = ExportSettings(timezone="America/New_York")


def row(**cells: str) -> str:
    usual = dict(zip(HEADER.split(","), ROWS[0].split(","), strict=True))
    given = (usual | {name.replace("_", " "): value for name, value in cells.items()}).values()
    return ",".join(f'"{cell}"' if "," in cell else cell for cell in given)


def test_columns_are_known_by_their_names_and_each_says_how_sure_that_is(tmp_path: Path) -> None:
    export = read(tmp_path, text())
    assert {name: match.confidence for name, match in export.columns.items()} == {
        **dict.fromkeys(
            ("id", "created", "affiliate_id", "order_id", "status", "payment_status", "currency"), Confidence.SURE
        ),
        "total": Confidence.LIKELY,
        "commission_total": Confidence.LIKELY,
    }
    assert not export.unused


def test_values_are_typed_exactly(tmp_path: Path) -> None:
    export = read(tmp_path, text())
    batch = export.batch(CONVERSIONS)
    assert list(map(str, batch.values["total"])) == ["100.00", "1050.50"]
    assert str(batch.values["created"][0]) == "2026-06-01 10:00:00.000000Z"
    assert export.lacking(CONVERSIONS)[-2:] == ["status=DENIED", "status=UNQUALIFIED"]
    assert {"type", "payment_id", "coupon_code"} <= set(export.lacking(CONVERSIONS))


def test_exports_yaml_overrules_the_guess(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(
        "timezone: Europe/Berlin\ncurrency: EUR\ndecimal: ','\ntime_format: '%d.%m.%Y %H:%M'\n"
        "columns: {conversions: {id: Nr., total: Basket, created: Datum, status: Stand, commission_total: Provision}}\n"
        "values: {conversions: {status: {Genehmigt: APPROVED}}}\n"
    )
    settings = read_settings(tmp_path)
    export = read(
        tmp_path, "Nr.;Datum;Stand;Basket;Provision;Total\n1;01.06.2026 10:00;Genehmigt;1.234,56;12,30;5\n", settings
    )
    assert export.values == {
        "id": ["1"],
        "created": ["2026-06-01 08:00:00.000000Z"],
        "status": ["APPROVED"],
        "total": ["1234.56"],
        "commission_total": ["12.30"],
        "currency": ["EUR"],
    }
    assert export.unused == ["Total"]


@pytest.mark.parametrize(
    ("yaml", "said"),
    [
        ("timezone: Mars/Olympus\n", "timezone"),
        ("currency: dollars\n", "currency"),
        ("decimal: ';'\n", "decimal"),
        ("time_format: nothing\n", "time_format"),
        ("separator: ':'\n", "separator"),
        ("columns: {conversions: {nothing: Total}}\n", "names nothing, which is no field of conversions"),
        ("columns: {payments: {id: Total}}\n", "names exports of payments"),
        ("colums: {}\n", "colums"),
        ("- a\n", "not valid"),
        ("a: [\n", "cannot be read"),
    ],
)
def test_an_invalid_exports_yaml_is_refused(tmp_path: Path, yaml: str, said: str) -> None:
    (tmp_path / FILE).write_text(yaml)
    with pytest.raises(UnusableExport, match=said):
        read_settings(tmp_path)


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (HEADER.replace("Commission", "Reward"), "no column that is known as commission_total"),
        (HEADER.replace("Currency", "Notes"), "known as currency.*currency: USD"),
        (HEADER.replace("Affiliate ID", "Sale Total"), "several columns that may be total"),
        (HEADER.replace("Affiliate ID", "Total"), "several columns that may be total"),
        (HEADER.replace("Conversion ID", "Number"), "known as id"),
    ],
)
def test_a_needed_column_that_is_missing_or_doubtful_is_refused(tmp_path: Path, header: str, said: str) -> None:
    with pytest.raises(UnusableExport, match=said):
        read(tmp_path, text(header=header))


def test_a_declared_column_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableExport, match=r"no column 'Basket', which exports.yaml names for total"):
        read(tmp_path, text(), ExportSettings(columns={"conversions": {"total": "Basket"}}))


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        ({"Order_Total": "12.345,67"}, "'Order Total' \\(total\\) has a value of the shape '99.999,99'"),
        ({"Order_Total": "12,50"}, "'99,99', which is not an amount such as 1,234.56; decimal: ','"),
        ({"Order_Total": "1e5"}, "'9a9', which is not an amount"),
        ({"Order_Total": "(5.00)"}, "not an amount"),
        ({"Order_Total": "5.123456"}, "not an amount"),
        ({"Order_Total": "€5.00"}, "not an amount in USD"),
        ({"Commission": ""}, "'Commission'.*not filled"),
        ({"Conversion_ID": ""}, "'Conversion ID'.*not filled"),
        ({"Conversion_ID": "1.19E+07"}, "a spreadsheet has rounded it"),
        ({"Status": "Approved!"}, "not PENDING, APPROVED, DENIED, UNQUALIFIED"),
        ({"Payment_Status": "maybe"}, "not PAID, UNPAID"),
        ({"Currency": "dollars"}, "not a currency"),
        ({"Created_(UTC)": "06/01/2026"}, "not a time such as"),
        ({"Created_(UTC)": "2026-06-31 10:00"}, "not a possible date"),
        ({"Created_(UTC)": "2026-07-01 09:31:00"}, "was created at 2026-07-01 09:31:00 UTC, but by its name"),
    ],
)
def test_a_bad_cell_stops_the_load_with_line_column_and_shape(tmp_path: Path, cells: dict[str, str], said: str) -> None:
    bad = row(**{"Conversion_ID": "3", **cells})
    with pytest.raises(UnusableExport, match=said) as raised:
        read(tmp_path, text(*ROWS, bad))
    assert "Line 4 of conversions 2026-07-01 0930.csv" in str(raised.value)


def test_an_error_does_not_show_the_value(tmp_path: Path) -> None:
    with pytest.raises(UnusableExport) as raised:
        read(tmp_path, text(row(Order_Total="jane@example.com")))
    assert "jane" not in str(raised.value)
    assert "aaaa@aaaaaaa.aaa" in str(raised.value)


@pytest.mark.parametrize("value", ["$100.00", "100", "100.0000", "-100.00", "- 100.00", "1,000"])
def test_amounts_as_english_programs_write_them(tmp_path: Path, value: str) -> None:
    export = read(tmp_path, text(row(Order_Total=value)))
    assert abs(Decimal(export.values["total"][0])) in (100, 1000)


def test_a_comma_in_a_file_that_is_not_separated_by_commas_has_to_be_declared(tmp_path: Path) -> None:
    content = text(row(Order_Total="1000", Commission="10")).replace(",", ";").replace(";1000;", ";1,000;")
    with pytest.raises(UnusableExport, match=r"certain: say in exports.yaml what its comma is"):
        read(tmp_path, content)
    assert read(tmp_path, content, ExportSettings(decimal=",")).values["total"] == ["1.000"]
    assert read(tmp_path, content, ExportSettings(decimal=".")).values["total"] == ["1000"]


def test_times_need_a_time_zone_unless_they_say_it(tmp_path: Path) -> None:
    local = text(header=HEADER.replace(" (UTC)", ""))
    with pytest.raises(UnusableExport, match="not in a known time zone"):
        read(tmp_path, local)
    assert read(tmp_path, local, NEW_YORK).values["created"][0] == "2026-06-01 14:00:00.000000Z"
    said = text(row(**{"Created_(UTC)": "2026-06-01T10:00:00+02:00"}), header=HEADER.replace(" (UTC)", ""))
    assert read(tmp_path, said).values["created"] == ["2026-06-01 08:00:00.000000Z"]


def test_a_time_that_does_not_exist_shows_that_the_time_zone_is_wrong(tmp_path: Path) -> None:
    skipped = text(row(**{"Created_(UTC)": "2026-03-08 02:30:00"}), header=HEADER.replace(" (UTC)", ""))
    with pytest.raises(UnusableExport, match="a time that exists in America/New_York"):
        read(tmp_path, skipped, NEW_YORK)


def test_dates_without_a_time_are_loaded_and_said(tmp_path: Path) -> None:
    export = read(tmp_path, text(row(**{"Created_(UTC)": "2026-06-01"})))
    assert export.values["created"] == ["2026-06-01 00:00:00.000000Z"]
    assert "without a time of day" in export.notes[0]


def test_an_id_on_two_lines_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableExport, match="the id 1 on lines 2 and 4"):
        read(tmp_path, text(*ROWS, ROWS[0]))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_row_of_totals_is_no_conversion_wherever_it_is(tmp_path: Path, place: int) -> None:
    rows: list[str] = [*ROWS]
    rows.insert(place, 'Total,,,,,,,"1,150.50",115.05')
    assert read(tmp_path, text(*rows)).rows == 2


def test_a_row_of_totals_in_the_middle_may_be_of_the_rows_before_it(tmp_path: Path) -> None:
    export = read(tmp_path, text(ROWS[0], ",Subtotal,,,,,,100.00,10.00", ROWS[1], "Total,,,,,,,1150.50,115.05"))
    assert export.rows == 2


def test_rows_that_do_not_add_up_to_their_totals_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnusableExport, match=r"says that 'Order Total' adds up to 1,150.51, but its rows .* 1,150.50"):
        read(tmp_path, text(*ROWS, "Total,,,,,,,1150.51,115.05"))
    with pytest.raises(UnusableExport, match=r"adds up to 115.05, but its rows add up to 10.00"):
        read(tmp_path, text(ROWS[0], "Total,,,,,,,,115.05"))


def test_totals_by_currency_are_compared_and_mixed_ones_are_not(tmp_path: Path) -> None:
    euro = row(Conversion_ID="3", Currency="EUR")
    assert not read(tmp_path, text(*ROWS, euro, "Total,,,,,,EUR,100.00,10.00", "Total,,,,,,USD,1150.50,115.05")).notes
    with pytest.raises(UnusableExport, match=r"adds up to 99.00"):
        read(tmp_path, text(*ROWS, euro, "Total,,,,,,EUR,99.00,10.00"))
    notes = read(tmp_path, text(*ROWS, euro, "Total,,,,,,,1240.00,120.00")).notes
    assert "several currencies" in notes[0]


def test_affiliates_fill_two_tables(tmp_path: Path) -> None:
    header = "Affiliate ID,Affiliate Code,First Name,Email,PayPal Email,Status,Company,Offer"
    content = text("7,a3y7,Ann,a@x.org,,ACTIVE,Ann's,Std", header=header)
    export = read(tmp_path, content, name="affiliates 2026-07-01 0930.csv")
    assert export.unused == ["Offer"]
    assert list(map(str, export.batch(AFFILIATES).values["id"])) == ["7"]
    assert list(map(str, export.batch(AFFILIATE_GET).values["affiliate_code"])) == ["a3y7"]
    assert {"status=DENIED", "status=DISABLED"} <= set(export.lacking(AFFILIATES))
    assert "affiliate_code" not in export.lacking(AFFILIATE_GET)
