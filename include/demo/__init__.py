"""The invented company: its seven databases, its people, and a real Airflow that sweeps them on this machine."""
