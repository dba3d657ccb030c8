"""Refersion's CSV exports as a source, for accounts without API. A folder of them feeds the same raw tables."""
