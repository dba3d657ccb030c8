"""Compares Refersion's totals with the loaded rows: currencies, differences, test conversions."""
