"""Opens a session of the package through Databricks' own connector, and reports how it fails.

    python databricks.py prepare FOLDER    does nothing
    python databricks.py run FOLDER        reports the location and the error, with its causes

Unlike other runners it is executed by the package's Python, with the connector's environment on its path: the connector
cannot be installed for every developer, and the package is what is tested.
"""

from __future__ import annotations

import json
import sys
import traceback


def main(command: str) -> None:
    if command == "prepare":
        return
    from refersion_dagster.warehouse.databricks.database import DatabricksDatabase
    from refersion_dagster.warehouse.errors import WarehouseError

    database = DatabricksDatabase()
    try:
        with database.session():
            print(json.dumps({"location": database.location}))
    except WarehouseError as error:
        shown = "".join(traceback.format_exception(error))
        print(json.dumps({"location": database.location, "kind": type(error).__name__, "said": shown}))


if __name__ == "__main__":
    main(sys.argv[1])
