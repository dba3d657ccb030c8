"""All uses of undocumented dlt APIs in this project.

Other modules use documented names only: `dlt.pipeline`, `dlt.resource`, `dlt.current`, `dlt.secrets`, destinations and
their arguments, the SQL client that a pipeline returns, types (`DltSource`, `DltResource`, `Pipeline`,
`DestinationCapabilitiesContext`, `configspec`) and exceptions. Private names, classes of `dlt.destinations.impl` and
overridden methods belong in these modules. The tests of this package check each against its expected behaviour, so that
a release of dlt that changes one fails there, before a merge goes wrong.
"""
