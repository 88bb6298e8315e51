"""The pages as a web app: /plans and /plans/DIGEST, each as HTML and as JSON, all of it behind one dependency.

Whoever mounts it says who may read: there is no way to get the app without.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException as AnyHTTPException

from lethe.errors import ConfigError, LetheError, StoreError
from lethe.model import Policy
from lethe.pages import shape
from lethe.pages.words import LANGUAGES, WORDS, chosen
from lethe.policy import load
from lethe.run import STATE_CONNECTION, Lethe
from lethe.state import STATES, Listed, State

LIMIT = 500
"""So many plans are looked through for the table: a month of seventeen rules."""

_STYLE = (files(__package__) / "static" / "pages.css").read_text(encoding="utf-8")
_TEMPLATES = Environment(
    loader=PackageLoader("lethe.pages"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_TEMPLATES.globals["query"] = lambda values: f"?{urlencode(values)}" if values else ""
# The style stands in the page, allowed by its digest: also who may read nothing gets a page that can be read.
_STYLE_DIGEST = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
    "Vary": "Accept, Accept-Language, Cookie, Authorization",
}


class Site:
    """What the pages are about: a policy directory, and where lethe_state is; and where a reader signs in."""

    def __init__(
        self, policy_dir: Path, conninfo: Callable[[str], str], sign_in: Callable[[Request], str | None]
    ) -> None:
        self._policy_dir, self._conninfo, self.sign_in = policy_dir, conninfo, sign_in

    @property
    def policy(self) -> Policy:
        """The policy as its files are now."""
        newest = max(path.stat().st_mtime_ns for path in self._policy_dir.rglob("*"))
        return _policy(self._policy_dir, newest)

    @contextmanager
    def reading(self) -> Iterator[State]:
        """lethe_state, for one request."""
        with closing(State(self._conninfo(STATE_CONNECTION))) as reading:
            yield reading

    def acting(self) -> Lethe:
        """Lethe over the databases that this web server knows; for one request, to be closed by `with`."""
        return Lethe(self.policy, self._conninfo)


@lru_cache(maxsize=1)
def _policy(directory: Path, _newest: int) -> Policy:
    return load(directory)


def pages_app(site: Site, allowed: Callable[..., object]) -> FastAPI:
    """The pages; `allowed` is a dependency that raises 401 or 403 for who may not read them."""
    # FastAPI's own documentation pages would not be behind the dependency.
    app = FastAPI(title="Lethe", dependencies=[Depends(allowed)], docs_url=None, redoc_url=None, openapi_url=None)
    app.state.site = site
    app.get("/plans")(plans)
    app.get("/plans.json")(plans)
    app.get("/plans/{digest}.json")(plan)
    app.get("/plans/{digest}")(plan)
    app.get("/{path:path}")(nothing_here)
    app.exception_handler(AnyHTTPException)(refused)
    app.exception_handler(LetheError)(failed)
    return app


def plans(request: Request, rule: Annotated[str, Query()] = "", state: Annotated[str, Query()] = "") -> Response:
    """The latest plans, newest first; of one rule and in one state where these are given."""
    policy, looked_at = _site(request).policy, _latest(request, rule)
    found = [entry for entry in looked_at if state in ("", entry.state)]
    if _wants_json(request):
        return JSONResponse([shape.summary(entry, policy) for entry in found], headers=_HEADERS)
    filters = {"rules": sorted({*policy.rules, *(e.plan.rule for e in looked_at)}), "states": STATES}
    limit = LIMIT if len(looked_at) == LIMIT else None
    return _page(request, "plans.html", policy, entries=found, **filters, rule=rule, state=state, limit=limit)


def plan(request: Request, digest: str) -> Response:
    """One plan, as a person reads it before and after saying yes or no."""
    policy, speech = _site(request).policy, _speech(request)
    with _site(request).reading() as reading:
        entry = next(iter(reading.plans(1, digest=digest)), None)
        runs = reading.runs(digest)
        if entry is not None:
            reading.plan(digest)  # refuses one whose text is not what it was
    if entry is None:
        text = {"title": speech("no such plan"), "text": speech("no such plan text", digest=digest[:64])}
        return _problem(request, 404, text)
    if _wants_json(request):
        return JSONResponse(shape.whole(entry, runs, policy, speech.lang), headers=_HEADERS)
    return _page(request, "plan.html", policy, entry=entry, plan=entry.plan, runs=runs)


def nothing_here(path: str) -> Response:  # noqa: ARG001 - the pattern names it
    """Every other address: even that there is nothing is told only to who may read."""
    raise HTTPException(404)


def refused(request: Request, problem: Exception) -> Response:
    """401, 403, 404 and the like in words."""
    assert isinstance(problem, AnyHTTPException)
    status, speech = problem.status_code, _speech(request)
    key = {401: "not signed in", 403: "forbidden", 404: "not found"}.get(status, "broken")
    text = {"title": speech(key), "text": speech(f"{key} text")}
    sign_in = _site(request).sign_in(request) if status == 401 else None
    return _problem(request, status, text, sign_in, problem.headers or {})


def failed(request: Request, error: Exception) -> Response:
    """What Lethe found wrong, in its own words: they never carry a value of a row."""
    unavailable = isinstance(error, StoreError | ConfigError)
    speech, key = _speech(request), "unavailable" if unavailable else "broken"
    text = {"title": speech(key), "text": speech(f"{key} text"), "error": str(error)}
    return _problem(request, 503 if unavailable else 500, text)


def _problem(
    request: Request, status: int, text: dict[str, str], sign_in: str | None = None, more: Mapping[str, str] = _HEADERS
) -> Response:
    if _wants_json(request):
        answer: Response = JSONResponse({"error": text["title"], "detail": text.get("error", text["text"])})
    else:
        answer = _page(request, "problem.html", problem={"error": "", **text}, sign_in=sign_in)
    answer.status_code = status
    answer.headers.update(_HEADERS | dict(more))
    return answer


def _page(request: Request, template: str, policy: Policy | None = None, **values: Any) -> Response:
    """A page of HTML; the language that was asked for by `lang` stays from page to page."""
    asked, say = request.query_params.get("lang"), _speech(request, policy)
    context = {
        "say": say,
        "shape": shape,
        "policy": policy,
        "base": request.scope.get("root_path", ""),
        "here": dict(request.query_params),
        "kept": {"lang": asked} if asked in WORDS else {},
        "languages": LANGUAGES,
        "style": _STYLE,
    }
    text = _TEMPLATES.get_template(template).render(context | values)
    return HTMLResponse(text, headers=_HEADERS | {"Content-Language": say.lang})


def _site(request: Request) -> Site:
    site: Site = request.app.state.site
    return site


def _latest(request: Request, rule: str) -> tuple[Listed, ...]:
    with _site(request).reading() as reading:
        return reading.plans(LIMIT, rule=rule or None)


def _speech(request: Request, policy: Policy | None = None) -> shape.Speech:
    """The reader's language; the zone is the organisation's where there is a policy, for times are shown only there."""
    accepted = request.headers.get("accept-language", "")
    lang = chosen(request.query_params.get("lang"), accepted, tuple(WORDS))
    return shape.Speech(lang, policy.organisation.zone if policy else ZoneInfo("UTC"))


def _wants_json(request: Request) -> bool:
    accepted = request.headers.get("accept", "")
    return request.url.path.endswith(".json") or ("application/json" in accepted and "text/html" not in accepted)
