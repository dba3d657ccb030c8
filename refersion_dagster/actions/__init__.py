"""Writes to Refersion, launched deliberately: credits, approvals, affiliates, triggers.

Writes are off unless REFERSION_ALLOW_WRITES is true, and each run is a dry run unless configured otherwise. Refersion's
API has no idempotency keys: the journal records each call before it is sent and its response afterwards. A call whose
response was lost is never repeated automatically.
"""
