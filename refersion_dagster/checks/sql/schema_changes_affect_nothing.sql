/*
asset: refersion/schema_changes
description: The last change of Refersion's GraphQL schema, and those in the 30 days before it, affect no table.
meaning: >
  Refersion removed or changed what these tables are read from. Columns that can no longer be read are NULL from now on,
  and figures that need them say so. Review them, and check for a newer version of this package.
severity: warning
*/
SELECT c.element, c.change, c.type_before, c.type_after, c.used_by
FROM refersion_data.schema_changes AS c
WHERE c.is_breaking
  AND c.seen_at >= (SELECT max(seen_at) FROM refersion_data.graphql_schemas) - INTERVAL '24' HOUR * 30
  -- Nor was it changed again, such as restored.
  AND NOT EXISTS (
    SELECT 1 FROM refersion_data.schema_changes AS later WHERE later.element = c.element AND later.seen_at > c.seen_at
  )
ORDER BY c.element
