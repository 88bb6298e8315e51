"""Mounts the compliance pages and the API of the holds into Airflow's web server under /lethe.

Airflow itself asks nobody who may read and use them.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from airflow.exceptions import AirflowNotFoundException
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, HTTPException, Request

from lethe.errors import ConfigError
from lethe.pages.api import holds_app
from lethe.pages.views import Site, pages_app
from lethe_airflow.connections import conninfo
from lethe_airflow.roles import OFFICER, PAGES
from lethe_airflow.sweep import POLICY_DIR

PREFIX = "/lethe"
API = f"{PREFIX}/api"


def may_read(user: Annotated[BaseUser, Depends(get_user)]) -> None:
    """Let pass who may read the pages: 401 from get_user for nobody, 403 for anybody without the permission."""
    if not get_auth_manager().is_authorized_custom_view(method="GET", resource_name=PAGES, user=user):
        raise HTTPException(403)


def officer(user: Annotated[BaseUser, Depends(get_user)]) -> str:
    """Airflow's number of the user, if it may answer for plans: 401 from get_user for nobody, 403 for anybody else."""
    if not get_auth_manager().is_authorized_hitl_task(assigned_users={OFFICER}, user=user):
        raise HTTPException(403, "found a user without the role PrivacyOfficer: holds take the privacy officer's word")
    return str(user.get_id())


def address(connection: str) -> str:
    """The libpq connection string of an Airflow connection, from the web server's secrets backends."""
    try:
        return conninfo(connection)
    except AirflowNotFoundException:
        raise ConfigError(f"connection {connection}: the web server does not have it") from None


def sign_in(request: Request) -> str:
    """Airflow's own login page, which leads back here."""
    return get_auth_manager().get_url_login(next_url=str(request.url))


SITE = Site(POLICY_DIR, address, sign_in)


class CompliancePages(AirflowPlugin):
    """The pages and a link to them in the menu; the API."""

    name = "compliance_pages"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"name": "Lethe: holds", "app": holds_app(SITE, officer), "url_prefix": API},  # before what has all of /lethe
        {"name": "Lethe", "app": pages_app(SITE, may_read), "url_prefix": PREFIX},
    ]
    external_views: ClassVar[list[dict[str, Any]]] = [
        {"name": "Lethe", "href": f"{PREFIX}/plans", "destination": "nav", "nav_top_level": True}
    ]
