"""`python -m demo up | down | status`: the demo's environment from the command line."""

from __future__ import annotations

import sys

import click

from demo.environment import Environment, EnvironmentFailed
from demo.run import Demo, DemoFailed


@click.group()
def main() -> None:
    """Run the demo: an invented company's databases and a real Airflow, on this machine only."""


@main.command()
def up() -> None:
    """Start PostgreSQL and Airflow and leave them running."""
    environment = Environment()
    fresh = not environment.healthy()
    environment.up()
    Demo(environment).lay_for_looking(anew=fresh)
    click.echo(f"\nAirflow  {environment.url()}")
    for user, password in environment.passwords().items():
        click.echo(f"  user {user:<9} password {password}")


@main.command()
def run() -> None:
    """Sweep the invented estate through a real Airflow, start to end, and check every row."""
    environment = Environment()
    if set(environment.status().values()) != {"stopped"}:
        raise DemoFailed("an environment is running, and this would lay its estate anew: `make down` first")
    try:
        environment.up()
        Demo(environment).sweep()
    finally:
        environment.down()


@main.command()
def down() -> None:
    """End everything that `up` started; the data stays."""
    Environment().down()


@main.command()
def status() -> None:
    """Say what is running; exit code 1 unless everything is healthy."""
    parts = Environment().status()
    for name, state in parts.items():
        click.echo(f"{name:<14} {state}")
    sys.exit(0 if set(parts.values()) == {"healthy"} else 1)


if __name__ == "__main__":
    try:
        main()
    except (EnvironmentFailed, DemoFailed) as failure:
        sys.exit(f"demo: {failure}")
