"""Singer tap that reads parties, products, sales and invoices from Tryton's REST API."""
