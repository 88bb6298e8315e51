"""Named queries: `-- name: …` lines in .sql files, read once."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast


@cache
def queries(file: str) -> dict[str, LiteralString]:
    """The queries of `<file>.sql` by name; they are the package's own text, hence literal."""
    text = script(file)
    parts = re.split(r"^-- name: (\w+)$", text, flags=re.MULTILINE)[1:]
    return {name: cast(LiteralString, body.strip()) for name, body in zip(parts[::2], parts[1::2], strict=True)}


def script(file: str) -> LiteralString:
    """The whole of `<file>.sql`."""
    return (files(__package__) / f"{file}.sql").read_text(encoding="utf-8")
