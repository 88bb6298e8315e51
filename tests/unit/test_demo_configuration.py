"""The demo's settings: free ports, private secrets, and only options that Airflow has."""

import socket
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import configuration

PORTS = {"postgres": 5432, "api": 8080}


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    return configuration.ensure_secrets(tmp_path / "secrets.json")


def test_secrets_are_made_once_and_read_by_their_owner_only(tmp_path: Path, keys: dict[str, str]) -> None:
    assert configuration.ensure_secrets(tmp_path / "secrets.json") == keys
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert len(set(keys.values())) == len(keys)


def test_a_port_stays_the_same_while_it_is_free(tmp_path: Path) -> None:
    ports = configuration.ensure_ports(tmp_path / "ports.json", ("api", "postgres"))
    assert configuration.ensure_ports(tmp_path / "ports.json", ("api", "postgres")) == ports


def test_a_port_that_somebody_took_is_replaced_unless_that_is_us(tmp_path: Path) -> None:
    ports = configuration.ensure_ports(tmp_path / "ports.json", ("api", "postgres"))
    with socket.socket() as taker:
        taker.bind(("127.0.0.1", ports["api"]))
        taker.listen()
        assert configuration.ensure_ports(tmp_path / "ports.json", ("api",), keep=("api",))["api"] == ports["api"]
        assert configuration.ensure_ports(tmp_path / "ports.json", ("api",))["api"] != ports["api"]


def test_variables_survive_writing_and_reading(tmp_path: Path) -> None:
    variables = {"PLAIN": "1", "SPACE": "a b", "QUOTE": "it's", "EMPTY": "", "EQUALS": "a=b"}
    configuration.write_variables(tmp_path / "env", variables)
    assert configuration.read_variables(tmp_path / "env") == variables


@pytest.mark.parametrize(("hour", "schedule"), [(2, "0 14 * * *"), (13, "0 1 * * *"), (0, "0 12 * * *")])
def test_the_demos_own_sweeps_are_far_from_the_clocks(hour: int, schedule: str) -> None:
    assert configuration.far_from(datetime(2026, 11, 25, hour, 30, tzinfo=UTC)) == schedule


def test_every_airflow_variable_is_an_option_of_airflow(tmp_path: Path, keys: dict[str, str]) -> None:
    from airflow.configuration import conf

    for variable in configuration.airflow_variables(tmp_path, PORTS, keys):
        if variable.startswith("AIRFLOW__"):
            section, name = variable.removeprefix("AIRFLOW__").lower().split("__")
            assert name in conf.configuration_description[section]["options"], variable


def test_the_officer_and_the_worker_reach_lethes_state_each_with_its_own_password(keys: dict[str, str]) -> None:
    worker = configuration.store_variables(PORTS, keys)["AIRFLOW_CONN_LETHE_STATE"]
    officer = configuration.store_variables(PORTS, keys, "lethe_officer")["AIRFLOW_CONN_LETHE_STATE"]
    assert worker.startswith(f"postgresql://lethe_worker:{keys['database:lethe_worker']}@127.0.0.1:5432/")
    assert officer.startswith(f"postgresql://lethe_officer:{keys['database:lethe_officer']}@127.0.0.1:5432/")


def test_no_variable_carries_the_password_of_who_owns_the_databases(tmp_path: Path, keys: dict[str, str]) -> None:
    everything = configuration.airflow_variables(tmp_path, PORTS, keys) | configuration.store_variables(PORTS, keys)
    for secret in (keys["database:postgres"], keys["database:lethe_owner"], keys["database:lethe_officer"]):
        assert not any(secret in value for value in everything.values())
