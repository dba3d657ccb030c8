"""One Refersion account during one read: its clients, its clock, and data that several tables share."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from refersion_dagster.refersion.api import graphql as graphql_api
from refersion_dagster.refersion.api import rest as rest_api
from refersion_dagster.refersion.api.auth import CHECK_KEYS, CHECK_TOKEN, Credentials, SecretHeaders
from refersion_dagster.refersion.api.graphql import GraphQLClient
from refersion_dagster.refersion.api.rest import RestClient
from refersion_dagster.refersion.api.transport import READ_SECONDS, Transport
from refersion_dagster.refersion.tables.catalog import Entity
from refersion_dagster.refersion.windows import whole_second


@dataclass
class RefersionClient:
    """One Refersion account during one read. The clients and the affiliate list are created on first use."""

    credentials: Credentials
    rest_url: str = rest_api.URL
    graphql_url: str = graphql_api.URL
    concurrency: int = 8
    retry_seconds: float = 300
    answer_seconds: float = READ_SECONDS
    _transports: list[Transport] = field(default_factory=list, init=False)

    def _transport(self, headers: SecretHeaders, key_advice: str) -> Transport:
        transport = Transport(
            headers,
            key_advice=key_advice,
            redact=self.credentials.redact,
            concurrency=self.concurrency,
            retry_seconds=self.retry_seconds,
            answer_seconds=self.answer_seconds,
        )
        self._transports.append(transport)
        return transport

    @cached_property
    def rest(self) -> RestClient:
        """The REST client. Raises MissingCredentials without a key pair."""
        return RestClient(self._transport(self.credentials.rest(), CHECK_KEYS), self.rest_url)

    @cached_property
    def graphql(self) -> GraphQLClient:
        """The GraphQL client. Raises MissingCredentials without a token."""
        return GraphQLClient(self._transport(self.credentials.graphql(), CHECK_TOKEN), self.graphql_url)

    @cached_property
    def affiliate_list(self) -> list[dict[str, Any]]:
        """The affiliate list, read once for all tables that need it."""
        return self.rest.affiliate_list()

    @cached_property
    def now(self) -> datetime:
        """The server's time at its first response, otherwise the local time; UTC, whole seconds."""
        told = [transport.server_time for transport in self._transports if transport.server_time]
        return whole_second(min(told, default=datetime.now(UTC)))

    def requests_for(self, entity: Entity) -> int:
        """Requests sent so far for one table, including retries."""
        operation = f"graphql {entity.name}" if entity.is_graphql else f"/{entity.name.replace('_', '/')}"
        return sum(transport.requests_for(operation) for transport in self._transports)

    def close(self) -> None:
        """Closes idle connections. The next request opens new ones."""
        for transport in self._transports:
            transport.close()
