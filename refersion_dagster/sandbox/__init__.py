"""A local Refersion over real HTTP: REST v2, GraphQL and report files on a seeded account.

For tests, demonstrations and development. Nothing uses it unless it is started explicitly.
"""

from refersion_dagster.sandbox.server.server import SandboxServer
from refersion_dagster.sandbox.settings import SandboxSettings, Switches

__all__ = ["SandboxServer", "SandboxSettings", "Switches"]
