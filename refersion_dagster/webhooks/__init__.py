"""Refersion's webhooks: a receiver that keeps each event safe, and the inbox that runs are fed from."""
