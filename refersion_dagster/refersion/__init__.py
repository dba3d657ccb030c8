"""Refersion as a dlt source: `from refersion_dagster.refersion import refersion_source`."""

from refersion_dagster.refersion.extract.stats import ReadReport, TableReport
from refersion_dagster.refersion.request import LoadRequest
from refersion_dagster.refersion.source import refersion_source

__all__ = ["LoadRequest", "ReadReport", "TableReport", "refersion_source"]
