"""Credentials: which are needed for what, the pair in one string, and the message if one is missing."""

import pytest

from refersion_dagster.refersion.api.auth import Credentials
from refersion_dagster.refersion.errors import InvalidCredentials, MissingCredentials

PAIR = {"Refersion-Public-Key": "pub_1", "Refersion-Secret-Key": "sec_2"}


@pytest.mark.parametrize(
    ("public", "secret"),
    [
        ("pub_1", "sec_2"),
        (None, "pub_1.sec_2"),
        ("", "pub_1.sec_2"),
        ("pub_1.sec_2", None),
        ("pub_1", "pub_1.sec_2"),
        (" pub_1\n", "\tsec_2 "),
        (None, " pub_1.sec_2\n"),
    ],
)
def test_a_key_pair_in_two_strings_or_in_one(public: str | None, secret: str | None) -> None:
    assert dict(Credentials(public, secret).rest()) == PAIR


def test_a_point_in_a_secret_key_beside_a_public_key_belongs_to_it() -> None:
    assert Credentials("pub_1", "sec.2").rest()["Refersion-Secret-Key"] == "sec.2"


def test_a_token_goes_into_its_header() -> None:
    assert dict(Credentials(graphql_token=" gql_3 ").graphql()) == {"X-Refersion-Key": "gql_3"}


@pytest.mark.parametrize(
    ("public", "secret", "lacking"),
    [
        (None, None, "but REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are not set"),
        ("pub_1", None, "but REFERSION_SECRET_KEY is not set"),
        (None, "sec_2", "but REFERSION_PUBLIC_KEY is not set"),
        ("  ", "", "but REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY are not set"),
    ],
)
def test_half_a_pair_says_which_half_and_where_to_find_it(public: str | None, secret: str | None, lacking: str) -> None:
    with pytest.raises(MissingCredentials) as caught:
        Credentials(public, secret, "gql_3").rest()
    message = str(caught.value)
    assert lacking in message
    assert "Account > Settings > Refersion API" in message
    assert "sec_2" not in message
    assert not Credentials(public, secret).has_rest


def test_no_token_says_what_needs_it_and_where_to_find_it() -> None:
    with pytest.raises(MissingCredentials, match=r"conversions, payments and offers.*Refersion API > GraphQL"):
        Credentials("pub_1", "sec_2").graphql()


@pytest.mark.parametrize("spoilt", ["a b", "a\nb", "a\u200bb", "a–", "a\x00"])
def test_a_key_with_a_letter_that_none_has_is_refused_without_being_shown(spoilt: str) -> None:
    with pytest.raises(InvalidCredentials, match="REFERSION_SECRET_KEY contains a character") as secret:
        Credentials("pub_1", spoilt).rest()
    with pytest.raises(InvalidCredentials, match="REFERSION_GRAPHQL_TOKEN contains a character") as token:
        Credentials(graphql_token=spoilt).graphql()
    assert spoilt not in str(secret.value) + str(token.value)


def test_keys_are_taken_out_of_what_servers_repeat() -> None:
    credentials = Credentials("pub_0123456789", "sec_0123456789", "gql_0123456789")
    said = b"pub_0123456789.sec_0123456789 and gql_0123456789"
    assert credentials.redact(said) == b"[key].[key] and [key]"
    assert Credentials().redact(said) == said


def test_a_key_as_short_as_a_word_leaves_rows_alone() -> None:
    assert Credentials("data", "USD", "id").redact(b'{"data":"USD"}') == b'{"data":"USD"}'
    nine, ten = "sec_56789", "sec_567890"
    assert Credentials(secret_key=nine).redact(nine.encode()) == nine.encode()
    assert Credentials(secret_key=ten).redact(ten.encode()) == b"[key]"
