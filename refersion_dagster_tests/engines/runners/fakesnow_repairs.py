"""Corrects differences between fakesnow and Snowflake in this process, for the tests."""

# pyright: reportMissingImports=false
from __future__ import annotations

import gzip
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import fakesnow.arrow
import fakesnow.cursor
import fakesnow.info_schema
import fakesnow.server
import pyarrow as pa
import snowflake.connector.errors
import sqlglot
from fakesnow.transforms import stage
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def repair() -> None:
    _add_up_exactly()
    _keep_null_moments()


def _add_up_exactly() -> None:
    """Sums of numbers are numbers in Snowflake. The emulator converts them to floating point."""
    fakesnow.cursor.transforms.numeric_agg_implicit_cast = lambda tree: tree


def _keep_null_moments() -> None:
    """The emulator's server sends 1970 for a timestamp that is NULL."""
    sent = fakesnow.arrow.timestamp_to_sf_struct

    def with_nulls(moments: Any) -> pa.Array:
        made = sent(moments)
        parts = [made.field(place) for place in range(made.type.num_fields)]
        missing = moments.is_null()
        return pa.StructArray.from_arrays(
            parts, fields=list(made.type), mask=missing.combine_chunks() if hasattr(missing, "chunks") else missing
        )

    fakesnow.arrow.timestamp_to_sf_struct = with_nulls


# What the emulator lacks: who may do what, as a table of Snowflake's columns that tests fill, for the role LOADER.
RIGHTS = (
    ("information_schema.object_privileges", "granted.object_privileges"),
    ("is_role_in_session(grantee)", "(grantee = 'LOADER')"),
)
COMMENTS = re.compile(r"ALTER TABLE (?P<table>\S+) ALTER (?P<columns>COLUMN .+)", re.DOTALL)
COLUMN_COMMENT = re.compile(r"""COLUMN ("[^"]+") COMMENT ('(?:[^'\\]|\\.)*')""", re.DOTALL)
FORMAT = re.compile(r"FILE_FORMAT = \([^)]*\)")
MATCHED = re.compile(r"'(CASE_(?:IN)?SENSITIVE)'")
# dlt sends some statements in one text, of which the first makes, changes or deletes something.
CHANGES = ("CREATE ", "ALTER ", "DELETE ", "MERGE ", "DROP ", "TRUNCATE ")
FURTHER = re.compile(rf";\s*(?={'|'.join(CHANGES)}|INSERT )")
JSON_LINES = re.compile(r"COPY INTO (?P<table>\S+)\s+FROM '@(?P<place>[^']+)'\s+FILE_FORMAT = \(TYPE = 'JSON'")
STAGE = re.compile(r"'(@[^']+)'")


def repair_server() -> None:
    """What a load and a refresh need of the server."""
    fakesnow.server.shared_fs.create_schema_on_connect = False
    _log_in_as_snowflake_does()
    cursor = fakesnow.cursor.FakeSnowflakeCursor
    # It takes `$b` for a variable in texts too.
    cursor._inline_variables = lambda _cursor, sql: sql
    cursor.execute = _understanding_more(cursor.execute)
    _say_all_of_a_stage()
    written = fakesnow.info_schema.insert_table_comment_sql
    fakesnow.info_schema.insert_table_comment_sql = lambda *table: written(
        *table[:-1], (table[-1] or "").replace("'", "''")
    )


def _log_in_as_snowflake_does() -> None:
    """Snowflake's connector from 5 on expects more of what Snowflake answers. What it sent is written to the log."""
    answered = fakesnow.server.login_request

    async def log_in(request: Request) -> JSONResponse:
        sent = await request.body()
        plain = gzip.decompress(sent) if request.headers.get("Content-Encoding") == "gzip" else sent
        print("LOGIN", plain.decode(), flush=True)
        answer = json.loads(bytes((await answered(request)).body))
        answer["data"] |= {
            "masterToken": "master",
            "validityInSeconds": 3600,
            "masterValidityInSeconds": 14400,
            "sessionId": 1,
        }
        return JSONResponse(answer)

    routes, path = fakesnow.server.app.router.routes, "/session/v1/login-request"
    routes[:] = [route for route in routes if getattr(route, "path", "") != path]
    routes.append(Route(path, log_in, methods=["POST"]))


