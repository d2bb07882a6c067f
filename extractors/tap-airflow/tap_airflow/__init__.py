"""Singer tap that reads run history from Airflow's REST API."""
