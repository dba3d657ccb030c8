"""A file written by DuckDB 2."""

import base64
import zlib

# The file's first block, which contains the release that wrote it.
OF_DUCKDB_2 = zlib.decompress(
    base64.b85decode(
        "c-m|IB)jH)oo19vsI&KTW(J}_nUS7>o&j$86jPJrq@+~ilr;S2e6Z*Lwt0@+k3Pn*rP|Z{7#T*vC>RB!U=)mkQ7{Td!6+C7qhJ(_f>A&d0"
        "06+x5-$"
    )
)
