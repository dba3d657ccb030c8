"""The REST v2 operations on affiliates, triggers and offers."""

from typing import Any

import pytest

from refersion_dagster_tests.sandbox.client import Client

BILL = {
    "first_name": "Bill",
    "last_name": "Smith",
    "email": "bill@example.com",
    "password": "Secure!Pass1",
    "status": "ACTIVE",
}


def errors(answer: Any) -> list[str]:
    assert answer.status_code == 422, (answer.status_code, answer.text)
    return answer.json()["errors"]


def pages(client: Client, limit: object = "15") -> list[dict[str, Any]]:
    return [client.done("/affiliate/list", {"limit": limit, "page": str(page)}) for page in (1, 2, 3, 4)]


def test_list_pages_through_all_affiliates_once(reader: Client) -> None:
    answers = pages(reader)
    codes = [row["id"] for answer in answers for row in answer["results"]]
    assert [len(answer["results"]) for answer in answers] == [15, 15, 10, 0]
    assert [answer["total"] for answer in answers] == [40] * 4
    assert len(set(codes)) == 40
    assert set(codes) == {affiliate.code for affiliate in reader.sandbox.account.affiliates.values()}


def test_list_takes_numbers_and_texts_and_cuts_at_one_hundred(reader: Client) -> None:
    assert reader.done("/affiliate/list", {"limit": 2, "page": 2}) == reader.done(
        "/affiliate/list", {"limit": "2", "page": "2"}
    )
    assert len(reader.done("/affiliate/list", {"limit": "1000"})["results"]) == 40
    assert len(reader.done("/affiliate/list", {})["results"]) == 3
    assert set(reader.done("/affiliate/list", {})["results"][0]) == {
        "id",
        "offer_id",
        "status",
        "first_name",
        "last_name",
        "email",
        "custom_fields",
    }


def test_list_answers_in_the_other_shapes_that_were_seen(client: Client) -> None:
    client.sandbox.configure(list_ids="number", list_total="string", list_page_key=True)
    first, *_, past = pages(client)
    assert first["total"] == "40"
    assert first["page"] == "1/3"
    assert {row["id"] for row in first["results"]} < set(client.sandbox.account.affiliates)
    assert past["results"] == []
    client.sandbox.configure(list_past_end="repeat")
    *_, last, past = pages(client)
    assert past == last
    assert past["page"] == "3/3"
    client.sandbox.configure(list_past_end="422")
    assert errors(client.rest("/affiliate/list", {"limit": "15", "page": "4"})) == ["The page does not exist."]


def test_get_by_number_and_by_code_is_the_same(reader: Client) -> None:
    by_code = reader.done("/affiliate/get", {"affiliate_code": "0042"})
    assert by_code == reader.done("/affiliate/get", {"id": by_code["id"]})
    assert by_code == reader.done("/affiliate/get", {"id": str(by_code["id"])})
    assert isinstance(by_code["id"], int)
    assert by_code["link"].endswith("/c/0042")
    assert by_code["custom_fields"][0]["label"] == "What is your web site?"
    assert errors(reader.rest("/affiliate/get", {"id": 1})) == ["Affiliate not found."]
    assert errors(reader.rest("/affiliate/get", {"affiliate_code": "nobody"})) == ["Affiliate not found."]


def test_search_by_exact_id_and_by_part_of_the_address(reader: Client) -> None:
    number = reader.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    for keyword in ("0042", str(number), number):
        found = reader.done("/affiliate/search", {"keyword": keyword})
        assert [row["id"] for row in found["results"]] == ["0042"]
    assert reader.done("/affiliate/search", {"keyword": "@EXAMPLE."})["total"] == 40
    named = reader.done("/affiliate/search", {"keyword": "example", "first_name": "barbara", "last_name": "ver"})
    assert {row["last_name"] for row in named["results"]} == {"Verde"}
    missed = reader.rest("/affiliate/search", {"keyword": str(number)[:-1]})
    assert errors(missed) == ["Could not find affiliates with this keyword."]


