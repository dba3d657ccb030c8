"""The columns of Refersion's tables, and their conversion from JSON to Arrow: exact amounts, hashed personal data."""
