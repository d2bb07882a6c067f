"""Singer tap that reads issues, journals and time entries from Redmine's REST API."""
