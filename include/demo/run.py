"""`make demo`: lays the estate, sweeps it through a real Airflow, and compares every row with the truth table."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from demo import departure, estate_setup, truth
from demo.airflow_client import AirflowClient
from demo.configuration import database_of
from demo.environment import ROOT, Environment
from demo.planted import TODAY
from lethe import clock
from lethe.evidence import verify_bundle
from lethe.evidence.bundle import Limits, write_bundle
from lethe.evidence.keys import load_key
from lethe.evidence.outside import Head
from lethe.model import Verdict
from lethe.run import Lethe

SWEEP, ANONYMISE = "retention_sweep", "anonymize_ex_customers"
CARRY_OUT = (SWEEP, ANONYMISE)
APPROVE, SEAL, VERIFY = "approve_plans", "seal_evidence", "verify_no_expired_data"
VERIFIER = "include/lethe/evidence/verify_bundle.py"
CONFIRMED = ("form-messages-when-handled", "access-log")
PATIENCE = 300.0

Run = tuple[str, str]
"""A DAG and the id of one of its runs: two DAGs may have runs of the same id."""


def near(word: str | Path) -> str:
    """A path as it is typed in the project's directory; any other word as it is."""
    return str(word.relative_to(ROOT) if isinstance(word, Path) and word.is_relative_to(ROOT) else word)


def address_in(variables: Mapping[str, str]) -> Callable[[str], str]:
    """Where connections are, by the variables of an environment."""
    return lambda connection: variables[f"AIRFLOW_CONN_{connection.upper()}"]


class DemoFailed(Exception):
    """The demo did not come out as the truth table says it must."""


