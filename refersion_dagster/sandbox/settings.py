"""How a sandbox starts (`SandboxSettings`) and how its server behaves (`Switches`, changeable while it runs)."""

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints


class Keys(NamedTuple):
    """The credentials of a sandbox. They are valid nowhere else."""

    public_key: str
    secret_key: str
    graphql_token: str


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """Size, time and keys of a sandbox. Two sandboxes with equal settings hold equal data.

    Settings that change the data also change the account: other ids, and other keys unless keys are given.

    `orders` counts the orders that customers place in the `days` days before `now`; renewals, cancellations,
    duplicates, manual credits and bursts are extra. `now` is where the sandbox's clock starts; it stands still until it
    is advanced. `base_currency` is the account's own currency (None: the first of `currencies`). `event_log` keeps
    every state that a row has had, so that the account can report its state at any point in time (about 300 bytes per
    event; `Account.truth`).
    """

    seed: int = 7
    affiliates: int = 60
    orders: int = 3_000
    days: int = 730
    now: datetime = datetime(2026, 7, 1, tzinfo=UTC)
    currencies: tuple[str, ...] = ("USD", "EUR", "GBP")
    base_currency: str | None = None
    clicks_per_order: int = 2
    minimum_payout: Decimal = Decimal("25.00")
    auto_approval_days: int = 90
    event_log: bool = False
    public_key: str | None = None
    secret_key: str | None = None
    graphql_token: str | None = None

    def __post_init__(self) -> None:
        if self.now.tzinfo is None:
            raise ValueError("SandboxSettings.now needs a time zone, e.g. datetime(2026, 7, 1, tzinfo=UTC)")
        for name in ("affiliates", "orders", "clicks_per_order"):
            if getattr(self, name) < 0:
                raise ValueError(f"SandboxSettings.{name} must not be negative")
        if self.days < 1:
            raise ValueError("SandboxSettings.days must be at least 1")
        if not self.currencies:
            raise ValueError("SandboxSettings.currencies needs at least one currency")

    @property
    def keys(self) -> Keys:
        """The given keys, and generated ones for those that are not given."""
        return Keys(
            self.public_key or f"pub_{self.number_for('public key'):020x}",
            self.secret_key or f"sec_{self.number_for('secret key'):020x}",
            self.graphql_token or f"gql_{self.number_for('token'):020x}",
        )

    def number_for(self, purpose: str) -> int:
        """An 80-bit number for this purpose, different for every account with different data."""
        told = (
            *(self.seed, self.affiliates, self.orders, self.days, self.currencies, self.base, self.clicks_per_order),
            *(self.minimum_payout, self.auto_approval_days),
            # The date only: later on the last day of the history it is still the same account, with more data.
            self.now.astimezone(UTC).date(),
        )
        return int.from_bytes(hashlib.sha256(f"{told} {purpose}".encode()).digest()[:10])

    @property
    def base(self) -> str:
        """The account's base currency, used by /conversion/totals and the shop."""
        return self.base_currency or self.currencies[0]


@dataclass(frozen=True, slots=True)
class TypeSwitches:
    """The types in which GraphQL sends its values, also declared in the schema. Defaults are the documented types."""

    ids: Literal["number", "string"] = "number"
    money: Literal["string", "number", "separators"] = "string"
    times: Literal["unix_string", "unix_number", "iso"] = "unix_string"
    booleans: Literal["boolean", "upper", "number"] = "boolean"


@dataclass(frozen=True, slots=True)
class Churn:
    """Rows that are inserted or deleted while a client pages.

    Before every `every`-th conversions request, one row is inserted into the requested window as its newest, or the
    newest row of the window is deleted; at most `limit` times (None: no limit).
    """

    kind: Literal["insert", "delete"] = "insert"
    every: int = 1
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class ShopActivity:
    """Activity in the shop while a client reads.

    Before every `every`-th request of `route`, `seconds` pass and an order arrives, the newest pending order is
    approved, or the newest due order is paid; at most `limit` times (None: no limit).
    """

    what: Literal["order", "approval", "payment"] = "approval"
    route: str = "rest:/conversion/totals"
    every: int = 1
    limit: int | None = None
    seconds: int = 1


