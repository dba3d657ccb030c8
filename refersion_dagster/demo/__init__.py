"""`refersion-dagster demo`: the complete pipeline on a local sandbox."""
