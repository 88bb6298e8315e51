"""Holds over HTTP, in JSON: place, list, review and release them, with the checks of `lethe hold`.

Whoever mounts it says whose word counts: there is no way to get the app without. Keys name people: they come and go in
bodies, never in an address, which servers write into their logs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Any

from fastapi import Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from lethe import clock, holding
from lethe.errors import HoldError, HoldReleased, LetheError, NoSuchHold
from lethe.hold_forms import HoldTold, Placing, Reviewing
from lethe.holds import Target, targets_of
from lethe.pages.views import Site
from lethe.run import Lethe

_ABOUT = """
What must be kept although it is due, on the privacy officer's word. Sign in with Airflow's session, or send
`Authorization: Bearer` with a token from `/auth/token`.

A hold is in force once every store that it is about has it. A store that this server does not reach gets it before
anything is done there: the hold waits until then, and a warning says so.
"""


class Problem(BaseModel):
    """Why nothing was done."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    detail: str
    """What was found, what was expected, and what to do; a line for each problem."""


_PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": description}
    for status, description in {
        401: "Nobody is signed in.",
        403: "The user is not the privacy officer.",
        404: "No hold has this id, or several begin so.",
        409: "The hold was released before.",
        422: "The request names what is not there, or is not one.",
        503: "A database did not answer as it should, or a setting is missing. Nothing was said to any hold.",
    }.items()
}


def holds_app(site: Site, officer: Callable[..., str]) -> FastAPI:
    """The API; `officer` is a dependency: Airflow's number of the user whose word counts, or it raises 401 or 403."""

    def signed_in(request: Request, response: Response, person: str = Depends(officer)) -> None:
        request.state.person = person
        response.headers["Cache-Control"] = "no-store"

    # FastAPI's own pages, and its description, would not be behind the dependency.
    app = FastAPI(
        title="Lethe: holds",
        description=_ABOUT,
        dependencies=[Depends(signed_in)],
        responses=_PROBLEMS,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.state.site = site
    told: dict[str, Any] = {"response_model_exclude_unset": True}
    app.get("/holds", summary="List the holds", **told)(list_holds)
    app.post("/holds", summary="Place a hold", status_code=201, **told)(place)
    app.post("/holds/{hold}/review", summary="Say that a hold is still needed", **told)(review)
    app.post("/holds/{hold}/release", summary="Release a hold", **told)(release)
    app.get("/openapi.json", include_in_schema=False)(description)
    app.exception_handler(HTTPException)(refused)
    app.exception_handler(RequestValidationError)(not_understood)
    app.exception_handler(LetheError)(failed)
    return app


def list_holds(
    request: Request,
    released: Annotated[bool, Query(description="Those that were released, too.")] = False,
    keys: Annotated[bool, Query(description="With the keys of rows, which name people.")] = False,
) -> list[HoldTold]:
    """The holds, oldest first; those that should have been looked at by now have `past_review`."""
    with _lethe(request) as lethe:
        today = lethe.today(clock.now())
        return [HoldTold.of(each, today, keys=keys) for each in lethe.state.holds.holds(released=released)]


def place(request: Request, wanted: Placing) -> HoldTold:
    """Place a hold on rows, on whole datasets, or on rules. What is mistyped is refused, and nothing is placed."""
    with _lethe(request) as lethe:
        rows = [(row.dataset, row.key) for row in wanted.rows]
        targets = tuple(targets_of(lethe.policy, rows, wanted.datasets, wanted.rules))
        placed = holding.place(lethe, wanted.because, targets, wanted.review, **_word(request))
        return _answer(lethe, placed.hold, [*placed.unasked, *_not_yet(lethe, targets)])


def review(request: Request, hold: str, looked_at: Reviewing) -> HoldTold:
    """Say that the hold was looked at and is still needed. The first digits of its id are enough."""
    with _lethe(request) as lethe:
        found = holding.review(lethe, hold, looked_at.review, **_word(request))
        return _answer(lethe, found.id, ())


def release(request: Request, hold: str) -> HoldTold:
    """Say that the hold is over: what it kept is judged again by the next plan, its keys are forgotten in a year."""
    with _lethe(request) as lethe:
        found = holding.release(lethe, hold, **_word(request))
        return _answer(lethe, found.id, _not_yet(lethe, found.targets))


def description(request: Request) -> Response:
    """This API for programs, with the address that it has here."""
    return JSONResponse(request.app.openapi() | {"servers": [{"url": request.scope.get("root_path") or "/"}]})


def refused(_request: Request, problem: Exception) -> Response:
    """401, 403 and the like; who is not signed in is told how to."""
    assert isinstance(problem, HTTPException)
    how = ": sign in to Airflow, or send `Authorization: Bearer` with a token from /auth/token"
    detail = problem.detail + (how if problem.status_code == 401 else "")
    return JSONResponse({"detail": detail}, problem.status_code, problem.headers)


def not_understood(_request: Request, error: Exception) -> Response:
    """What is wrong with a request, all of it at once and where; not what was found there, which can be a key."""
    assert isinstance(error, RequestValidationError)
    lines = [f"{'.'.join(str(step) for step in each['loc'])}: {each['msg']}" for each in error.errors()]
    return JSONResponse({"detail": "\n".join(lines)}, 422)


def failed(_request: Request, error: Exception) -> Response:
    """What Lethe found wrong, in its own words: they never carry a key."""
    statuses = ((NoSuchHold, 404), (HoldReleased, 409), (HoldError, 422), (LetheError, 503))
    return JSONResponse({"detail": str(error)}, next(status for kind, status in statuses if isinstance(error, kind)))


def _lethe(request: Request) -> Lethe:
    site: Site = request.app.state.site
    return site.acting()


def _word(request: Request) -> dict[str, Any]:
    return {"via": "airflow", "person": request.state.person}


def _not_yet(lethe: Lethe, targets: Iterable[Target]) -> list[str]:
    return [str(each) for each in holding.bring_up(lethe, (target.store for target in targets)) if each.error]


def _answer(lethe: Lethe, hold: str, warnings: Iterable[str]) -> HoldTold:
    return HoldTold.of(lethe.state.holds.hold(hold), lethe.today(clock.now()), warnings=tuple(warnings))
