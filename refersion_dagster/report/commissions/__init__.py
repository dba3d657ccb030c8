"""The report of commissions: one HTML file that answers who drove the sales and what is owed."""
