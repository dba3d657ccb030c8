"""The commission report: one HTML file that shows who drove the sales and what is owed."""