def test_new_makes_an_affiliate(client: Client) -> None:
    made = client.done(
        "/affiliate/new", {**BILL, "country": "US", "conversion_trigger_coupon": "bill10", "offer": "52318"}
    )
    got = client.done("/affiliate/get", {"affiliate_code": made["id"]})
    assert made["message"] == f"The affiliate {got['id']} has been created with the status of ACTIVE."
    assert made["link"] == got["link"]
    assert (got["first_name"], got["status"], got["offer_id"]) == ("Bill", "ACTIVE", "52318")
    assert client.done("/affiliate/list", {"limit": "1"})["total"] == 41
    taken = client.rest("/affiliate/new", {**BILL, "email": "other@example.com", "conversion_trigger_coupon": "BILL10"})
    assert errors(taken) == ["The conversion trigger already exists."]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "Sh0rt!"}, "9 to 72 characters"),
        ({"password": "Aa1!" * 18 + "x"}, "9 to 72 characters"),
        ({"password": "secure!pass1"}, "upper case"),
        ({"password": "SECURE!PASS1"}, "lower case"),
        ({"password": "Secure!Pass"}, "digit"),
        ({"password": "SecurePass1"}, "special character"),
        ({"password": "Secure!Passs1111"}, "repeat"),
        ({"password": "Bill.Smith1@example.com", "email": "bill.smith1@example.com"}, "not be the email"),
        ({"email": "no address"}, "email is not valid"),
        ({"email": "AFFILIATE1@example.net"}, "already exists"),
        ({"offer": "1"}, "Offer not found"),
        ({"country": "USA"}, "country"),
        ({"unique_merchant_id": "a-b"}, "alphanumeric"),
    ],
)
def test_new_refuses_what_breaks_a_rule(client: Client, change: dict[str, str], words: str) -> None:
    if "AFFILIATE1@" in change.get("email", ""):
        change = {"email": client.done("/affiliate/list", {"limit": "1"})["results"][0]["email"].upper()}
    texts = errors(client.rest("/affiliate/new", {**BILL, **change}))
    assert len(texts) == 1
    assert words in texts[0]
    assert client.done("/affiliate/list", {"limit": "1"})["total"] == 40


def test_a_password_may_repeat_a_character_three_times(client: Client) -> None:
    assert client.rest("/affiliate/new", {**BILL, "password": "Secure!Pass111"}).status_code == 200


def test_edit_changes_what_it_can_and_names_the_rest(client: Client) -> None:
    first, second, third = (row["email"] for row in client.done("/affiliate/list", {"limit": "3"})["results"])
    ids = [client.done("/affiliate/search", {"keyword": mail}) for mail in (first, second, third)]
    numbers = [client.sandbox.account.affiliate_by_code(found["results"][0]["id"]) for found in ids]
    one, two, three = (affiliate.id for affiliate in numbers if affiliate is not None)
    answer = client.done(
        "/affiliate/edit",
        {
            "affiliates": [
                {"id": one, "company": "Acme", "offer": 52335, "custom_fields": [{"901": "https://new.example.com"}]},
                {"id": str(two), "email": first},
                {"id": three},
                {"id": 5, "company": "Nobody's"},
            ]
        },
    )
    assert answer == {"ids_changed": [one], "ids_not_changed": [two, three, 5]}
    got = client.done("/affiliate/get", {"id": one})
    assert (got["company_name"], got["offer_id"]) == ("Acme", "52335")
    assert got["custom_fields"][0] == {"label": "What is your web site?", "value": "https://new.example.com"}
    assert client.done("/affiliate/get", {"id": two})["email"] == second


def test_status_change_of_affiliates(client: Client) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    answer = client.done("/affiliate/status_change", {"ids": [number, str(number + 1)], "status": "DISABLED"})
    assert answer == {"ids_changed": [number], "ids_not_changed": [number + 1]}
    assert client.done("/affiliate/get", {"id": number})["status"] == "DISABLED"
    again = client.done("/affiliate/status_change", {"ids": [number], "status": "DISABLED"})
    assert again == {"ids_changed": [], "ids_not_changed": [number]}


def test_triggers_are_made_in_capitals_and_deleted(client: Client) -> None:
    number = client.done("/affiliate/get", {"affiliate_code": "0042"})["id"]
    made = client.done("/affiliate/trigger", {"affiliate_code": "0042", "type": "COUPON", "trigger": "code100"})
    assert made["trigger"] == "CODE100"
    assert isinstance(made["trigger_id"], int)
    twice = client.rest("/affiliate/trigger", {"affiliate_code": "0042", "type": "COUPON", "trigger": "Code100"})
    assert errors(twice) == ["The conversion trigger already exists."]
    nobody = client.rest("/affiliate/trigger", {"affiliate_code": "none", "type": "COUPON", "trigger": "x"})
    assert errors(nobody) == ["Affiliate not found."]
    gone = {
        "affiliates": [{"id": number, "trigger": "code100", "type": "COUPON"}, {"id": 1, "trigger": "x", "type": "SKU"}]
    }
    assert client.done("/trigger/delete", gone) == [made["trigger_id"]]
    assert client.done("/trigger/delete", gone) == []


def test_sku_commissions_are_added_once(client: Client) -> None:
    def sku(name: str) -> dict[str, str]:
        return {"sku": name, "commission_type": "PERCENT_OF_SALE", "commission_amount": "10"}

    first = client.done("/offer/new_sku_commission", {"offer_id": "52301", "skus": [sku("A")]})
    assert first == {"duplicate_not_added": [], "added": ["A"]}
    second = client.done("/offer/new_sku_commission", {"offer_id": 52301, "skus": [sku("A"), sku("B"), sku("B")]})
    assert second == {"duplicate_not_added": ["A", "B"], "added": ["B"]}
    assert errors(client.rest("/offer/new_sku_commission", {"offer_id": "1", "skus": [sku("A")]})) == [
        "Offer ID does not exist (error 1)."
    ]
