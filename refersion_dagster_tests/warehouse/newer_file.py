"""A file that DuckDB 2 wrote."""

import base64
import zlib

# Its first block, which says which release wrote it.
OF_DUCKDB_2 = zlib.decompress(
    base64.b85decode(
        "c-m|IB)jH)oo19vsI&KTW(J}_nUS7>o&j$86jPJrq@+~ilr;S2e6Z*Lwt0@+k3Pn*rP|Z{7#T*vC>RB!U=)mkQ7{Td!6+C7qhJ(_f>A&d0"
        "06+x5-$"
    )
)
