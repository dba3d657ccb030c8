"""Parts missing from an address are resolved as psql does: sockets, peer authentication, PG… variables, `.pgpass`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from refersion_dagster.resources import Warehouse
from refersion_dagster.sandbox import SandboxServer
from refersion_dagster.warehouse.errors import WarehouseUnreachable
from refersion_dagster_tests.location import SMALL, account_of, materialise
from refersion_dagster_tests.marks import limit_cases
from refersion_dagster_tests.postgres import (
    ADMIN,
    CREDENTIALS,
    HOST,
    PASSWORD,
    SOCKETS,
    USER,
    PostgresDatabase,
    PostgresServer,
)

WRONG = "hunter2"
AFFILIATES = ("refersion/affiliates", "refersion/affiliate_list", "refersion/affiliate_get")
PostgresWarehouse = Callable[[str], Warehouse]


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> PostgresWarehouse:
    """The warehouse at an address."""

    def warehouse(address: str) -> Warehouse:
        monkeypatch.setenv(CREDENTIALS, address)
        return Warehouse(destination="postgres")

    return warehouse


@pytest.fixture
def write_passwords(
    postgres_server: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Writes the effective `.pgpass`."""
    file = tmp_path / "pgpass"
    monkeypatch.setenv("PGPASSFILE", str(file))

    def write(password: str, mode: int = 0o600) -> Path:
        escaped = password.replace("\\", "\\\\").replace(":", "\\:")
        file.write_text(f"{HOST}:{postgres_server.port}:*:{USER}:{escaped}\n")
        file.chmod(mode)
        return file

    return write


def test_a_load_and_a_summary_by_socket_and_peer_need_only_port_user_and_database(
    at: PostgresWarehouse, postgres: PostgresDatabase
) -> None:
    """Loads read with psycopg2 and write with ADBC. Without a host, each would look for the socket elsewhere."""
    warehouse = at(f"postgresql://{USER}@:{postgres.server.port}/{postgres.name}")
    with SandboxServer(SMALL) as sandbox:
        done = materialise(account_of(sandbox), warehouse, *AFFILIATES, "summaries/affiliates")
    assert done.success, done.failure
    rows = postgres.counts()["affiliates"]
    assert rows > 0
    assert warehouse.query("SELECT count(*), current_user FROM refersion_summaries.affiliates") == [(rows, USER)]
    told = done.metadata["refersion/affiliates"]["warehouse"]
    assert told == f"postgresql://%2Ftmp:{postgres.server.port}/{postgres.name}"


