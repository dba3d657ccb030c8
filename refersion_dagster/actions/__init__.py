"""Writing to Refersion, on purpose: credits, approvals, affiliates, triggers.

Off unless REFERSION_ALLOW_WRITES is true, and a dry run unless configured otherwise. Refersion has no idempotency: what
is about to be sent is recorded before the call and the answer after it, and a call whose answer was lost is never
repeated by itself.
"""
