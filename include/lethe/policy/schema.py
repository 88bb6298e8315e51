"""The published JSON Schema of the policy files, for editors: one definition for each kind of file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic.json_schema import models_json_schema

from lethe.policy.format import ActivityFile, OrganisationFile, StoresFile
from lethe.policy.offboarding_forms import OffboardingFile

PUBLISHED = Path(__file__).with_name("policy.schema.json")


def schema() -> dict[str, Any]:
    """JSON Schema draft 2020-12, made from the forms in format.py and offboarding_forms.py."""
    forms = (OrganisationFile, StoresFile, ActivityFile, OffboardingFile)
    _, definitions = models_json_schema([(form, "validation") for form in forms], by_alias=True)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Lethe policy",
        "description": "Files of a policy; refer to the definition of the kind of file, such as #/$defs/ActivityFile.",
        "anyOf": [{"$ref": f"#/$defs/{form.__name__}"} for form in forms],
        **definitions,
    }


def text() -> str:
    """The schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
