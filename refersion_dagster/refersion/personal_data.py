"""One salt for all hashes of a warehouse. With two salts, one customer would look like two.

The salt's fingerprint is stored in dlt's state in the warehouse, together with the salt if it was generated.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets

import dlt

from refersion_dagster.refersion.errors import AnotherSalt
from refersion_dagster.refersion.tables.privacy import PersonalData, Privacy

SALT = "pii_salt"
FINGERPRINT = "pii_salt_fingerprint"


def privacy_of(policy: PersonalData, salt: str | None) -> Privacy:
    """How to write personal values to the warehouse that dlt is loading into.

    Args:
        policy: what to do with them.
        salt: key of the hash. Without one, a random salt is generated and stored in dlt's state.

    Raises:
        AnotherSalt: values in the warehouse were hashed with another salt.
    """
    if policy is not PersonalData.HASH:
        return Privacy(policy, "")
    state = dlt.current.source_state()
    before = state.get(FINGERPRINT) or (_fingerprint(state[SALT]) if SALT in state else None)
    own = salt or state.get(SALT) or secrets.token_hex(16)
    if before is not None and before != _fingerprint(own):
        if not salt:
            what = "REFERSION_PII_SALT is not set, but personal data in this warehouse are hashed with one."
        else:
            what = "REFERSION_PII_SALT is not the salt with which personal data in this warehouse are hashed."
        way = "Remove the variable: this warehouse keeps a random salt of its own" if SALT in state else "Set that salt"
        raise AnotherSalt(
            f"{what} Nothing was written.", advice=f"{way}. To use another salt, load into a new warehouse."
        )
    if not salt:
        state[SALT] = own
    state[FINGERPRINT] = _fingerprint(own)
    return Privacy(policy, own)


def _fingerprint(salt: str) -> str:
    return hmac.new(salt.encode("utf-8", "surrogatepass"), b"refersion_dagster", hashlib.sha256).hexdigest()
