"""Refersion's REST and GraphQL APIs, served from the sandbox's account."""
