"""`python -m refersion_dagster.settings` writes the files generated from the settings into this checkout."""

from refersion_dagster.settings.reference import write

write()
