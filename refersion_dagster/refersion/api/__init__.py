"""HTTP access to Refersion: credentials, a POST with retries, REST v2, GraphQL, and the account's GraphQL schema."""
