"""Turns plans into Airflow DAGs, in the DAG processor."""
