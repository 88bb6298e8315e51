"""Who may answer an approval: the users it names, or everybody with a role it names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow.providers.fab.auth_manager.fab_auth_manager import FabAuthManager

if TYPE_CHECKING:
    from airflow.providers.fab.auth_manager.models import User

ROLE_PREFIX = "role:"


class LetheFabAuthManager(FabAuthManager):
    """Flask-AppBuilder's auth manager, which also understands `role:NAME` among an approval's assigned users.

    Its name contains "FabAuthManager" because Airflow looks for that word before it applies a DAG's `access_control`.
    """

    def is_authorized_hitl_task(self, *, assigned_users: set[str], user: User) -> bool:
        """Tell whether the user may answer: named by its id, or holding one of the roles named as `role:NAME`.

        Being an administrator is not enough: an administrator could otherwise approve in the privacy officer's place.
        Airflow asks this only for approvals that name somebody.
        """
        roles = {f"{ROLE_PREFIX}{role.name}" for role in user.roles}
        return not assigned_users.isdisjoint(roles | {str(user.get_id())})
