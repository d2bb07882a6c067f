"""Turns a project into plans: frozen data that says what Airflow runs."""
