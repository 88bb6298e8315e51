"""`lethe`: the command line, without Airflow, against any PostgreSQL.

Stores are found as Airflow finds them: through AIRFLOW_CONN_<ID> variables.

    exit code  meaning
    0          done, nothing is wrong
    1          something was found: problems or gaps of the policy, expired data, or data that is not anonymous enough
    2          the command was not understood, or names what the policy or a store does not have
    3          a plan waits for a person, a person said no, or this one may not (`approve`, `confirm`, `apply`)
    4          refused: policy, schema, store or evidence is not what was planned or published, or a bound was passed
    5          a store or a connection failed
"""

from __future__ import annotations

from typing import Any, NoReturn

import click

from lethe.cli.check import check
from lethe.cli.discover import discover
from lethe.cli.evidence import evidence
from lethe.cli.explain import explain
from lethe.cli.findings import findings
from lethe.cli.hold import hold
from lethe.cli.policy import policy
from lethe.cli.restore import replay, restore
from lethe.cli.risk import risk
from lethe.cli.store import store
from lethe.cli.sweep import apply, approve, confirm, plan, plans, verify
from lethe.errors import (
    ConfigError,
    EvidenceError,
    HoldError,
    LetheError,
    NotApproved,
    PlanError,
    PolicyError,
    SchemaMismatch,
    StoreError,
    SubjectError,
)
from lethe.evidence.leaf import code_version


def exit_code(error: LetheError) -> int:
    """The exit code that tells what kind of error it was."""
    codes: tuple[tuple[type[LetheError], int], ...] = (
        (PolicyError, 1),
        (NotApproved, 3),
        (SchemaMismatch, 4),
        (PlanError, 4),
        (EvidenceError, 4),
        (HoldError, 2),
        (SubjectError, 2),
        (StoreError, 5),
        (ConfigError, 5),
    )
    return next(code for kind, code in codes if isinstance(error, kind))


class _Group(click.Group):
    """Commands that say an error in words and end with its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except LetheError as error:
            _end(error)


def _end(error: LetheError) -> NoReturn:
    for line in str(error).splitlines():
        click.echo(line, err=True)
    raise SystemExit(exit_code(error))


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 fine, 1 found something, 2 usage, 3 waits for a person, 4 refused, 5 a store failed.",
)
@click.version_option(code_version()[:12], prog_name="lethe", message="%(prog)s, commit %(version)s")
def main() -> None:
    """Delete personal data on the day it is due, and leave evidence of it.

    The way is policy, plan, approve, apply, verify. `plan` changes nothing: it is the dry run.
    """


for command in (
    *(
        policy,
        plan,
        approve,
        confirm,
        apply,
        verify,
        check,
        discover,
        findings,
        risk,
        plans,
        explain,
        hold,
        evidence,
        restore,
        replay,
        store,
    ),
):
    main.add_command(command)
