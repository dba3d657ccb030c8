"""Items are validated strictly, from text and from numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from refersion_dagster.actions.operations.catalog import ENDPOINTS
from refersion_dagster.actions.operations.item_key import derive_key
from refersion_dagster.actions.operations.requests import (
    AffiliateEdit,
    AffiliateNew,
    AffiliateTrigger,
    ConversionManualCredit,
    ConversionStatusChange,
    Item,
    NewSkuCommission,
)

CREDIT: dict[str, Any] = {"affiliate_id": 12345678, "commission": "12.50", "currency": "USD", "status": "PENDING"}
NEW: dict[str, Any] = {"first_name": "Bill", "last_name": "Smith", "email": "bill@example.com", "status": "ACTIVE"}


def credit(**changes: Any) -> ConversionManualCredit:
    return ConversionManualCredit.model_validate(CREDIT | changes)


def wrong(kind: type[Item], values: dict[str, Any]) -> str:
    with pytest.raises(ValidationError) as error:
        kind.model_validate(values)
    return "; ".join(str(one.get("ctx", {}).get("error", one["msg"])) for one in error.value.errors())


class TestAmounts:
    @pytest.mark.parametrize(
        ("given", "amount"),
        [
            ("12.50", "12.50"),
            (" 12.5 ", "12.5"),
            ("+3", "3"),
            ("-0.01", "-0.01"),
            (12, "12"),
            (12.5, "12.5"),
            (0.1, "0.1"),
            (Decimal("12.5000"), "12.5"),
            ("999999999.99", "999999999.99"),
        ],
    )
    def test_are_exact(self, given: object, amount: str) -> None:
        assert credit(commission=given).commission == Decimal(amount)

    @pytest.mark.parametrize(
        ("given", "why"),
        [
            ("1,234.50", "without currency symbol or thousands separators"),
            ("12,50", "has to be an amount"),
            ("$12.50", "has to be an amount"),
            ("1e3", "has to be an amount"),
            (1e-7, "has to be an amount"),
            ("12.505", "more than two decimal places"),
            (0.1 + 0.2, "more than two decimal places"),
            ("0", "must not be 0"),
            ("-0.00", "must not be 0"),
            ("1000000000", "has to be an amount"),
            ("NaN", "has to be an amount"),
            (float("inf"), "has to be an amount"),
            (Decimal("NaN"), "has to be an amount"),
            ("١٢", "has to be an amount"),
            (True, "has to be an amount"),
            ("", "has to be an amount"),
            ([], "has to be an amount"),
        ],
    )
    def test_of_any_other_form_are_refused(self, given: object, why: str) -> None:
        assert why in wrong(ConversionManualCredit, CREDIT | {"commission": given})


class TestIds:
    @pytest.mark.parametrize("given", [12345678, "12345678", " 12345678 ", 12345678.0, Decimal("12345678.0")])
    def test_are_whole_numbers_however_they_come(self, given: object) -> None:
        assert credit(affiliate_id=given).affiliate_id == 12345678

    @pytest.mark.parametrize("given", [0, "0", -5, "a3y7", 1.5, True, "", "1e5", float("nan"), "²", 10**18, None])
    def test_that_are_none_are_refused(self, given: object) -> None:
        assert "has to be a whole number above 0" in wrong(ConversionManualCredit, CREDIT | {"affiliate_id": given})


class TestWords:
    def test_of_a_list_are_read_in_any_case(self) -> None:
        assert credit(status=" approved ", currency="usd").content() | {"commission": 0} == {
            **CREDIT,
            "status": "APPROVED",
            "commission": 0,
        }

    def test_outside_of_it_are_refused(self) -> None:
        assert "'APPROVED' or 'PENDING'" in wrong(ConversionManualCredit, CREDIT | {"status": "DENIED"})
        assert "'UNQUALIFIED'" in wrong(ConversionStatusChange, {"conversion_id": 1, "status": "PENDING"})

    @pytest.mark.parametrize("currency", ["US", "USDT", "U$D", "€€€", ""])
    def test_of_a_currency_are_three_letters(self, currency: str) -> None:
        assert "three letters" in wrong(ConversionManualCredit, CREDIT | {"currency": currency})

    def test_that_cannot_be_sent_are_refused(self) -> None:
        assert "cannot be sent" in wrong(ConversionManualCredit, CREDIT | {"notes": "a\x00b"})
        assert "unicode" in wrong(ConversionManualCredit, CREDIT | {"notes": "a\ud800b"})

    def test_are_taken_without_their_outer_spaces(self) -> None:
        assert credit(notes="  Bonus für Æ 🎉 ").notes == "Bonus für Æ 🎉"

    def test_numbers_are_texts_where_texts_are_meant(self) -> None:
        assert AffiliateEdit.model_validate({"affiliate_id": 1, "zip": 10115}).zip == "10115"
        assert AffiliateEdit.model_validate({"affiliate_id": 1, "phone": 49301234.0}).phone == "49301234"


class TestPasswords:
    @pytest.mark.parametrize(
        ("password", "why"),
        [
            ("Short!1a", "9 to 72 characters"),
            ("Aa1!" * 19, "9 to 72 characters"),
            ("lower!case1", "upper-case"),
            ("UPPER!CASE1", "lower-case"),
            ("NoDigits!!", "a digit"),
            ("NoSpecial12", "special character"),
            ("Aaaa!aaaa1", "more than 3 times in a row"),
        ],
    )
    def test_follow_refersions_rules(self, password: str, why: str) -> None:
        said = wrong(AffiliateNew, NEW | {"password": password})
        assert why in said
        assert password not in said

    def test_are_not_the_e_mail(self) -> None:
        email = "Bill.1!Smith@example.com"
        assert "must not be the e-mail" in wrong(AffiliateNew, NEW | {"email": email, "password": email.swapcase()})

    def test_show_nowhere(self) -> None:
        item = AffiliateNew.model_validate(NEW | {"password": "Hush!Hush1"})
        assert "Hush!Hush1" not in repr(item) + str(item.content()) + str(item.model_dump_json())

    def test_of_an_item_that_is_wrong_show_nowhere(self) -> None:
        with pytest.raises(ValidationError) as error:
            AffiliateNew.model_validate(NEW | {"password": "Hush!Hush1", "status": "?"})
        assert "Hush!Hush1" not in str(error.value)

    def test_make_no_difference_to_the_key(self) -> None:
        keys = {
            derive_key("affiliate_new", AffiliateNew.model_validate(NEW | more), "", 1)
            for more in ({}, {"password": "Hush!Hush1"}, {"password": "Other!Hush2"})
        }
        assert len(keys) == 1


class TestRules:
    def test_an_edit_changes_something(self) -> None:
        assert "nothing to change" in wrong(AffiliateEdit, {"affiliate_id": 1})

    def test_a_percentage_is_at_most_100(self) -> None:
        rate = {"offer_id": 1, "sku": "A", "commission_type": "PERCENT_OF_SALE", "commission_amount": "100.01"}
        assert "above 100 %" in wrong(NewSkuCommission, rate)
        assert NewSkuCommission.model_validate(rate | {"commission_type": "FLAT_RATE"})
        assert "must not be negative" in wrong(NewSkuCommission, rate | {"commission_amount": "-1"})

    def test_a_trigger_of_type_email_is_an_e_mail(self) -> None:
        assert "e-mail address" in wrong(AffiliateTrigger, {"affiliate_code": "a", "type": "EMAIL", "trigger": "x"})

    def test_a_country_has_two_letters(self) -> None:
        assert "two letters" in wrong(AffiliateNew, NEW | {"country": "USA"})
        assert AffiliateNew.model_validate(NEW | {"country": "us"}).country == "US"

    @pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda one: one.name)
    def test_a_field_that_does_not_exist_is_an_error(self, endpoint: Any) -> None:
        assert "Extra inputs are not permitted" in wrong(endpoint.item, {"commision": 1})

    @pytest.mark.parametrize("endpoint", ENDPOINTS.values(), ids=lambda one: one.name)
    def test_every_field_is_described(self, endpoint: Any) -> None:
        assert [name for name, field in endpoint.item.model_fields.items() if not field.description] == []


class TestKeys:
    def test_are_those_of_the_content_and_not_of_how_it_was_written(self) -> None:
        same = [credit(), credit(commission=12.5), credit(commission="12.5", affiliate_id="12345678", currency="usd")]
        assert len({derive_key("conversion_manual_credit", item, "", 1) for item in same}) == 1

    def test_differ_by_content_purpose_sequence_and_operation(self) -> None:
        keys = [
            derive_key("conversion_manual_credit", credit(), "", 1),
            derive_key("conversion_manual_credit", credit(notes="x"), "", 1),
            derive_key("conversion_manual_credit", credit(), "bonus-2025-07", 1),
            derive_key("conversion_manual_credit", credit(), "", 2),
            derive_key("conversion_cancel", credit(), "", 1),
        ]
        assert len(set(keys)) == len(keys)

    def test_stay_the_same_from_version_to_version(self) -> None:
        """If keys changed with a new version of this package, everything would be sent again."""
        assert derive_key("conversion_manual_credit", credit(notes="Bonus"), "", 1) == "cfacce2f30dfd4ef69d6"
