"""The thin glue between Airflow and the core; the only package here that imports both."""
