"""The policy: YAML files in, a resolved and checked `lethe.model.Policy` out."""

from lethe.policy.load import load

__all__ = ["load"]
