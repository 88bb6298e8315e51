"""What is wrong with a policy, each thing with the place where it stands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from difflib import get_close_matches

from lethe.policy.reading import Path, Tree


@dataclass(frozen=True, order=True)
class Problem:
    """One thing that is wrong; sorts by file and position (both from 1)."""

    file: str
    line: int
    column: int
    text: str

    def __str__(self) -> str:
        """One line, as compilers and editors write it; what cannot be printed is written as its number."""
        line = f"{self.file}:{self.line}:{self.column}: {self.text}"
        return "".join(each if each.isprintable() else f"\\u{ord(each):04x}" for each in line)


@dataclass
class Problems:
    """Collects problems and warnings."""

    found: set[Problem] = field(default_factory=set)
    warnings: set[Problem] = field(default_factory=set)

    def lines(self) -> tuple[str, ...]:
        """All problems, sorted."""
        return tuple(str(problem) for problem in sorted(self.found))

    def warning_lines(self) -> tuple[str, ...]:
        """All warnings, sorted."""
        return tuple(str(warning) for warning in sorted(self.warnings))


@dataclass(frozen=True)
class Spot:
    """A place in a file, and where to write down what is wrong there."""

    tree: Tree
    problems: Problems
    path: Path = ()

    def __truediv__(self, part: str | int) -> Spot:
        """A place further in."""
        return Spot(self.tree, self.problems, (*self.path, part))

    def report(self, text: str, *, key: bool = False) -> None:
        """Note a problem with the value here, or with its key; not within what is reported as broken already."""
        if not self.tree.is_broken(self.path):
            self.problems.found.add(self._problem(text, key=key))

    def expected(self, what: str) -> None:
        """Note that the value here, quoted as it is written, is not what is expected."""
        self.report(f"found {self.tree.quote(self.path)}, expected {what}")

    def warn(self, text: str, *, key: bool = False) -> None:
        """Note something that a person should look at, and that stops nothing."""
        self.problems.warnings.add(self._problem(text, key=key))

    def _problem(self, text: str, *, key: bool) -> Problem:
        place = self.tree.place(self.path, key=key)
        where = ".".join(map(str, self.path))
        return Problem(self.tree.file, place.line, place.column, f"{where}: {text}" if where else text)


def one_of(what: str, word: str, known: Iterable[str]) -> str:
    """`what`, followed by the nearest known word, or by all of them when none is near and they are few."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    if near:
        return f'{what} (did you mean "{near[0]}"?)'
    if 0 < len(names) <= 8:
        return f"{what} ({', '.join(names)})"
    return what