@dataclass(frozen=True, slots=True)
class Switches:
    """What is unknown about Refersion, or may change, and how this sandbox behaves in each case.

    REST
    - list_ids: /affiliate/list and /search send the code (documented) or the number (observed) as `id`.
    - list_total: `total` as a number (documented) or a string (inferred).
    - list_page_key: add `"page": "1/12"` (observed).
    - list_past_end: a page past the end is empty, repeats the last page, or is a 422 (unknown).
    - list_default_limit: rows sent if no limit is given (the published description says 3).
    - totals_shape: sample (like the published sample: thousands separators and a stray comma), numbers, strings,
      separators, stray_comma.
    - totals_currencies: rows of other currencies are left_out, counted at face value, or converted (unknown).
    - totals_test_conversions: test conversions are left_out or counted if the filter is not given (unknown).
    - totals_currency_field: the undeclared field `currency` of /conversion/totals is refused (204 Invalid field),
      ignored, or works: the sums then cover that currency only (unknown).
    - refuse_library_user_agents: the edge answers 403 to default library user agents (observed).
    - refuse_unknown_fields: a field that an operation does not have is an invalid field, 204 (unknown).
    - plan_excludes: REST paths that answer 422 with the text for operations outside the plan.
    - cancel_sku_by_sku: whether another SKU of an order can be cancelled later (documented), or one cancellation is
      final.
    - reprocess_seconds: sandbox time until the row of /conversion/manual_credit_order_id appears.

    GraphQL
    - remove_fields: e.g. "Conversion.status", "Query.clicks". remove_arguments: e.g. "conversions.status".
    - add_fields: e.g. {"Conversion.loyalty_tier": "String"}; String, Int, Float, Boolean and lists of them.
    - clicks: where clicks are offered: none, as a root field, under affiliates, under offers, or everywhere (all three
      are used by working clients).
    - introspection: open (documented), or refused with an error in a 200, 400 or 403.
    - bad_token_status, validation_error_status: HTTP status codes that are not documented.
    - total_results: exact, null or absent. total_results_offset is added to it; total_results_ignore_filters counts all
      rows regardless of the filters of the list in the same query.
    - created_from_inclusive, created_to_inclusive: unknown. page_cap: maximum rows per page (200 documented).
    - order: of conversions and payments. unstable_ties shuffles rows of the same second in each request.
    - ignore_filters: arguments that are accepted and have no effect, e.g. "conversions.status".

    Both
    - meanwhile: activity in the shop while requests of one route arrive, see Meanwhile.

    Webhooks
    - webhook_order: events are sent in order, or shuffled among their neighbours (unknown).
    - webhook_duplicates: one of every this many events is sent twice (0: none; unknown).
    - webhook_retries: how often a rejected event is sent again, after 0.2 s, 0.4 s, … (unknown).
    """

    list_ids: Literal["code", "number"] = "code"
    list_total: Literal["number", "string"] = "number"
    list_page_key: bool = False
    list_past_end: Literal["empty", "repeat", "422"] = "empty"
    list_default_limit: int = 3
    totals_shape: Literal["sample", "numbers", "strings", "separators", "stray_comma"] = "sample"
    totals_currencies: Literal["left_out", "counted", "converted"] = "left_out"
    totals_test_conversions: Literal["left_out", "counted"] = "left_out"
    totals_currency_field: Literal["refused", "ignored", "works"] = "refused"
    refuse_library_user_agents: bool = False
    refuse_unknown_fields: bool = False
    plan_excludes: tuple[str, ...] = ()
    reprocess_seconds: int = 120
    cancel_sku_by_sku: bool = True
    remove_fields: tuple[str, ...] = ()
    remove_arguments: tuple[str, ...] = ()
    add_fields: Mapping[str, str] = field(default_factory=dict)
    clicks: Literal["none", "root", "affiliates", "offers", "everywhere"] = "everywhere"
    introspection: Literal["open", "refused", "refused_400", "refused_403"] = "open"
    bad_token_status: int = 401
    validation_error_status: int = 200
    total_results: Literal["exact", "null", "absent"] = "exact"
    total_results_offset: int = 0
    total_results_ignore_filters: bool = False
    created_from_inclusive: bool = True
    created_to_inclusive: bool = True
    page_cap: int = 200
    order: Literal["newest_first", "oldest_first", "unstable_ties"] = "newest_first"
    ignore_filters: tuple[str, ...] = ()
    types: TypeSwitches = TypeSwitches()
    churn: Churn | None = None
    meanwhile: ShopActivity | None = None
    webhook_order: Literal["in_order", "shuffled"] = "in_order"
    webhook_duplicates: int = 0
    webhook_retries: int = 3


_Nested = type[TypeSwitches] | type[Churn] | type[ShopActivity]
_NESTED: dict[str, _Nested] = {"types": TypeSwitches, "churn": Churn, "meanwhile": ShopActivity}


def apply_values(switches: Switches, values: Mapping[str, Any]) -> Switches:
    """A copy of `switches` with `values` (plain JSON) applied.

    Raises ValueError naming a switch or value that does not exist.
    """
    return replace(switches, **_validate(Switches, values))


def as_json(switches: Switches) -> dict[str, Any]:
    return asdict(switches)


def _validate(kind: type[Switches] | _Nested, values: Mapping[str, Any]) -> dict[str, Any]:
    hints = get_type_hints(kind)
    known = {item.name for item in fields(kind)}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"there is no switch {name!r}; known are {', '.join(sorted(known))}")
        if name in _NESTED and isinstance(value, Mapping):
            value = _NESTED[name](**_validate(_NESTED[name], value))
        elif isinstance(value, list):
            value = tuple(value)
        if not _fits(value, hints[name]):
            raise ValueError(f"{value!r} is not a value of the switch {name!r} ({_describe_type(hints[name])})")
        checked[name] = value
    return checked


def _fits(value: object, hint: Any) -> bool:
    origin = get_origin(hint)
    if origin is Literal:
        return value in get_args(hint)
    if origin is tuple:
        return isinstance(value, tuple) and all(isinstance(item, str) for item in value)
    if origin is Mapping or (isinstance(origin, type) and issubclass(origin, Mapping)):
        return isinstance(value, Mapping)
    if origin is not None:
        return any(_fits(value, option) for option in get_args(hint))
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, hint)


def _describe_type(hint: Any) -> str:
    return "one of " + ", ".join(map(repr, get_args(hint))) if get_origin(hint) is Literal else str(hint)
