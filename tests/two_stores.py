"""What tests of rules across stores are given: cases in `crm`, whose customers and contracts are in `register`."""

REGISTER = """
CREATE TABLE customer (number int PRIMARY KEY, name text, status text, ended_on date);
INSERT INTO customer SELECT n, 'Kunde ' || n, 'S', date '2020-01-01' FROM generate_series(1, 20) n;
UPDATE customer SET ended_on = NULL, status = 'A' WHERE number > 15;
CREATE TABLE contract (id int PRIMARY KEY, customer_number int);
INSERT INTO contract SELECT n, n FROM generate_series(1, 20) n;
"""
DATASETS = """
serves: [R08]
datasets:
  customers: {in: register, table: customer, key: number, personal_data: {name: user.name}}
  contracts:
    in: register
    table: contract
    key: id
    personal_data: {}
    refers_to: {customer: {to: customers, by: customer_number}}
  cases:
    in: crm
    table: cases
    key: id
    personal_data: {name: user.name}
    refers_to:
      customer: {to: customers, by: customer}
      contract: {to: contracts, by: contract}
"""
RULE = """
rules:
  ex-customers:
    obligation: R08
    of: cases
    title: {nb: Saker, en: Cases}
    clock: customer.ended_on
    keep: P1Y
    when: {customer.status: S}
    then: delete
    limits: {rows: 1000, share: 100%}
"""


def by_contract(activity: str) -> str:
    """The same rule, read over two steps."""
    return activity.replace("customer.ended_on", "contract.customer.ended_on").replace(
        "customer.status", "contract.customer.status"
    )
