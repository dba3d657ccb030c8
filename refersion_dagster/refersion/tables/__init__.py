"""The columns of Refersion's tables, and the conversion of JSON to Arrow with exact amounts and hashed personal
values."""