class Demo:
    """One demo in one environment, from an empty estate to a checked one."""

    def __init__(self, environment: Environment, say: Callable[[str], None] = print) -> None:
        self.environment, self._say = environment, say
        self.before: truth.Estate = {}

    def lay(self) -> dict[str, str]:
        """Build the estate anew; the administrator's addresses by store."""
        return estate_setup.lay(self._address, self.environment.policy, self.environment.home)

    def lay_for_looking(self, *, anew: bool) -> None:
        """Build the estate unless there is one; with `anew`, also when there is one that was swept."""
        if not estate_setup.is_laid(self._address) or (anew and self._is_swept()):
            with self._step("eight databases of an invented company"):
                self.lay()

    def _is_swept(self) -> bool:
        with self._worker() as lethe:
            return any(entry.state == "done" for entry in lethe.plans(1000))

    def sweep(self) -> None:
        """Lay the estate, sweep it, check it; DemoFailed when a row is not as it must be."""
        with self._step("eight databases of an invented company"):
            stores = self.lay()
            self.before = truth.snapshot(stores)
        self._confirm()
        with self.client("platform") as platform, self.client("officer") as officer:
            platform.wait_for_dags([*CARRY_OUT, APPROVE, SEAL, VERIFY, departure.DAG])
            with self.client("admin") as admin:
                for dag in CARRY_OUT:
                    admin.unpause(dag)
            with self._step(f"{' and '.join(CARRY_OUT)}, as of {TODAY}: every rule is planned, and waits for a person"):
                earlier = self._planned(platform)
            with self._step("the privacy officer's answers"):
                answered = self._answer(officer)
            with self._step("both again, started by the answers: what was approved is deleted or anonymised"):
                self._carried_out(platform, earlier)
            with self._step(f"{VERIFY}: every store is asked by other means, and looked into"):
                self._verified(platform)
            with self._step(f"{departure.DAG}: HR starts it, the manager approves numbers, messages are handed over"):
                self._departed()
            with self._step("the evidence of all this, collected, signed and brought outside"):
                sealed = self._sealed(platform)
        with self._step("every row compared with what must become of it"):
            wrong = truth.check(stores, self.before, self.environment.home / "case-documents")
        self._report(answered)
        self._report_departure()
        self._show_evidence(sealed)
        if wrong:
            raise DemoFailed("\n".join([f"{len(wrong)} rows are not as they must be:", *map(str, wrong[:20])]))
        rows = sum(len(table) for store in self.before.values() for table in store.values())
        self._say(f"All {rows:,} rows of the estate are as they must be: what was due is gone, the rest is untouched.")

    def _confirm(self) -> None:
        variables = self.environment.officer_variables()
        with Lethe.open(self.environment.policy, address_in(variables), variables) as lethe:
            for rule in CONFIRMED:
                lethe.confirm(rule)
        self._say(
            f"  The privacy officer, signed in to the database, confirms two assumed periods: {', '.join(CONFIRMED)}."
        )

    def _planned(self, platform: AirflowClient) -> set[Run]:
        """Run both DAGs side by side, each over all of its rules; every run there is by then."""
        earlier = self._runs(platform)
        started = {(dag, platform.trigger(dag, {"as_of": TODAY.isoformat()})) for dag in CARRY_OUT}
        for run in started:
            self._finished(platform, run)
        return earlier | started

    def _answer(self, officer: AirflowClient) -> int:
        """Approve, as the privacy officer's user, over Airflow's REST API, every plan that waits."""
        with self._worker() as lethe:
            waiting = [entry.digest for entry in lethe.plans() if entry.state == "waiting"]
        for digest in waiting:
            (approval,) = officer.wait_for_approvals(APPROVE, f"plan__{digest}", seconds=PATIENCE)
            officer.answer(approval, "Approve")
        asked = len(waiting)
        self._say(f"  {asked} approvals answered through the REST API by the user `officer` (role PrivacyOfficer).")
        return asked

    def _carried_out(self, platform: AirflowClient, earlier: set[Run]) -> None:
        """Wait until no approved plan is left and every run but earlier ones has ended, and ended well."""
        deadline = time.monotonic() + PATIENCE
        with self._worker() as lethe:
            while (left := lethe.approved_rules(clock.now())) or self._open(platform, earlier):
                if time.monotonic() > deadline:
                    raise DemoFailed(f"not carried out after {PATIENCE:.0f} s: {', '.join(left)}")
                time.sleep(0.5)
        for run in self._runs(platform) - earlier:
            self._finished(platform, run)

    def _verified(self, platform: AirflowClient) -> None:
        """Run the checks as of the demo's day, and of no other: by the clock, all of it expired long ago."""
        with self.client("admin") as admin:
            admin.unpause(VERIFY)
            try:
                ended = platform.wait(VERIFY, platform.trigger(VERIFY, {"as_of": TODAY.isoformat()}), seconds=PATIENCE)
            finally:
                admin.pause(VERIFY)
        with self._worker() as lethe:
            stores = len(lethe.policy.stores)
            found = [
                f"{each.store}: {each.finding.words('en')} ({each.detail})" for each in lethe.state.findings.known()
            ]
        if found or ended != "success":
            raise DemoFailed("\n".join([f"{VERIFY} ended with {ended}, and found:", *found]))
        self._say(f"  {stores} stores: nothing expired remains, and the policy names all that they hold.")

    def _departed(self) -> None:
        """An employee leaves: their mailbox is closed, and what belongs to the work handed over."""
        with self.client("admin") as admin, self.client("hr") as hr, self.client("manager") as manager:
            admin.unpause(departure.DAG)
            run = departure.start(hr, estate_setup.last_day().isoformat())
            state = departure.to_the_hand_over(hr, manager, run, PATIENCE)
        with closing(self.environment.mail().platform()) as platform:
            wrong = list(departure.wrong(platform, self.environment.mail().letters))
        if state != "success" or wrong:
            raise DemoFailed("\n".join([f"the hand-over of {departure.DAG} ended with {state}", *wrong]))

    def _report_departure(self) -> None:
        with self._worker() as lethe:
            counts = departure.numbers(lethe)
        self._say(
            f"\nOne employee left: of {counts['messages']} messages {counts['chosen']} were handed over and read back; "
            f"{counts['private']} private, {counts['sensitive']} with identity numbers or health words and "
            f"{counts['left']} others were not.\nNobody signs in to the mailbox any more; it is deleted when its reply "
            "has ended. Nothing was forwarded."
        )

    def _sealed(self, platform: AirflowClient) -> int:
        """Seal what there is, beside the runs that the sweeps started; how many leaves are signed."""
        self._finished(platform, (SEAL, platform.trigger(SEAL)))
        deadline = time.monotonic() + PATIENCE
        with self._worker() as lethe, closing(lethe.sealing()) as sealing:
            while time.monotonic() < deadline:
                if not any(run["state"] in ("queued", "running") for run in platform.runs(SEAL)):
                    head = sealing.outside.head() or Head()
                    stores = [outbox.position() for outbox in map(lethe.outbox, lethe.policy.stores)]
                    if all((place.epoch, place.seq) <= head.position(place.store) or not place.seq for place in stores):
                        return head.size
                time.sleep(0.5)
        raise DemoFailed(f"nothing was sealed after {PATIENCE:.0f} s; see {self.environment.home / 'logs' / 'tasks'}")

    def _show_evidence(self, sealed: int) -> None:
        """Export the evidence, and let the verifier judge it: as it is, and held to what an auditor has from before."""
        home, variables = self.environment.home, self.environment.variables()
        bundle, note = home / "evidence.zip", max((home / "archive").glob("[0-9]*"))
        with self._worker() as lethe, closing(lethe.sealing()) as sealing:
            key = load_key(sealing.setting.origin, variables)
            write_bundle(bundle, sealing.material(Limits(), clock.now()), key)
        self._say(
            f"\n{sealed} leaves of evidence are signed and exported. Anybody can verify them, with nothing of ours:"
        )
        for trust in ([], [home / "evidence.pub", note]):
            words = [bundle, *(word for each in trust for word in ("--trust", each))]
            report = verify_bundle.verify(bundle, trust=tuple(map(str, trust)))
            self._say(f"  python {VERIFIER} {' '.join(near(word) for word in words)}\n    → {report.status}")
        if report.status != "ok":
            raise DemoFailed(f"the evidence does not verify: {report.findings}")

    @staticmethod
    def _runs(client: AirflowClient, *states: str) -> set[Run]:
        """Every run that asks or carries out; with states, only what is in one of them."""
        found = [(dag, run) for dag in (*CARRY_OUT, APPROVE) for run in client.runs(dag)]
        return {(dag, run["dag_run_id"]) for dag, run in found if not states or run["state"] in states}

    def _open(self, client: AirflowClient, earlier: set[Run]) -> bool:
        return bool(self._runs(client, "queued", "running") - earlier)

    def _finished(self, client: AirflowClient, run: Run) -> None:
        if client.wait(*run, seconds=PATIENCE) != "success":
            failed = [task["task_id"] for task in client.tasks(*run) if task["state"] == "failed"]
            where, logs = " of ".join(reversed(run)), self.environment.home / "logs" / "tasks"
            raise DemoFailed(f"run {where} failed in {', '.join(failed)}; see {logs}")

    def _report(self, answered: int) -> None:
        with self._worker() as lethe:
            self._say("")
            for entry in sorted(lethe.plans(), key=lambda entry: entry.plan.rule):
                rule, survey = lethe.rule(entry.plan.rule), entry.plan.survey
                done = lethe.done(entry.plan.digest)
                kept = survey.of(Verdict.KEPT)
                self._say(f"  {rule.obligation}  {rule.name:<34} {entry.state:<8} {done.rows:>7} rows, {kept:>7} kept")
            self._say(f"\n{answered} plans approved. Next: `make up` leaves this running with its web pages.")

    @contextmanager
    def _worker(self) -> Iterator[Lethe]:
        variables = self.environment.variables()
        with Lethe.open(self.environment.policy, address_in(variables), variables) as lethe:
            yield lethe

    def _address(self, store: str) -> str:
        own = (estate_setup.STATE, estate_setup.EVIDENCE)
        database = store if store in own else database_of(store)
        return self.environment.admin_conninfo(database)

    def client(self, user: str) -> AirflowClient:
        """Airflow as one of the demo's users sees it."""
        return AirflowClient(self.environment.url(), user, self.environment.passwords()[user])

    @contextmanager
    def _step(self, what: str) -> Iterator[None]:
        began = time.monotonic()
        yield
        self._say(f"  {time.monotonic() - began:5.1f} s  {what}")
