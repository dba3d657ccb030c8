"""`refersion-dagster doctor`: checks whether a refresh would work, and says how to fix problems.

It writes nothing to Refersion or to the warehouse.
"""