@pytest.mark.parametrize(
    ("address", "variables"),
    [
        ("postgresql://{user}@%2Ftmp:{port}/{database}", {}),
        ("postgresql://{user}@/{database}?host=/tmp&port={port}", {}),
        ("postgresql:///{database}?port={port}&user={user}", {}),
        ("postgresql://:{port}/{database}", {"PGHOST": SOCKETS, "PGUSER": USER}),
        ("postgresql://:{port}/{database}", {"PGHOST": HOST, "PGUSER": USER, "PGPASSWORD": PASSWORD}),
        ("postgresql://{user}@:{port}/{database}", {"PGHOSTADDR": HOST, "PGPASSWORD": PASSWORD}),
        ("postgresql://{user}@{host}:{port}/{database}", {"PGPASSWORD": PASSWORD}),
        ("postgresql://nobody:wrong@nowhere:1/{database}?host={host}&port={port}&user={user}&password={password}", {}),
    ],
)
def test_what_is_left_out_comes_from_the_environment(
    at: PostgresWarehouse,
    postgres: PostgresDatabase,
    monkeypatch: pytest.MonkeyPatch,
    address: str,
    variables: dict[str, str],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    written = address.format(
        user=USER, host=HOST, port=postgres.server.port, database=postgres.name, password=quote(PASSWORD, safe="")
    )
    warehouse = at(written)
    assert warehouse.query("SELECT current_user, current_database()") == [(USER, postgres.name)]
    assert warehouse.location.endswith(f":{postgres.server.port}/{postgres.name}")


def test_the_port_comes_from_the_environment_unless_it_is_named(
    at: PostgresWarehouse, postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    port = str(postgres.server.port)
    monkeypatch.setenv("PGPORT", port)
    for host in (HOST, "%2Ftmp", ""):
        warehouse = at(f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{host}/{postgres.name}")
        assert warehouse.query("SELECT current_database()") == [(postgres.name,)]
        assert warehouse.location.endswith(f":{port}/{postgres.name}")
    monkeypatch.setenv("PGPORT", "1")
    warehouse = at(f"postgresql://{USER}:{quote(PASSWORD, safe='')}@{HOST}:{port}/{postgres.name}")
    assert warehouse.query("SELECT current_database()") == [(postgres.name,)]


@pytest.mark.exhaustive
@pytest.mark.parametrize("in_address", limit_cases([True, False]))
def test_host_port_and_user_may_be_those_of_a_service(
    at: PostgresWarehouse, postgres: PostgresDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_address: bool
) -> None:
    file = tmp_path / "services.conf"
    file.write_text(f"[books]\nhost={HOST}\nport={postgres.server.port}\nuser={USER}\npassword={PASSWORD}\n")
    monkeypatch.setenv("PGSERVICEFILE", str(file))
    if not in_address:
        monkeypatch.setenv("PGSERVICE", "books")
    warehouse = at(f"postgresql:///{postgres.name}{'?service=books' if in_address else ''}")
    with SandboxServer(SMALL) as sandbox:
        done = materialise(account_of(sandbox), warehouse, "refersion/offers")
    assert done.success, done.failure
    assert warehouse.query("SELECT current_user, inet_server_port()") == [(USER, postgres.server.port)]
    assert postgres.counts()["offers"] > 0


@pytest.mark.exhaustive
def test_a_folder_of_sockets_may_be_in_dlts_own_files(
    postgres: PostgresDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(CREDENTIALS)
    parts = {"HOST": SOCKETS, "PORT": str(postgres.server.port), "USERNAME": USER, "DATABASE": postgres.name}
    for name, value in parts.items():
        monkeypatch.setenv(f"{CREDENTIALS}__{name}", value)
    assert Warehouse(destination="postgres").query("SELECT current_user") == [(USER,)]


@pytest.mark.exhaustive
def test_pgpass_is_read_with_every_connection_so_that_its_password_may_be_short_lived(
    at: PostgresWarehouse, postgres: PostgresDatabase, write_passwords: Callable[..., Path]
) -> None:
    write_passwords(PASSWORD)
    warehouse = at(f"postgresql://{USER}@{HOST}:{postgres.server.port}/{postgres.name}")
    with SandboxServer(SMALL) as sandbox:
        assert materialise(account_of(sandbox), warehouse, "refersion/offers").success
    try:
        postgres.server.query(ADMIN, f"ALTER ROLE {USER} PASSWORD %s", WRONG, user=ADMIN)
        with pytest.raises(WarehouseUnreachable):
            warehouse.query("SELECT 1")
        write_passwords(WRONG)
        assert warehouse.query("SELECT current_user") == [(USER,)]
    finally:
        postgres.server.query(ADMIN, f"ALTER ROLE {USER} PASSWORD %s", PASSWORD, user=ADMIN)


@pytest.mark.parametrize(
    ("password", "mode", "told"),
    [(WRONG, 0o600, "password authentication failed"), (PASSWORD, 0o644, "no password supplied")],
)
def test_a_pgpass_that_does_not_do_is_told(
    at: PostgresWarehouse,
    postgres: PostgresDatabase,
    write_passwords: Callable[..., Path],
    password: str,
    mode: int,
    told: str,
) -> None:
    write_passwords(password, mode)
    warehouse = at(f"postgresql://{USER}@{HOST}:{postgres.server.port}/{postgres.name}")
    with pytest.raises(WarehouseUnreachable, match=rf"{told}.+PGPASSWORD or a \.pgpass of mode 0600") as error:
        warehouse.query("SELECT 1")
    assert password not in str(error.value)
