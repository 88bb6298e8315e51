"""docker-compose.yaml, Dockerfile and .env.example, held against the specification, the tree and the real Airflow."""

import importlib
import importlib.util
import json
import re
import shlex
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from lethe.policy import load

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docker-compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = COMPOSE["services"]
AIRFLOW = {name: service for name, service in SERVICES.items() if name != "postgres"}
ENVIRONMENT = [(name, *item) for name, service in SERVICES.items() for item in service["environment"].items()]
EXAMPLE = dict(
    line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if re.match(r"\w+=", line)
)
IN_THE_IMAGE = "/opt/airflow/"


def commands() -> Iterator[Any]:
    """Every command line that runs Airflow or Python inside a container, as words."""
    for name, service in AIRFLOW.items():
        for words in (service["command"], service.get("healthcheck", {}).get("test", ["CMD"])[1:]):
            lines = words[2].split(" && ") if words[:2] == ["bash", "-c"] else [shlex.join(words)]
            yield from (pytest.param(shlex.split(line), id=f"{name}: {line}") for line in lines if line)


def option(variable: str) -> tuple[str, str]:
    section, name = variable.removeprefix("AIRFLOW__").lower().split("__")
    return section, name


def test_it_follows_the_compose_specification() -> None:
    # check-jsonschema carries the specification's own schema (Apache License 2.0).
    vendored = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    schema = json.loads(vendored.read_text())
    jsonschema.Draft202012Validator(schema).validate(COMPOSE)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(COMPOSE | {"servces": {}})


def test_the_parts_of_airflow_are_all_there() -> None:
    assert set(SERVICES) == {"postgres", "init", "api-server", "scheduler", "dag-processor", "triggerer"}
    assert COMPOSE["x-airflow"]["environment"]["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"


@pytest.mark.parametrize("variable", sorted({name for _, name, _ in ENVIRONMENT if name.startswith("AIRFLOW__")}))
def test_every_airflow_variable_is_an_option_of_airflow(variable: str) -> None:
    from airflow.configuration import conf

    section, name = option(variable)
    assert name in conf.configuration_description[section]["options"]


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_is_understood_by_what_it_calls(words: list[str]) -> None:
    match words:
        case ["airflow", *arguments]:
            from airflow.cli.cli_parser import get_parser

            get_parser().parse_args(arguments)
        case ["python", "-m", module, *arguments]:
            importlib.import_module(module).main.make_context(module, list(arguments))
        case ["curl", "--fail", address]:
            assert address == "http://localhost:8080/api/v2/monitor/health"
        case other:
            pytest.fail(f"unknown program: {other}")


def test_the_class_it_names_as_auth_manager_exists() -> None:
    from airflow.api_fastapi.auth.managers.base_auth_manager import BaseAuthManager

    module, _, name = COMPOSE["x-airflow"]["environment"]["AIRFLOW__CORE__AUTH_MANAGER"].rpartition(".")
    assert issubclass(getattr(importlib.import_module(module), name), BaseAuthManager)


def test_every_value_it_asks_for_is_in_the_example_and_the_other_way_round() -> None:
    assert set(re.findall(r"\$\{(\w+)", TEXT)) == set(EXAMPLE)


def test_the_example_holds_no_secret() -> None:
    assert {name: value for name, value in EXAMPLE.items() if value} == {
        "LETHE_URL": "http://localhost:8080",
        "LETHE_SWEEP_AT": '"0 3 * * *"',
        "LETHE_SEAL_AT": '"17 * * * *"',
    }


def test_what_is_secret_has_no_default() -> None:
    assert set(re.findall(r"\$\{(\w+):-", TEXT)) == {"LETHE_URL", "LETHE_SWEEP_AT", "LETHE_SEAL_AT"}


def test_only_the_scheduler_reaches_the_stores_and_signs() -> None:
    assert {service for service, name, _ in ENVIRONMENT if name in ("LETHE_EVIDENCE_KEY", "LETHE_REPLAY_KEY")} == {
        "scheduler"
    }
    reach = {service for service, name, _ in ENVIRONMENT if re.match(r"AIRFLOW_CONN_LETHE_(?!STATE)", name)}
    assert reach == {"scheduler"}


def test_the_scheduler_has_every_connection_that_the_shipped_policy_names() -> None:
    policy = load(ROOT / "include" / "policy")
    named = {store.connection for store in policy.stores.values()} | {"smtp_default", policy.offboarding.connection}
    named |= {each.connection for each in policy.documents.values()}
    assert {f"AIRFLOW_CONN_{name.upper()}" for name in named} <= set(SERVICES["scheduler"]["environment"])


def test_what_is_kept_outside_is_written_by_the_scheduler_and_read_by_the_web_server() -> None:
    told = {service: value for service, name, value in ENVIRONMENT if name == "LETHE_EVIDENCE_OUTSIDE"}
    kept = {
        name: [v for v in service.get("volumes", ()) if v.startswith("outside:")] for name, service in AIRFLOW.items()
    }
    assert {name: volumes for name, volumes in kept.items() if volumes} == {
        "scheduler": [f"outside:{told['scheduler']}"],
        "api-server": [f"outside:{told['api-server']}:ro"],
    }


def test_every_service_and_volume_it_refers_to_is_declared() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", {})) <= set(SERVICES)
        assert {volume.split(":")[0] for volume in service.get("volumes", ())} <= set(COMPOSE["volumes"])
    hosts = {host for *_, value in ENVIRONMENT for host in re.findall(r"(?:://|@)([a-z-]+)(?=[:/])", value)}
    assert hosts - {"airflow", "localhost"} <= set(SERVICES)


def test_every_path_in_the_image_is_one_that_the_image_gets() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    copied = dict(re.findall(r"^COPY --chown=airflow:0 (\S+) (\S+)$", dockerfile, re.MULTILINE))
    assert all((ROOT / source).exists() for source in copied), copied
    assert COMPOSE["x-airflow"]["environment"]["PYTHONPATH"] in copied.values()
    assert all(target == IN_THE_IMAGE + source for source, target in copied.items())
    kept = (ROOT / ".dockerignore").read_text().split()
    assert {line[1:] for line in kept if line.startswith("!")} == set(copied)


def test_the_image_is_the_airflow_of_the_lock() -> None:
    base = re.search(r"^FROM apache/airflow:(\S+)$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert base is not None
    assert f"\napache-airflow=={base[1]} " in (ROOT / "requirements.txt").read_text()
    assert COMPOSE["x-airflow"]["image"] == f"lethe:{base[1]}"
