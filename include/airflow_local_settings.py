"""Airflow imports this wherever it starts: what every task of Lethe needs is then loaded before the workers fork."""

import psycopg  # noqa: F401

import lethe.run
import lethe.stores.postgres  # noqa: F401
