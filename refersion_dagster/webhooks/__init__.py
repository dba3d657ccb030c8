"""Refersion's webhooks: a receiver that stores each event durably, and the inbox that runs read."""
