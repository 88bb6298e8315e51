"""`lethe findings`: what the checks hold against the stores, since when, and who answers for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from lethe.cli.options import open_lethe
from lethe.cli.policy import directory_option, json_option, language_option
from lethe.findings import Known


@click.command()
@click.option("--all", "everything", is_flag=True, help="Those that are gone, too.")
@directory_option
@json_option
@language_option
def findings(everything: bool, directory: Path, as_json: bool, lang: str) -> None:
    """List what the daily checks found wrong, the gravest first; exit 1 when something is open.

    A finding stays open until a check that could look sees it no more. An alarm says that a promise is broken, or that
    nobody can tell; a warning that it may be; a notice that somebody should look. `lethe check` asks anew, and changes
    none of them: only the DAG verify_no_expired_data does.
    """
    with open_lethe(directory) as lethe:
        found = lethe.state.findings.known(gone=everything)
    if as_json:
        click.echo(json.dumps([_as_json(each, lang) for each in found], indent=2, default=str))
    else:
        for each in found:
            click.echo(_as_line(each, lang))
    if any(each.gone_at is None for each in found):
        raise SystemExit(1)


def _as_line(known: Known, lang: str) -> str:
    gone = f", gone {known.gone_at:%Y-%m-%d}" if known.gone_at else ""
    detail = f" ({known.detail})" if known.detail else ""
    since = f"since {known.opened_at:%Y-%m-%d}{gone}"
    return f"{known.severity:<8}{known.store}: {known.finding.words(lang)}{detail}; {since}; {known.role}"


def _as_json(known: Known, lang: str) -> dict[str, Any]:
    return {**known._asdict(), "words": known.finding.words(lang)}
