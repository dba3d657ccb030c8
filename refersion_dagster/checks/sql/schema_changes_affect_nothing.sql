/*
asset: refersion/schema_changes
description: The last change of Refersion's GraphQL schema affects no table.
meaning: >
  Refersion removed or changed what these tables are read from. Columns that can no longer be read are NULL from now on,
  and figures that need them say so. Review them, and check for a newer version of this package.
severity: warning
*/
SELECT element, change, type_before, type_after, used_by
FROM refersion_data.schema_changes
WHERE is_breaking AND seen_at = (SELECT max(seen_at) FROM refersion_data.graphql_schemas)
ORDER BY element
