"""The settings of the figures as a Dagster resource: each field is a setting of the same name."""

import dagster as dg

from refersion_dagster.settings import FigureSettings
from refersion_dagster.settings.figures import periods
from refersion_dagster.settings.part import like
from refersion_dagster.warehouse.sql import Value


class ReportSettings(dg.ConfigurableResource):
    """How figures are calculated. Each field is also an environment variable, REFERSION_… in capitals."""

    report_timezone: str = like(FigureSettings, "report_timezone")
    minimum_payout: str = like(FigureSettings, "minimum_payout")
    platform_fee_percent: str = like(FigureSettings, "platform_fee_percent")
    subscription: str = like(FigureSettings, "subscription")
    control_tolerance: str = like(FigureSettings, "control_tolerance")
    accepted_differences: str = like(FigureSettings, "accepted_differences")
    lapsed_days: str = like(FigureSettings, "lapsed_days")
    rising_days: str = like(FigureSettings, "rising_days")
    auto_approval_days: str = like(FigureSettings, "auto_approval_days")
    credibility_orders: str = like(FigureSettings, "credibility_orders")
    pay_again: str = like(FigureSettings, "pay_again")

    def parameters(self) -> dict[str, Value]:
        """Returns the values of the `$name` parameters in SQL. Raises InvalidSetting."""
        variables = FigureSettings.variables()
        figures = FigureSettings.of({variable: getattr(self, name) for name, variable in variables.items()})
        return {
            **figures.model_dump(exclude={"platform_fee_percent", "subscription"}),
            "platform_fee_by_date": periods(figures.platform_fee_percent),
            "subscription_by_date": periods(figures.subscription),
            # The latest value.
            "subscription": figures.subscription[-1][1],
        }


# Parameters from the settings, two of them by date.
SETTINGS = (
    *(name for name in FigureSettings.model_fields if name != "platform_fee_percent"),
    *("platform_fee_by_date", "subscription_by_date"),
)
# Those of summaries, some of which are queried from the database: the interpretation that control_totals keeps, its
# cells that changed while they were read, and what the account does not offer.
PARAMETERS = (*SETTINGS, "control_interpretation", "not_settled", "not_offered")
