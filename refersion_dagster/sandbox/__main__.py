from refersion_dagster.sandbox.server.cli import sandbox

sandbox(prog_name="python -m refersion_dagster.sandbox")
