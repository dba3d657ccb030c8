"""Checks of what Refersion offers: REST, GraphQL and its status page."""
