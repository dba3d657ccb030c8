"""The two credentials of a Refersion account, and the request headers that carry them.

REST uses a key pair in two headers, GraphQL one token in another (documented). Keys are kept in objects that do not
show them, and never appear in URLs or messages.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from refersion_dagster.refersion.errors import InvalidCredentials, MissingCredentials
from refersion_dagster.settings import describe_templates, is_template

WHERE_KEYS = "Find them in Refersion under Account > Settings > Refersion API."
WHERE_TOKEN = "Find it in Refersion under Account > Settings > Refersion API > GraphQL."  # noqa: S105
# A shorter value could be an ordinary word in the data.
SHORTEST_KEY = 10
CHECK_KEYS = f"Check REFERSION_PUBLIC_KEY and REFERSION_SECRET_KEY. {WHERE_KEYS}"
CHECK_TOKEN = f"Check REFERSION_GRAPHQL_TOKEN. {WHERE_TOKEN}"


@dataclass(frozen=True)
class Credentials:
    """The credentials of one account: a REST key pair, a GraphQL token, or both. Reprs show neither.

    Args:
        public_key: the REST public key (`pub_…`).
        secret_key: the REST secret key (`sec_…`). A pair stored as `public.secret`, as some tools do, is split.
        graphql_token: the GraphQL token.
    """

    public_key: str | None = field(default=None, repr=False)
    secret_key: str | None = field(default=None, repr=False)
    graphql_token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name in ("public_key", "secret_key", "graphql_token"):
            object.__setattr__(self, name, (getattr(self, name) or "").strip() or None)
        pair = self.secret_key or self.public_key
        if pair and "." in pair and (pair.startswith("pub_") or not (self.secret_key and self.public_key)):
            public, _, secret = pair.partition(".")
            object.__setattr__(self, "public_key", public)
            object.__setattr__(self, "secret_key", secret)

    @property
    def has_rest(self) -> bool:
        return bool(self.public_key and self.secret_key)

    @property
    def has_half_a_pair(self) -> bool:
        """Whether only one half of the REST key pair is set, which is a mistake."""
        return bool(self.public_key) != bool(self.secret_key)

    @property
    def has_graphql(self) -> bool:
        return bool(self.graphql_token)

    def redact(self, content: bytes) -> bytes:
        """The content with every key of this account replaced, for servers that echo what they received."""
        for secret in (self.secret_key, self.graphql_token, self.public_key):
            if secret and len(secret) >= SHORTEST_KEY:
                content = content.replace(secret.encode(), b"[key]")
        return content

    def check(self) -> None:
        """Raises InvalidCredentials if a key is set but malformed."""
        if self.has_rest:
            self.rest()
        if self.has_graphql:
            self.graphql()

    def rest(self) -> SecretHeaders:
        """Headers of REST requests. Raises MissingCredentials if either half of the pair is missing."""
        if not self.public_key or not self.secret_key:
            lacking = [
                name
                for name, value in (
                    ("REFERSION_PUBLIC_KEY", self.public_key),
                    ("REFERSION_SECRET_KEY", self.secret_key),
                )
                if not value
            ]
            raise MissingCredentials(
                f"Refersion's REST API requires a key pair, but {' and '.join(lacking)} "
                f"{'is' if len(lacking) == 1 else 'are'} not set.",
                variables=tuple(lacking),
                advice=f"Set {' and '.join(lacking)} (plain dlt: public_key and api_key under "
                f"[sources.refersion_source] in .dlt/secrets.toml). {WHERE_KEYS}",
            )
        _check({"REFERSION_PUBLIC_KEY": self.public_key, "REFERSION_SECRET_KEY": self.secret_key}, WHERE_KEYS)
        return SecretHeaders({"Refersion-Public-Key": self.public_key, "Refersion-Secret-Key": self.secret_key})

    def graphql(self) -> SecretHeaders:
        """Headers of GraphQL requests. Raises MissingCredentials if there is no token."""
        if not self.graphql_token:
            raise MissingCredentials(
                "Refersion's GraphQL API, the only source of individual conversions, payments and offers, "
                "requires a token, but REFERSION_GRAPHQL_TOKEN is not set.",
                variables=("REFERSION_GRAPHQL_TOKEN",),
                advice="Set REFERSION_GRAPHQL_TOKEN (plain dlt: graphql_token under [sources.refersion_source] in "
                f".dlt/secrets.toml). {WHERE_TOKEN}",
            )
        _check({"REFERSION_GRAPHQL_TOKEN": self.graphql_token}, WHERE_TOKEN)
        return SecretHeaders({"X-Refersion-Key": self.graphql_token})


def _check(keys: dict[str, str], where: str) -> None:
    """Raises InvalidCredentials for a malformed key, such as one copied together with invisible characters."""
    if templates := [name for name, key in keys.items() if is_template(key)]:
        raise InvalidCredentials(describe_templates(templates), advice=where)
    for name, key in keys.items():
        if not (key.isascii() and key.isprintable() and " " not in key):
            raise InvalidCredentials(
                f"{name} contains a character that no key contains (a space, a line break or a non-ASCII letter).",
                advice=f"Copy it again. {where}",
            )


class SecretHeaders(dict[str, str]):
    """Request headers whose repr hides the values."""

    def __repr__(self) -> str:
        return f"<{', '.join(self)}>"

    __str__ = __repr__