def _say_all_of_a_stage() -> None:
    """What the connector from 5 on expects of the place that files are sent to, whatever it is."""
    said = fakesnow.server.gcs_stage_info

    def stage_info(request: Request, expression: Any, upload: Any) -> dict[str, Any]:
        # As dlt asks for; the emulator does not read it.
        upload["overwrite"] = True
        answer = said(request, expression, upload)
        return {"region": "", "endPoint": "", "storageAccount": "", "isClientSideEncrypted": False, **answer}

    fakesnow.server.gcs_stage_info = stage_info


def _understanding_more(execute: Callable[..., Any]) -> Callable[..., Any]:
    """Statements that the emulator does not know, in those that it does; and errors of DuckDB's as Snowflake's."""

    def executed(cursor: Any, command: str, *arguments: Any, **named: Any) -> Any:
        if command.startswith("PUT "):
            # The place is a text here.
            command = STAGE.sub(r"\1", command)
        elif command.startswith("COPY INTO"):
            # Options have no commas here, and are no texts.
            command = FORMAT.sub(lambda found: found[0].replace(",", ""), command)
            command = MATCHED.sub(r"\1", command)
        for snowflakes, ours in RIGHTS:
            command = command.replace(snowflakes, ours)
        try:
            if removed := re.fullmatch(r"REMOVE '@([^']+)'", command):
                _remove(cursor, removed[1])
                return execute(cursor, "SELECT 'removed' AS result", **named)
            if copied := JSON_LINES.match(command):
                _copy_json(cursor, copied["table"], copied["place"])
                return execute(cursor, "SELECT 'loaded' AS status", **named)
            if comments := COMMENTS.fullmatch(command):
                _describe(cursor, comments["table"], comments["columns"])
                return execute(cursor, "SELECT 'described' AS status", **named)
            *first, last = FURTHER.split(command) if command.startswith(CHANGES) else [command]
            for statement in first:
                execute(cursor, statement, **named)
            return execute(cursor, last, *arguments, **named)
        except duckdb.TransactionException as error:
            raise _error(error, 625, "57014") from error
        except duckdb.Error as error:
            raise _error(error, 100000, "22000") from error

    return executed


def _error(error: duckdb.Error, number: int, state: str) -> Exception:
    return snowflake.connector.errors.ProgrammingError(msg=str(error), errno=number, sqlstate=state)


def _describe(cursor: Any, table: str, columns: str) -> None:
    """The emulator forgets the descriptions of columns."""
    for name, text in COLUMN_COMMENT.findall(columns):
        literal = sqlglot.parse_one(text, read="snowflake").sql("duckdb")
        cursor._duck_conn.execute(f"COMMENT ON COLUMN {cursor._conn.database}.{table}.{name} IS {literal}")


def _copy_json(cursor: Any, table: str, place: str) -> None:
    """The emulator reads JSON into tables of one column alone; dlt's state comes as JSON."""
    cursor._duck_conn.execute(
        f"INSERT INTO {cursor._conn.database}.{table} BY NAME SELECT * FROM read_json(?)",
        [str(_path_of(cursor, place))],
    )


def _remove(cursor: Any, place: str) -> None:
    _path_of(cursor, place).unlink()


def _path_of(cursor: Any, place: str) -> Path:
    """A file of the stage of a table."""
    name, _, path = place.partition("/")
    parts = stage.parts_from_var(name, cursor._conn.database, cursor._conn.schema)
    return Path(stage.internal_dir(".".join(parts), path))
