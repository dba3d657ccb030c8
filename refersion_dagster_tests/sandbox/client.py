"""A plain client as a user might write it: requests, two credentials, no retries."""

from typing import Any

import requests

from refersion_dagster.sandbox import SandboxServer


class Client:
    """A client of a sandbox over HTTP."""

    def __init__(self, sandbox: SandboxServer) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.keys = {"Refersion-Public-Key": sandbox.public_key, "Refersion-Secret-Key": sandbox.secret_key}
        self.token = {"X-Refersion-Key": sandbox.graphql_token}

    def close(self) -> None:
        self.session.close()

    def rest(self, path: str, body: Any = None, **options: Any) -> requests.Response:
        """The response of a REST v2 operation, whatever its status."""
        if body is not None:
            options["json"] = body
        options.setdefault("headers", {**self.keys, "Content-Type": "application/json"})
        return self.session.post(self.sandbox.rest_url + path, timeout=20, **options)

    def done(self, path: str, body: Any) -> Any:
        """The result of a successful REST v2 operation."""
        answer = self.rest(path, body)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        return answer.json()

    def graphql(self, query: str, variables: dict[str, Any] | None = None) -> requests.Response:
        body = {"query": query, "variables": variables or {}}
        return self.session.post(self.sandbox.graphql_url, json=body, headers=self.token, timeout=20)

    def data(self, query: str, variables: dict[str, Any] | None = None) -> Any:
        """The data of a successful query."""
        answer = self.graphql(query, variables)
        assert answer.status_code == 200, (answer.status_code, answer.text)
        assert "errors" not in answer.json(), answer.text
        return answer.json()["data"]

    def control(self, method: str, path: str, body: Any = None) -> requests.Response:
        return self.session.request(method, f"{self.sandbox.url}/_sandbox{path}", json=body, timeout=20)

    def every_conversion(self, fields: str, arguments: str = "") -> list[dict[str, Any]]:
        """All conversions, in pages of 200."""
        rows: list[dict[str, Any]] = []
        while True:
            page = self.data(f"{{conversions(first: 200, offset: {len(rows)} {arguments}) {{{fields}}}}}")[
                "conversions"
            ]
            rows += page
            if len(page) < 200:
                return rows
