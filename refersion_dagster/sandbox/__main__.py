from refersion_dagster.sandbox.command import sandbox

sandbox(prog_name="python -m refersion_dagster.sandbox")
