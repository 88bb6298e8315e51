"""Copies count: subject lines as mail stores them, names of files, and tables that keep what rows once said."""

import pytest

from faults import again, carry_out
from lethe.run import Lethe

SCHEMA = r"""
CREATE TABLE customer (id bigint PRIMARY KEY, name text, phone text, ended_on date);
INSERT INTO customer VALUES (1, 'Kari Bråten-Lie', '+47 400 00 001', '2020-01-01'), (2, 'Per Bø', NULL, NULL);
CREATE TABLE mail (id bigint PRIMARY KEY, customer_id bigint, subject text, file_name text);
INSERT INTO mail VALUES
    (1, 1, 'Re: =?utf-8?Q?Sak_om_Kari_Br=C3=A5ten-Lie?=', 'cv_kari_bråten-lie_2019.pdf'),
    (2, 1, '=?utf-8?B?S2FyaSBCcsOldGVuLUxpZQ==?= ringte 40000001', 'Kari-Bråten-Lie.docx'),
    (3, 1, '=?iso-8859-1?Q?Br=E5ten-Lie=2C_Kari?=', 'faktura.pdf'),
    (4, 2, '=?utf-8?Q?Sak_om_Per_B=C3=B8?=', 'cv_per.pdf');
CREATE TABLE customer_history (id bigint PRIMARY KEY, customer_id bigint, old jsonb, changed_at timestamptz);
INSERT INTO customer_history VALUES
    (1, 1, '{"name": "Kari Lie", "phone": "+47 400 00 002"}', '2015-05-05'), (2, 2, '{"name": "Per"}', '2015-05-05');
"""
ACTIVITY = """
serves: [R08]
datasets:
  customers: {in: crm, table: customer, key: id, personal_data: {name: user.name}}
  mails:
    in: crm
    table: mail
    key: id
    personal_data: {subject: user.content.private, file_name: user.content.private}
    refers_to: {customer: {to: customers, by: customer_id}}
  customer-history:
    in: crm
    table: customer_history
    key: id
    personal_data: {old: user.content.private}
    refers_to: {customer: {to: customers, by: customer_id}}
rules:
  mails-of-ex-customers:
    obligation: R08
    of: mails
    title: {nb: E-post, en: Mail}
    clock: customer.ended_on
    keep: P1Y
    then:
      anonymise:
        subject:
          redact: {names: [customer.name], phones: [customer.phone], confirm_by: privacy-officer, because: kept}
        file_name: {redact: {names: [customer.name], confirm_by: privacy-officer, because: kept}}
    order: 1
    limits: {rows: 100, share: 100%}
  history-of-ex-customers:
    obligation: R08
    of: customer-history
    title: {nb: Endringer, en: Changes}
    clock: customer.ended_on
    keep: P1Y
    then: delete
    order: 2
    limits: {rows: 100, share: 100%}
  ex-customers:
    obligation: R08
    of: customers
    title: {nb: Kunder, en: Customers}
    clock: ended_on
    keep: P1Y
    then: {anonymise: {name: blank, phone: blank}}
    order: 3
    limits: {rows: 100, share: 100%}
"""
TABLES = ("customer", "mail", "customer_history")


@pytest.fixture
def lethe(open_lethe) -> Lethe:
    made = open_lethe(ACTIVITY, SCHEMA)
    with again(made, "lethe_officer") as officer:
        officer.confirm("mails-of-ex-customers")
    for rule in made.policy.rules:
        carry_out(made, rule)
    return made


def test_subject_lines_and_file_names_are_redacted_as_they_are_stored(lethe: Lethe) -> None:
    assert lethe.database.rows("SELECT subject, file_name FROM mail ORDER BY id") == [
        ("Re: =?utf-8?Q?Sak_om_=5Bnavn=5D?=", "cv_[navn]_[navn]_2019.pdf"),
        ("=?utf-8?B?W25hdm5d?= ringte [telefon]", "[navn].docx"),
        ("=?iso-8859-1?Q?=5Bnavn=5D?=", "faktura.pdf"),
        ("=?utf-8?Q?Sak_om_Per_B=C3=B8?=", "cv_per.pdf"),
    ]


def test_a_table_of_old_values_goes_by_a_rule_of_its_own(lethe: Lethe) -> None:
    assert lethe.database.rows("SELECT id FROM customer_history") == [(2,)]


@pytest.mark.parametrize("word", ["kari", "bråten", "lie", "40000001", "40000002", "S2FyaSBC", "Br=C3", "Br=E5"])
def test_nothing_tells_of_the_person_any_more(lethe: Lethe, word: str) -> None:
    for table in TABLES:
        found = f"SELECT count(*) FROM {table} AS t WHERE replace(t::text, ' ', '') ILIKE '%{word}%'"
        assert lethe.database.one(found) == 0, table
