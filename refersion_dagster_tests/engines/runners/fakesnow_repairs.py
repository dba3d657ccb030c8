"""What fakesnow does otherwise than Snowflake, put right in this process for the tests."""

# pyright: reportMissingImports=false
from __future__ import annotations

from typing import Any

import fakesnow.arrow
import fakesnow.cursor
import pyarrow as pa


def repair() -> None:
    _add_up_exactly()
    _keep_null_moments()


def _add_up_exactly() -> None:
    """Sums of numbers are numbers in Snowflake. The emulator makes floating point of what is added up."""
    fakesnow.cursor.transforms.numeric_agg_implicit_cast = lambda tree: tree


def _keep_null_moments() -> None:
    """The emulator's server sends 1970 for a moment that is NULL."""
    sent = fakesnow.arrow.timestamp_to_sf_struct

    def with_nulls(moments: Any) -> pa.Array:
        made = sent(moments)
        parts = [made.field(place) for place in range(made.type.num_fields)]
        missing = moments.is_null()
        return pa.StructArray.from_arrays(
            parts, fields=list(made.type), mask=missing.combine_chunks() if hasattr(missing, "chunks") else missing
        )

    fakesnow.arrow.timestamp_to_sf_struct = with_nulls
