import marimo

__generated_with = "0.25.2"
app = marimo.App(width="medium", app_title="Refersion")


@app.cell
def _():
    import marimo as mo

    from refersion_dagster.charts import Line, line_chart
    from refersion_dagster.explore.published import PublishedCopies, describe_missing, published_folder, without_links
    from refersion_dagster.report.money import amount

    return Line, PublishedCopies, amount, line_chart, mo, published_folder, describe_missing, without_links


@app.cell
def _(PublishedCopies, mo, published_folder, describe_missing):
    # Set by `refersion-dagster explore --account`.
    folder = published_folder(account=mo.cli_args().get("account"))
    missing = describe_missing(folder)
    mo.stop(missing is not None, mo.callout(mo.md(f"**Nothing to show.** {missing}"), kind="warn"))
    published = PublishedCopies(folder)
    currencies, months = published.currencies(), published.months()
    empty = mo.md("**Nothing to show.** Copies are published, but the account has no conversions yet.")
    mo.stop(not months, mo.callout(empty, kind="warn"))
    mo.md(
        f"""
        # Who drove the sales, and what do we owe?

        Published {published.manifest["published_at"]} from data as of {published.manifest["as_of"]} (UTC).
        Amounts are shown for one currency at a time.
        """
    )
    return currencies, months, published


@app.cell
def _(currencies, mo, months):
    names = {f"{month:%Y-%m}": month for month in months}
    currency = mo.ui.dropdown(currencies, value=currencies[0], label="Currency")
    first = mo.ui.dropdown(names, value=list(names)[max(0, len(names) - 12)], label="From")
    last = mo.ui.dropdown(names, value=list(names)[-1], label="to")
    most = mo.ui.slider(5, 100, value=10, step=5, label="Affiliates", show_value=True)
    mo.hstack([currency, first, last, most], justify="start", gap=2, wrap=True)
    return currency, first, last, most


@app.cell
def _(amount, currency, mo, without_links):
    def table(rows, label):
        """Shows rows as a table with formatted amounts."""
        amounts = [name for name, value in (rows[0] if rows else {}).items() if type(value).__name__ == "Decimal"]
        shown = {name: lambda value: amount(value, currency.value) for name in amounts}
        return mo.ui.table(
            rows,
            selection=None,
            label=label,
            format_mapping=shown | ({"affiliate": without_links} if rows and "affiliate" in rows[0] else {}),
            text_justify_columns=dict.fromkeys(amounts, "right"),
        )

    return (table,)


@app.cell
def _(Line, currency, first, last, line_chart, mo, published, table):
    over_time = published.over_time(currency.value, first.value, last.value)
    span = f"{first.value:%Y-%m} to {last.value:%Y-%m}"
    mo.stop(not over_time, mo.md(f"There are no figures in {currency.value} from {span}."))
    # A month that has not ended would look like a fall.
    over = [row for row in over_time if row["is_complete"]]
    labels = [f"{row['month']:%Y-%m}" for row in over]
    # Pixels of a chart: the only place where amounts are floating point.
    lines = [Line(name, [float(row[name]) for row in over]) for name in ("sales", "commission")]
    title = f"Sales and commission, {currency.value}"
    chart = (
        mo.Html(line_chart(title, "By month of the conversion; complete months only.", labels, lines)) if over else ""
    )
    told = "A month that had not ended at the last reading is not complete and not in the chart."
    mo.vstack([mo.md("## Sales and commission over time"), chart, table(over_time, told)])
    return


@app.cell
def _(currency, first, last, mo, most, published, table):
    top = published.top_affiliates(currency.value, first.value, last.value, most.value)
    mo.vstack(
        [mo.md("## Who sold most"), table(top, "By conversions of these months; commission by its current state.")]
    )
    return


@app.cell
def _(currency, mo, published, table):
    owed = published.owed(currency.value)
    heading = mo.md("## What is owed, by days since approval")
    mo.vstack([heading, table(owed, "As of the last reading, for conversions of all months.")])
    return


@app.cell
def _(currency, first, last, mo, published, table):
    cohorts = published.cohorts(currency.value, first.value, last.value)
    told_of_cohorts = "By month of the first sale: the share of affiliates that sold this many months later."
    mo.vstack([mo.md("## Who goes on selling"), table(cohorts, told_of_cohorts)])
    return


if __name__ == "__main__":
    app.run()
