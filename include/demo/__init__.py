"""The invented company: its eight databases, its people, and a real Airflow that sweeps them on this machine."""
