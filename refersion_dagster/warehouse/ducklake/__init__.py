"""DuckLake: tables as Parquet files in a folder or a bucket, and a catalogue of them in a database."""
