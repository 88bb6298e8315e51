"""What is found in schemas of others does not get less; bench/discovery.py prints what is missed."""

import pytest

from labelled_schemas import FOLDER, NAMES, score

LEAST = {"matrix-synapse": 0.9}  # what has `state_key` and the like for a person's id is known by its values only
PRECISION = {"airflow": 0.5, "django-crm": 0.6, "django-helpdesk": 0.6}


@pytest.mark.parametrize("name", NAMES)
def test_recall_and_precision_on_schemas_of_others(name: str) -> None:
    found = score(name)
    assert found.recall >= LEAST.get(name, 0.95), found.missed
    assert found.precision >= PRECISION.get(name, 0.8)


def test_the_labels_are_whole() -> None:
    assert len(NAMES) == 7
    lines = [line for path in FOLDER.glob("*.tsv") for line in path.read_text("utf-8").splitlines()]
    assert len(lines) == 3779
    assert all(len(line.split("\t")) == 4 for line in lines)
