"""Mounts the compliance pages into Airflow's web server under /lethe. Airflow itself asks nobody who may read them."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.base_user import BaseUser
from airflow.api_fastapi.core_api.security import get_user
from airflow.exceptions import AirflowNotFoundException
from airflow.plugins_manager import AirflowPlugin
from fastapi import Depends, HTTPException, Request

from lethe.errors import ConfigError
from lethe.pages.views import Site, pages_app
from lethe_airflow.connections import conninfo
from lethe_airflow.roles import PAGES
from lethe_airflow.sweep import POLICY_DIR

PREFIX = "/lethe"


def may_read(user: Annotated[BaseUser, Depends(get_user)]) -> None:
    """Let pass who may read the pages: 401 from get_user for nobody, 403 for anybody without the permission."""
    if not get_auth_manager().is_authorized_custom_view(method="GET", resource_name=PAGES, user=user):
        raise HTTPException(403)


def address(connection: str) -> str:
    """The libpq connection string of an Airflow connection, from the web server's secrets backends."""
    try:
        return conninfo(connection)
    except AirflowNotFoundException:
        raise ConfigError(f"connection {connection}: the web server does not have it") from None


def sign_in(request: Request) -> str:
    """Airflow's own login page, which leads back here."""
    return get_auth_manager().get_url_login(next_url=str(request.url))


class CompliancePages(AirflowPlugin):
    """The pages and a link to them in the menu."""

    name = "compliance_pages"
    fastapi_apps: ClassVar[list[dict[str, Any]]] = [
        {"name": "Lethe", "app": pages_app(Site(POLICY_DIR, address, sign_in), may_read), "url_prefix": PREFIX}
    ]
    external_views: ClassVar[list[dict[str, Any]]] = [
        {"name": "Lethe", "href": f"{PREFIX}/plans", "destination": "nav", "nav_top_level": True}
    ]
