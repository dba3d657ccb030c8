"""Errors for refused requests: Refersion's own message, and the matching advice."""

import json
from typing import Any

import pytest

from refersion_dagster.refersion.api.responses import ApiResponse, check_status
from refersion_dagster.refersion.errors import RequestRefused

ADDRESS = "REFERSION_REST_URL and REFERSION_GRAPHQL_URL"


@pytest.mark.parametrize(
    ("status", "body", "said", "advice"),
    [
        (404, {"error": "Bad request, no body"}, "Bad request, no body", None),
        (404, {"error": ["Offer does not exists on the database."]}, "Offer does not exists on the database.", None),
        (404, {"error": "Not Found"}, "Not Found", f"Check {ADDRESS}."),
        (404, None, None, f"Check {ADDRESS}."),
        (403, {"message": "Forbidden"}, "Forbidden", f"Check {ADDRESS}, and whether a proxy"),
        (422, {"errors": ["Affiliate not found."]}, "Affiliate not found.", None),
    ],
)
def test_refersions_own_words_are_told_and_advice_is_given_where_it_fits(
    status: int, body: Any, said: str | None, advice: str | None
) -> None:
    content = b"" if body is None else json.dumps(body).encode()
    with pytest.raises(RequestRefused) as caught:
        check_status(ApiResponse(status, {}, content), "Check the keys.")
    assert caught.value.said == said
    assert (caught.value.advice is None) == (advice is None)
    assert (advice or "") in (caught.value.advice or "")
