"""`refersion-dagster demo`: the whole product on a local sandbox."""
