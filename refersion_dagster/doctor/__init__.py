"""`refersion-dagster doctor`: whether a refresh would work, and what to do where it would not.

Nothing is written: not to Refersion, not to the warehouse.
"""
