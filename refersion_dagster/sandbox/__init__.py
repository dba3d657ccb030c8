"""A local Refersion over real HTTP: REST v2, GraphQL and report files on a seeded account.

For tests, demonstrations and development; nothing uses it unless it is asked to.
"""

from refersion_dagster.sandbox.server.server import SandboxServer
from refersion_dagster.sandbox.settings import SandboxSettings, Switches

__all__ = ["SandboxServer", "SandboxSettings", "Switches"]
