"""The GraphQL schema, adapted to the switches."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLField,
    GraphQLFloat,
    GraphQLInt,
    GraphQLList,
    GraphQLObjectType,
    GraphQLOutputType,
    GraphQLResolveInfo,
    GraphQLScalarType,
    GraphQLSchema,
    GraphQLString,
    validate_schema,
)

from refersion_dagster.sandbox.settings import Switches

ID, MONEY, TIME, FLAG = "id", "money", "time", "flag"
TEXT, NUMBER, TRIPLES = "text", "number", "triples"

TYPES: dict[str, dict[str, str]] = {
    "Conversion": {
        "id": ID,
        "created": TIME,
        "updated": TIME,
        "status": TEXT,
        "payment_status": TEXT,
        "payment_id": ID,
        "payment": "Payment",
        "type": TEXT,
        "order_id": TEXT,
        "subscription_id": TEXT,
        "coupon_code": TEXT,
        "total": MONEY,
        "commission_total": MONEY,
        "currency": TEXT,
        "total_items": TEXT,
        "is_test_conversion": FLAG,
        "is_recurring": FLAG,
        "denied_reason_code": TEXT,
        "reason": TEXT,
        "notes": TEXT,
        "source": TEXT,
        "affiliate_id": ID,
        "affiliate": "Affiliate",
        "offer": "Offer",
        "customer": "Customer",
        "click": "Click",
        "shop": "Shop",
    },
    "Payment": {
        "id": ID,
        "created": TIME,
        "commission_total": MONEY,
        "total": MONEY,
        "currency": TEXT,
        "total_conversions": NUMBER,
        "payment_method": TEXT,
        "note": TEXT,
        "affiliate_id": ID,
        "affiliate": "Affiliate",
        "shop": "Shop",
    },
    "Affiliate": {
        "id": ID,
        "status": TEXT,
        "name": TEXT,
        "first_name": TEXT,
        "last_name": TEXT,
        "email": TEXT,
        "paypal_email": TEXT,
        "company": TEXT,
        "country": TEXT,
        "rfsn_parameter": TEXT,
        "custom_fields": TRIPLES,
        "offer": "Offer",
        "conversions": "[Conversion]",
        "clicks": "[Click]",
    },
    "Offer": {
        "id": ID,
        "name": TEXT,
        "type": TEXT,
        "commission": TEXT,
        "amount": TEXT,
        "flat_rate_currency": TEXT,
        "cookie_days": NUMBER,
        "commission_terms": TEXT,
        "clicks": "[Click]",
    },
    "Click": {
        "id": ID,
        "created": TIME,
        "affiliate_id": ID,
        "offer_id": ID,
        "referer": TEXT,
        "landed_url": TEXT,
        "ip": TEXT,
        "sub_id": TEXT,
        "creative_id": ID,
    },
    "Creative": {"id": ID, "name": TEXT, "type": TEXT, "url": TEXT},
    "Customer": {"name": TEXT, "email": TEXT, "browser_ip": TEXT},
    "Shop": {"name": TEXT, "url": TEXT, "shop_identifier": TEXT, "currency": TEXT},
    "TotalResults": {"conversions": NUMBER, "payments": NUMBER, "affiliates": NUMBER, "offers": NUMBER},
    "PageInfo": {"total_results": "TotalResults"},
    "Query": {
        "conversions": "[Conversion]",
        "payments": "[Payment]",
        "affiliates": "[Affiliate]",
        "offers": "[Offer]",
        "clicks": "[Click]",
        "creatives": "[Creative]",
        "pageInfo": "PageInfo",
    },
}

# graphql-core's annotations lose the specific type of a named type in its constructor.
STRING, INT, FLOAT, BOOLEAN = (
    cast(GraphQLScalarType, scalar) for scalar in (GraphQLString, GraphQLInt, GraphQLFloat, GraphQLBoolean)
)

_PAGE = {"first": INT, "offset": INT}
_CREATED = {"created_from": INT, "created_to": INT}
_CONVERSIONS = {**_CREATED, **_PAGE, "status": STRING, "payment_status": STRING}

ARGUMENTS: Mapping[tuple[str, str], Mapping[str, GraphQLScalarType]] = {
    ("Query", "conversions"): _CONVERSIONS,
    ("Affiliate", "conversions"): _CONVERSIONS,
    ("Query", "payments"): {**_CREATED, **_PAGE},
    ("Query", "affiliates"): {"limit": INT, "email": STRING, "id": INT, **_PAGE},
    ("Query", "offers"): _PAGE,
    ("Query", "clicks"): {**_CREATED, **_PAGE},
    ("Affiliate", "clicks"): {**_CREATED, **_PAGE},
    ("Offer", "clicks"): {**_CREATED, **_PAGE},
    ("Query", "creatives"): _PAGE,
}

# Where the schema offers clicks, by value of the switch `clicks`.
CLICKS_IN = {("Query", "clicks"): "root", ("Affiliate", "clicks"): "affiliates", ("Offer", "clicks"): "offers"}

SCALARS = {"String": STRING, "Int": INT, "Float": FLOAT, "Boolean": BOOLEAN}
_ADDED_VALUES: dict[str, Any] = {"String": "gold", "Int": 42, "Float": 1.5, "Boolean": True}

Resolver = Callable[..., Any]


def build_schema(switches: Switches, resolvers: dict[tuple[str, str], Resolver]) -> GraphQLSchema:
    """Build the schema with fields removed and added, and with the value types that `switches` set.

    Raises ValueError if an added field has a type that the sandbox cannot generate values for, if a removed field does
    not exist, or if a type would have no fields left.
    """
    removed = {(owner, name) for owner, _, name in (path.partition(".") for path in switches.remove_fields)}
    removed |= {place for place, kind in CLICKS_IN.items() if switches.clicks not in (kind, "everywhere")}
    for owner, name in removed:
        if name not in TYPES.get(owner, {}):
            raise ValueError(f"there is no field {owner}.{name} to remove")
    leaves: dict[str, GraphQLOutputType] = _leaf_types(switches)
    objects: dict[str, GraphQLObjectType] = {}

    def output(kind: str) -> GraphQLOutputType:
        if kind.startswith("["):
            return GraphQLList(objects[kind[1:-1]])
        return leaves.get(kind) or objects[kind]

    def fields_of(owner: str) -> dict[str, GraphQLField]:
        made = {
            name: GraphQLField(
                output(kind), args=_arguments(switches, owner, name), resolve=resolvers.get((owner, name))
            )
            for name, kind in TYPES[owner].items()
            if (owner, name) not in removed
        }
        for path, kind in switches.add_fields.items():
            added_to, _, name = path.partition(".")
            if added_to == owner:
                made[name] = _add_field(path, kind)
        return made

    for owner in TYPES:
        objects[owner] = cast(GraphQLObjectType, GraphQLObjectType(owner, lambda owner=owner: fields_of(owner)))
    for path in switches.add_fields:
        if path.partition(".")[0] not in TYPES:
            raise ValueError(f"there is no type to add the field {path} to")
    schema = GraphQLSchema(objects["Query"])
    wrong = validate_schema(schema)
    if wrong:
        raise ValueError("; ".join(error.message for error in wrong))
    return schema


def _leaf_types(switches: Switches) -> dict[str, GraphQLOutputType]:
    types = switches.types
    return {
        ID: STRING if types.ids == "string" else INT,
        MONEY: FLOAT if types.money == "number" else STRING,
        TIME: INT if types.times == "unix_number" else STRING,
        FLAG: {"boolean": BOOLEAN, "upper": STRING, "number": INT}[types.booleans],
        TEXT: STRING,
        NUMBER: INT,
        TRIPLES: GraphQLList(GraphQLList(STRING)),
    }


def _arguments(switches: Switches, owner: str, name: str) -> dict[str, GraphQLArgument]:
    return {
        argument: GraphQLArgument(kind)
        for argument, kind in ARGUMENTS.get((owner, name), {}).items()
        if f"{name}.{argument}" not in switches.remove_arguments
    }


def _add_field(path: str, kind: str) -> GraphQLField:
    listed = kind.startswith("[") and kind.endswith("]")
    scalar = kind[1:-1] if listed else kind
    if scalar not in SCALARS:
        raise ValueError(f"cannot add {path}: {kind}; known are {', '.join(SCALARS)} and lists of them")
    kind_of_one = SCALARS[scalar]
    value = [_ADDED_VALUES[scalar]] if listed else _ADDED_VALUES[scalar]

    def resolve(_source: Any, _info: GraphQLResolveInfo) -> Any:
        return value

    return GraphQLField(GraphQLList(kind_of_one) if listed else kind_of_one, resolve=resolve)
