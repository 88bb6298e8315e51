"""`python -m lethe_airflow.roles`: create Lethe's roles in Airflow, users who have them, and the pool of its tasks.

Running it again changes nothing that is as it should be. What a role may do with one DAG is said by that DAG's
`access_control`; here stands only what holds for all of them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride

Permission = tuple[str, str]

POOL = "lethe_stores"

# Whose word counts for plans and holds, as auth_manager.py understands it; an administrator's does not.
OFFICER = "role:PrivacyOfficer"

# The resource under which the compliance pages ask whether a user may read them.
PAGES = "Compliance Pages"

_READ = (
    "Assets", "Audit Logs", "Cluster Activity", "DAG Code", "DAG Dependencies", "DAG Runs", "DAG Versions",
    "DAG Warnings", "DAGs", "HITL Detail", "ImportError", "Jobs", "My Profile", "Plugins", "Pools",
    "Task Instances", "Task Logs", "Website", "XComs", PAGES,
)  # fmt: skip
_MENU = (
    "Assets", "Audit Logs", "Browse", "Cluster Activity", "DAG Runs", "DAGs", "HITL Detail", "Jobs", "Task Instances",
)  # fmt: skip
_OWN_ACCOUNT = (("can_edit", "My Profile"), ("can_read", "My Password"), ("can_edit", "My Password"))

READER: frozenset[Permission] = frozenset(
    [*(("can_read", name) for name in _READ), *(("menu_access", name) for name in _MENU), *_OWN_ACCOUNT]
)

# What most DAGs say in their `access_control`: the platform team runs it, and the privacy officer reads it.
RUN_BY_PLATFORM = {
    "Platform": {"DAGs": {"can_read", "can_edit"}, "DAG Runs": {"can_create", "can_read"}},
    "PrivacyOfficer": {"DAGs": {"can_read"}, "DAG Runs": {"can_read"}},
}

# Who sees one DAG only, by its `access_control`: nothing here says "all DAGs".
GUEST: frozenset[Permission] = frozenset(
    [
        *(("can_read", name) for name in ("DAG Runs", "HITL Detail", "My Profile", "Task Instances", "Website")),
        *(("menu_access", name) for name in ("DAGs", "HITL Detail")),
        ("can_edit", "HITL Detail"),
        *_OWN_ACCOUNT,
    ]
)

# Who answers approvals does not start sweeps, and who starts sweeps does not answer approvals.
ROLES: Mapping[str, frozenset[Permission]] = {
    "PrivacyOfficer": READER | {("can_edit", "HITL Detail")},
    "HR": GUEST,
    "Manager": GUEST,
    "Platform": READER | {("can_create", "DAG Runs"), ("can_edit", "DAG Runs"), ("can_edit", "Task Instances")},
}


def ensure_roles(manager: FabAirflowSecurityManagerOverride) -> None:
    """Create the roles and give each exactly the permissions above, besides those that DAGs give it."""
    manager.sync_roles()
    for name, permissions in ROLES.items():
        role = manager.add_role(name)
        for surplus in _surplus(role.permissions, permissions):
            manager.remove_permission_from_role(role, surplus)
        for action, resource in sorted(permissions):
            manager.add_permission_to_role(role, manager.create_permission(action, resource))
    # Once more: an administrator has every permission there is, also the ones just made.
    manager.sync_roles()


def ensure_user(manager: FabAirflowSecurityManagerOverride, name: str, role: str, password: str | None) -> str | None:
    """Create the user, or give it this role and, unless None, this password; return a password that had to be made up.

    Raises click.UsageError when there is no such role.
    """
    wanted, user = manager.find_role(role), manager.find_user(username=name)
    if wanted is None:
        raise click.UsageError(
            f"no role {role!r}; there are {', '.join(sorted(r.name for r in manager.get_all_roles()))}"
        )
    if user is None:
        made_up = None if password else secrets.token_urlsafe(16)
        manager.add_user(name, name.capitalize(), "Lethe", f"{name}@example.invalid", wanted, password or made_up)
        return made_up
    user.roles = [wanted]
    manager.update_user(user)
    if password:
        manager.reset_password(user.id, password)
    return None


def _surplus(held: Iterable[Any], wanted: frozenset[Permission]) -> list[Any]:
    general = [p for p in held if not p.resource.name.startswith(("DAG:", "DAG Run:"))]
    return [p for p in general if (p.action.name, p.resource.name) not in wanted]


def ensure_pool() -> None:
    """Create the pool that bounds how many tasks work on stores at once; its size, once it is there, is the site's."""
    from airflow.models.pool import Pool

    if Pool.get_pool(POOL) is None:
        Pool.create_or_update_pool(POOL, slots=8, description="Tasks that work on stores", include_deferred=False)


@click.command()
@click.option("--user", "users", multiple=True, metavar="NAME=ROLE", help="Also create this user; may be repeated.")
def main(users: tuple[str, ...]) -> None:
    """Create Lethe's roles in Airflow's database, and users with them.

    A user's password is read from LETHE_PASSWORD_<NAME>. Without it a new user gets one that is printed once, and a
    known user keeps its own.
    """
    from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

    with get_application_builder() as builder:
        ensure_roles(builder.sm)
        ensure_pool()
        click.echo(f"roles: {', '.join(ROLES)}")
        for name, _, role in (user.partition("=") for user in users):
            made_up = ensure_user(builder.sm, name, role, os.environ.get(f"LETHE_PASSWORD_{name.upper()}"))
            click.echo(f"user {name} ({role})" + (f", password {made_up}" if made_up else ""))


if __name__ == "__main__":
    main()
