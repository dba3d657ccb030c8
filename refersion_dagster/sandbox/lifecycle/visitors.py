"""Visitors of the shop: customers and clicks, by number. Equal numbers are the same person at the same address."""

from refersion_dagster.sandbox.account import Account
from refersion_dagster.sandbox.model import Affiliate, Click, Customer
from refersion_dagster.sandbox.seed import fixtures


def customer(number: int, ip: int) -> Customer:
    first, last = fixtures.CUSTOMER_FIRST_NAMES, fixtures.CUSTOMER_LAST_NAMES
    host = fixtures.MAIL_HOSTS[number % len(fixtures.MAIL_HOSTS)]
    name = f"{first[number % len(first)]} {last[number // len(first) % len(last)]}"
    return Customer(name, f"customer{number}@{host}", address(ip))


def own_address(affiliate: Affiliate, number: int) -> str:
    """The affiliate as a customer of its own link: the same e-mail, in upper case, with a tag, or the PayPal e-mail."""
    user, _, host = affiliate.email.partition("@")
    tagged = f"{user}+shop@{host}"
    return (affiliate.email, affiliate.email.upper(), tagged, affiliate.paypal_email or affiliate.email)[number % 4]


def click(account: Account, affiliate: Affiliate, created: int, number: int) -> Click:
    """Add a click on the affiliate's link to the account."""
    made = Click(
        id=account.new_id("click"),
        created=created,
        affiliate_id=affiliate.id,
        referer=fixtures.REFERERS[number % len(fixtures.REFERERS)],
        landed_url=f"{account.shop.url}/?rfsn={affiliate.id}.{affiliate.code}&n={number % 9}",
        ip=address(number),
        sub_id=fixtures.SUB_IDS[number % len(fixtures.SUB_IDS)],
        creative_id=account.creatives[number % len(account.creatives)].id if number % 3 == 0 else None,
    )
    account.clicks.append(made)
    return made


def address(number: int) -> str:
    """An address in the shared address space 100.64.0.0/10, which is not routed; every seventh is IPv6."""
    if number % 7 == 0:
        return f"2001:db8::{number & 0xFFFF:x}:{number >> 16:x}"
    return f"100.{64 + (number >> 16 & 63)}.{number >> 8 & 255}.{number & 255}"
