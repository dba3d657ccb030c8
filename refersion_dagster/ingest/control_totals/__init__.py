"""Refersion's totals against the rows that are loaded: currencies, disagreements, test conversions."""
