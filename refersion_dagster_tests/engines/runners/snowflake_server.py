"""Serves fakesnow, an emulator of Snowflake that calculates with DuckDB, to Snowflake's connectors of other processes.

    python snowflake_server.py PORT

It is executed by the Python of the environment of snowflake_emulator, so it imports nothing of the package.
"""

# pyright: reportMissingImports=false
from __future__ import annotations

import sys

import fakesnow.server
import uvicorn
from fakesnow_repairs import repair, repair_server


def main(port: int) -> None:
    repair()
    repair_server()
    uvicorn.run(fakesnow.server.app, host="127.0.0.1", port=port, log_level="warning")


if __name__ == "__main__":
    main(int(sys.argv[1]))
