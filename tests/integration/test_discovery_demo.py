"""The demo estate as the shipped policy has it: nothing in it is uncovered, and taking a line out shows."""

from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from demo.generate import STORES, build
from demo.postgres import Postgres
from lethe.discovery.look import Discovered, discover
from lethe.model import Policy
from lethe.policy import load
from lethe.sql import script
from lethe.stores.postgres.grants import grants

SHIPPED = Path(__file__).parents[2] / "include" / "policy"


@pytest.fixture(scope="module")
def conninfo(demo_stores: dict[str, str]) -> dict[str, str]:
    build(demo_stores)
    for each in demo_stores.values():
        with psycopg.connect(each) as connection:
            connection.execute(script("store"))
    return demo_stores


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(SHIPPED)


@pytest.fixture(scope="module")
def found(policy: Policy, conninfo: dict[str, str]) -> dict[str, Discovered]:
    return {store: discover(policy, store, where) for store, where in conninfo.items()}


def test_nothing_of_the_estate_is_uncovered(found: dict[str, Discovered]) -> None:
    assert {store: each.findings for store, each in found.items()} == dict.fromkeys(STORES, ())


def test_it_was_looked_into(found: dict[str, Discovered]) -> None:
    """That nothing is found would else be true of an empty database as well."""
    sure = {(store, each.place) for store, one in found.items() for each in one.looked.candidates if each.is_sure}
    assert {
        ("website", "public.access_log.ip"), ("portal", "public.cases.description"), ("portal", "public.cases.form"),
        ("surveys", "public.survey_answers.comment"), ("webshop", "public.orders.ship_name"),
        ("bookkeeping", "public.bilag.tekst"), ("contact-centre", "public.call_log.caller_number"),
    } <= sure  # fmt: skip


def test_what_the_policy_calls_personal_is_recognised_but_for_a_few(
    policy: Policy, found: dict[str, Discovered]
) -> None:
    sure = {(store, each.place) for store, one in found.items() for each in one.looked.candidates if each.is_sure}
    personal = {
        (dataset.store, f"{dataset.place}.{column}")
        for dataset in policy.datasets.values()
        for column in dataset.personal_data
    }
    assert len(personal & sure) >= 0.8 * len(personal), sorted(personal - sure)


def test_a_dataset_that_is_taken_out_is_missed(policy: Policy, conninfo: dict[str, str]) -> None:
    without = replace(policy, datasets={name: each for name, each in policy.datasets.items() if name != "agents"})
    (finding,) = discover(without, "contact-centre", conninfo["contact-centre"]).findings
    assert (finding.kind, finding.subject) == ("personal", "public.agents")
    assert "name (user.name)" in finding.detail


def test_what_hangs_on_whom_is_told(found: dict[str, Discovered]) -> None:
    ways = found["portal"].reach()["public.cases"]
    assert [str(way) for way in ways] == [
        "public.attachments by case_id → public.cases",
        "public.case_messages by case_id → public.cases",
    ]


def test_the_daily_check_may_read_all_of_it(policy: Policy, conninfo: dict[str, str], server: Postgres) -> None:
    """With the rights that `lethe store grants` prints, and no more."""
    for store, admin in conninfo.items():
        with psycopg.connect(admin) as connection:
            connection.execute(grants(policy, policy.stores[store]))
        worker = server.conninfo(conninfo_to_dict(admin)["dbname"], "lethe_worker", "worker")
        assert discover(policy, store, worker).findings == (), store
