"""The checks share nothing with the sweep but the policy: a mistake of one is to be seen by the other."""

import ast
from pathlib import Path

import lethe.checks

SHARED = ("lethe.deadlines", "lethe.decide", "lethe.stores.memory", "lethe.sql")
ALLOWED = {"lethe.stores.postgres.connection"}
"""How errors are told; no statement, no date."""


def test_no_check_imports_what_the_sweep_judges_or_acts_by() -> None:
    home = Path(lethe.checks.__file__).parent
    found = {
        name
        for file in home.glob("*.py")
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        for name in _imported(node)
    }
    assert "lethe.model" in found
    assert not {name for name in found if name.startswith(SHARED)}
    assert {name for name in found if name.startswith("lethe.stores")} <= ALLOWED


def _imported(node: ast.AST) -> list[str]:
    if isinstance(node, ast.ImportFrom):
        return [str(node.module)]
    return [each.name for each in node.names] if isinstance(node, ast.Import) else []
