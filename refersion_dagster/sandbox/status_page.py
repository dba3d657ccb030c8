"""The status page of the sandbox: its components and open incidents, in the format of Atlassian Statuspage.

The format is documented by Atlassian. That Refersion's page has it, and the names of its components, are inferred.
"""

from dataclasses import dataclass, field
from typing import Any

from refersion_dagster.sandbox.clock import iso

COMPONENTS = ("REST API", "GraphQL API", "Webhooks", "Merchant dashboard")
IMPACTS = {
    "none": "operational",
    "minor": "degraded_performance",
    "major": "partial_outage",
    "critical": "major_outage",
}
WORDS = {
    "none": "All Systems Operational",
    "minor": "Minor Service Outage",
    "major": "Partial System Outage",
    "critical": "Major Service Outage",
}


@dataclass(frozen=True)
class SandboxIncident:
    """An open incident: its name, impact, affected components, and the time it began (Unix seconds)."""

    name: str
    impact: str
    components: tuple[str, ...]
    began: int

    def __post_init__(self) -> None:
        if self.impact not in IMPACTS:
            raise ValueError(f"{self.impact!r} is not an impact; available are {', '.join(IMPACTS)}")
        for name in self.components:
            if name not in COMPONENTS:
                raise ValueError(f"there is no component {name!r}; available are {', '.join(COMPONENTS)}")


@dataclass
class StatusBoard:
    """What the page shows."""

    incidents: list[SandboxIncident] = field(default_factory=list)

    def summary(self, now: int) -> dict[str, Any]:
        """The content of /api/v2/summary.json."""
        worst = max((one.impact for one in self.incidents), key=list(IMPACTS).index, default="none")
        return {
            "page": {
                "id": "sandbox",
                "name": "Refersion",
                "url": "http://localhost/status",
                "time_zone": "Etc/UTC",
                "updated_at": iso(now),
            },
            "components": [
                {
                    "id": f"component{at}",
                    "name": name,
                    "status": IMPACTS[self._impact_on(name)],
                    "created_at": iso(0),
                    "updated_at": iso(now),
                    "position": at,
                    "description": None,
                    "showcase": True,
                    "start_date": None,
                    "group_id": None,
                    "page_id": "sandbox",
                    "group": False,
                    "only_show_if_degraded": False,
                }
                for at, name in enumerate(COMPONENTS, 1)
            ],
            "incidents": [_incident(at, one) for at, one in enumerate(self.incidents, 1)],
            "scheduled_maintenances": [],
            "status": {"indicator": worst, "description": WORDS[worst]},
        }

    def _impact_on(self, component: str) -> str:
        impacts = [one.impact for one in self.incidents if component in one.components]
        return max(impacts, key=list(IMPACTS).index, default="none")


def _incident(number: int, one: SandboxIncident) -> dict[str, Any]:
    began = iso(one.began)
    return {
        "id": f"incident{number}",
        "name": one.name,
        "status": "investigating",
        "impact": one.impact,
        "created_at": began,
        "started_at": began,
        "updated_at": began,
        "monitoring_at": None,
        "resolved_at": None,
        "shortlink": f"http://localhost/status/incidents/{number}",
        "page_id": "sandbox",
        "incident_updates": [
            {
                "id": f"update{number}",
                "status": "investigating",
                "body": "We are investigating this issue.",
                "incident_id": f"incident{number}",
                "created_at": began,
                "updated_at": began,
                "display_at": began,
                "affected_components": None,
            }
        ],
    }
