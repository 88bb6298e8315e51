"""Policy files → Policy; or every problem at once, each with file, line and column."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from lethe.errors import PolicyError
from lethe.model import Policy
from lethe.policy.format import ActivityFile, Form, OrganisationFile, StoresFile
from lethe.policy.offboarding_forms import OffboardingFile
from lethe.policy.problems import Problem, Problems, Spot
from lethe.policy.reading import Tree, Unreadable, read
from lethe.policy.resolve import Source, Sources, resolve
from lethe.policy.structure import fit

F = TypeVar("F", bound=Form)


def load(directory: Path) -> Policy:
    """Read organisation.yaml, stores.yaml, activities/*.yaml and, where there is one, offboarding.yaml of a directory.

    Raises PolicyError with one line `file:line:col: ...` for each problem, sorted by place.
    """
    problems = Problems()
    sources = _sources(directory, problems)
    policy = resolve(sources, problems)
    if problems.found or policy is None:
        raise PolicyError(problems.lines())
    return policy


def _sources(directory: Path, problems: Problems) -> Sources:
    folder = directory / "activities"
    files = sorted(path for path in folder.glob("*.yaml") if not path.name.startswith("."))
    if not files:
        problems.found.add(Problem(str(folder), 1, 1, "found no *.yaml file, expected one for each activity"))
    for path in (*folder.glob("*.yml"), *directory.glob("offboarding.yml")):
        problems.found.add(Problem(str(path), 1, 1, "found the ending .yml, expected .yaml: it would not be read"))
    departures = directory / "offboarding.yaml"
    return Sources(
        organisation=_source(directory / "organisation.yaml", OrganisationFile, problems),
        stores=_source(directory / "stores.yaml", StoresFile, problems),
        activities=tuple(_source(path, ActivityFile, problems) for path in files),
        offboarding=_source(departures, OffboardingFile, problems) if departures.exists() else None,
    )


def _source(path: Path, form: type[F], problems: Problems) -> Source[F]:
    file = str(path)
    try:
        tree, complaints = read(file, path.read_bytes())
    except OSError as error:
        problems.found.add(Problem(file, 1, 1, f"found no readable file ({error.strerror}), expected one"))
        return Source(Spot(Tree(file, broken={()}), problems), None)
    except Unreadable as error:
        problems.found.add(Problem(file, error.place.line, error.place.column, error.text))
        return Source(Spot(Tree(file, broken={()}), problems), None)
    problems.found |= {Problem(file, place.line, place.column, text) for place, text in complaints}
    return Source(Spot(tree, problems), fit(tree, form, problems))
