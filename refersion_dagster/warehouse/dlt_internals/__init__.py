"""All that this project uses of dlt beyond its documentation.

Elsewhere only documented names are used: `dlt.pipeline`, `dlt.resource`, `dlt.current`, `dlt.secrets`, destinations and
their arguments, the SQL client that a pipeline hands out, types (`DltSource`, `DltResource`, `Pipeline`,
`DestinationCapabilitiesContext`, `configspec`) and exceptions. Private names, classes of `dlt.destinations.impl` and
methods that a subclass overrides are in these modules. The tests of this package compare each with what is expected, so
that a release of dlt that changes one fails there, before a merge does something else.
"""
