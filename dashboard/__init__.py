"""The dashboard: static pages over the published copies, see docs/dashboard.md."""
