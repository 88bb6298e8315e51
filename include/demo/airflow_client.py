"""A small client of Airflow's REST API, for the demo and the tests: one named user, the few calls that they need."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Self

import httpx

FINISHED = frozenset({"success", "failed"})
PAGE = 100

# A task that waits for a person still tells the scheduler that its process ended. An answer that overtakes this makes
# the scheduler take the resumed task for one that was killed. People are never so quick; programs are.
SETTLE_SECONDS = 4.0


class AirflowRefused(Exception):
    """Airflow answered with an error; `status` is its HTTP status, the message says what was asked and its reply."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class AirflowClient:
    """Airflow as one user sees it. Every method raises AirflowRefused when Airflow does not do what was asked."""

    def __init__(self, url: str, user: str, password: str, *, timeout: float = 30.0) -> None:
        # The address is on this machine: a proxy from the surroundings has no business with it.
        self._http = httpx.Client(base_url=url, timeout=timeout, trust_env=False)
        self._credentials = {"username": user, "password": password}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give back the connection."""
        self._http.close()

    def login(self) -> None:
        """Exchange user name and password for a token; the other methods do this by themselves when needed."""
        self._http.headers.pop("Authorization", None)
        reply = self._http.post("/auth/token", json=self._credentials)
        self._http.headers["Authorization"] = f"Bearer {_checked(reply).json()['access_token']}"

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Call one endpoint of `/api/v2` and return its decoded reply; None when the reply is empty."""
        if "Authorization" not in self._http.headers:
            self.login()
        reply = self._http.request(method, f"/api/v2/{path}", **arguments)
        if reply.status_code == httpx.codes.UNAUTHORIZED:
            self.login()
            reply = self._http.request(method, f"/api/v2/{path}", **arguments)
        _checked(reply)
        return reply.json() if reply.content else None

    def dags(self) -> list[str]:
        """Return the ids of the DAGs that Airflow has read and that this user may see."""
        return [dag["dag_id"] for dag in self._all("dags", "dags")]

    def import_errors(self) -> list[str]:
        """Return what Airflow says about DAG files that it could not read."""
        return [error["stack_trace"] for error in self._all("importErrors", "import_errors")]

    def wait_for_dags(self, wanted: Sequence[str], *, seconds: float = 60.0) -> None:
        """Return when Airflow has read all these DAGs; TimeoutError with the import errors when it has not."""
        deadline = time.monotonic() + seconds
        while missing := set(wanted) - set(self.dags()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"DAGs not read after {seconds:.0f} s: {sorted(missing)}; {self.import_errors()}")
            time.sleep(0.3)

    def unpause(self, dag: str) -> None:
        """Let the scheduler run a DAG."""
        self.request("PATCH", f"dags/{dag}", json={"is_paused": False})

    def pause(self, dag: str) -> None:
        """Keep the scheduler from running a DAG."""
        self.request("PATCH", f"dags/{dag}", json={"is_paused": True})

    def trigger(self, dag: str, conf: Mapping[str, object] | None = None) -> str:
        """Start a run of a DAG now, with these values for its params, and return the run's id."""
        body = {"logical_date": None, "conf": dict(conf or {})}
        return str(self.request("POST", f"dags/{dag}/dagRuns", json=body)["dag_run_id"])

    def runs(self, dag: str = "~", **filters: str) -> list[dict[str, Any]]:
        """Return the runs of a DAG, or of all of them; filters as in Airflow's API, for example `state="running"`."""
        return self._all(f"dags/{dag}/dagRuns", "dag_runs", **filters)

    def state(self, dag: str, run: str) -> str:
        """Return a run's state: queued, running, success or failed."""
        return str(self.request("GET", f"dags/{dag}/dagRuns/{run}")["state"])

    def wait(self, dag: str, run: str, *, seconds: float = 180.0) -> str:
        """Return a run's final state; TimeoutError when it is not finished in time."""
        deadline = time.monotonic() + seconds
        while (state := self.state(dag, run)) not in FINISHED:
            if time.monotonic() > deadline:
                raise TimeoutError(f"run {run} of {dag} is still {state} after {seconds:.0f} s")
            time.sleep(0.3)
        return state

    def tasks(self, dag: str, run: str) -> list[dict[str, Any]]:
        """Return the task instances of a run, mapped ones one by one."""
        return self._all(f"dags/{dag}/dagRuns/{run}/taskInstances", "task_instances")

    def log(self, dag: str, run: str, task: str, *, attempt: int = 1, map_index: int = -1) -> str:
        """Return the log of one attempt of a task, as Airflow shows it."""
        path = f"dags/{dag}/dagRuns/{run}/taskInstances/{task}/logs/{attempt}"
        reply = self.request("GET", path, params={"map_index": map_index, "full_content": True})
        return "\n".join(str(line) for line in reply["content"])

    def approvals(self, dag: str = "~", run: str = "~") -> list[dict[str, Any]]:
        """Return the approvals that nobody has answered yet, with `task_instance`, `subject`, `body` and `options`."""
        return self._all(f"dags/{dag}/dagRuns/{run}/hitlDetails", "hitl_details", response_received="false")

    def wait_for_approvals(
        self, dag: str, run: str = "~", *, count: int = 1, seconds: float = 60.0
    ) -> list[dict[str, Any]]:
        """Return approvals() as soon as there are so many; TimeoutError when there are not."""
        deadline = time.monotonic() + seconds
        while len(waiting := self.approvals(dag, run)) < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(waiting)} approvals of {dag} wait after {seconds:.0f} s, expected {count}")
            time.sleep(0.3)
        return waiting

    def answer(self, approval: Mapping[str, Any], option: str, params: Mapping[str, object] | None = None) -> None:
        """Answer one of approvals() with one of its options; status 403 when it is not this user's to answer."""
        task = approval["task_instance"]
        path = f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}/{task['map_index']}"
        if "created_at" in approval:
            asked_at = datetime.fromisoformat(approval["created_at"]).timestamp()
            time.sleep(max(0.0, asked_at + SETTLE_SECONDS - time.time()))
        body = {"chosen_options": [option], "params_input": dict(params or {})}
        self.request("PATCH", f"{path}/hitlDetails", json=body)

    def _all(self, path: str, key: str, **filters: str) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        while True:
            reply = self.request("GET", path, params={"limit": PAGE, "offset": len(rows), **filters})
            rows += reply[key]
            if not reply[key] or len(rows) >= reply["total_entries"]:
                return rows


def _checked(reply: httpx.Response) -> httpx.Response:
    if reply.is_error:
        asked = f"{reply.request.method} {reply.request.url.path}"
        raise AirflowRefused(reply.status_code, f"{asked}: {reply.status_code} {reply.text[:2000]}")
    return reply
