"""What Refersion's tables hold, and how JSON becomes Arrow columns with exact amounts and hashed personal values."""
