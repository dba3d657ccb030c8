"""DuckLake: tables as Parquet files in a folder or a bucket, with a catalogue in a database."""
