# ruff: noqa: D102, S311 - what draws a column is named for it; nothing is encrypted
"""An estate whose schema is fixed and whose policy, rows and holds are drawn: what the property tests run on.

customers ◀── cases ◀── messages ◀── attachments     (attachments may follow the case as well: a diamond)
    ▲            ▲
    └── notes ───┘                                   (one reference by type and text for both)

The customers may be those of another store, whose rows are read from there though they lie in the same database.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import yaml
from hypothesis import strategies as st

from lethe.deadlines import Period, Unbounded, YearEnd, cutoff, start_of
from lethe.model import Policy, Reason, Rule
from lethe.policy import load
from lethe.stores.memory import Memory, Row, key_text
from support import write_policy

OSLO = ZoneInfo("Europe/Oslo")

SCHEMA = """
CREATE TABLE customers (id int PRIMARY KEY, ended_d date, ended_tz timestamptz, ended_ts timestamp, ended_text text,
    status text, dispute text, delivered timestamptz, billed_d date, billed_tz timestamptz, billed_ts timestamp,
    name text, remark text, COARSE);
CREATE TABLE cases (id int PRIMARY KEY, customer_id int, customer_ref text, ended_d date, ended_tz timestamptz,
    ended_ts timestamp, status text, urgent bool, level int, dispute text, delivered timestamptz, billed_d date,
    billed_tz timestamptz, billed_ts timestamp, name text, remark text, COARSE);
CREATE TABLE messages (id int PRIMARY KEY, case_id int, ended_d date, ended_tz timestamptz, ended_ts timestamp,
    status text, dispute text, delivered timestamptz, billed_d date, billed_tz timestamptz, billed_ts timestamp,
    name text, remark text, COARSE);
CREATE TABLE attachments (message_id int, part text, case_id int, dispute text, billed_d date,
    PRIMARY KEY (message_id, part));
CREATE TABLE notes (id int PRIMARY KEY, about text, about_id text, dispute text, delivered timestamptz);
CREATE INDEX ON customers (ended_d); CREATE INDEX ON customers (ended_tz); CREATE INDEX ON customers (ended_ts);
CREATE INDEX ON cases (ended_d); CREATE INDEX ON cases (ended_tz); CREATE INDEX ON cases (ended_ts);
CREATE INDEX ON messages (ended_d); CREATE INDEX ON messages (ended_tz);
""".replace(
    "COARSE",
    "born_d date, seen_tz timestamptz, seen_ts timestamp, place text, amount numeric(12, 2), number int, form jsonb",
)

KEYS = {
    "customers": ["id"],
    "cases": ["id"],
    "messages": ["id"],
    "attachments": ["message_id", "part"],
    "notes": ["id"],
}
FOREIGN_KEYS = {
    "cases": "FOREIGN KEY (customer_id) REFERENCES customers",
    "messages": "FOREIGN KEY (case_id) REFERENCES cases",
    "attachments": "FOREIGN KEY (message_id) REFERENCES messages",
}
STATUS = ("open", "closed", "moved")
DISPUTE = ("tvist", "inkasso", "ingen")
PERIODS = ("P1D", "P30D", "P2W", "P1M", "P3M", "P1Y", "P26M", "P1Y6M10D", "P5Y")
_DAYS = """
    2024-02-29 2024-03-01 2024-03-30 2024-03-31 2024-04-01 2024-10-26 2024-10-27 2024-10-28
    2024-12-31 2025-01-01 2025-02-28 2025-03-01 2025-03-30 2025-03-31
"""
DAYS = tuple(map(date.fromisoformat, _DAYS.split()))


@dataclass(frozen=True)
class Case:
    """A policy with one rule, a date, and a seed from which rows and holds follow."""

    activity: dict[str, Any]
    today: date
    year_end: YearEnd
    confirmed: bool
    foreign_keys: bool
    seed: int
    rows: int
    sparse: bool
    """Few rows are due, so that the index finds them."""

    def policy(self, directory: Path) -> Policy:
        """The policy, written as YAML and read by the loader."""
        policy = load(write_policy(directory, yaml.safe_dump(self.activity), elsewhere=True))
        return replace(policy, organisation=replace(policy.organisation, year_end=self.year_end))

    def constraints(self) -> Iterator[str]:
        """The foreign keys that the database declares: those along which the policy lets rows follow."""
        for table, key in FOREIGN_KEYS.items():
            column = key.partition("(")[2].partition(")")[0]
            datasets = self.activity["datasets"][table]
            followed = [datasets["refers_to"][name]["by"] for name in datasets["follows"]]
            if self.foreign_keys and column in followed:
                yield f"ALTER TABLE {table} ADD CONSTRAINT follows {key}"

    def memory(self, policy: Policy) -> Memory:
        """The rows and holds."""
        rng, rule = random.Random(self.seed), policy.rules["ends"]
        tables = Filler(self, rule, rng).tables()
        memory = Memory(tables)
        for name, rows in tables.items():
            if rng.random() < 0.5:
                continue
            dataset = policy.datasets[name]
            for row in rows:
                if rng.random() < 0.08:
                    memory.holds.add((name, key_text(dataset, row), rng.choice([Reason.HELD, Reason.RESTRICTED])))
        return memory


class Filler:
    """Draws rows around the dates on which something changes."""

    def __init__(self, case: Case, rule: Rule, rng: random.Random) -> None:
        self.case, self.rng = case, rng
        self.zones = {
            name: {column: ZoneInfo(zone) for column, zone in dataset.get("unzoned", {}).items()}
            for name, dataset in case.activity["datasets"].items()
        }
        last = cutoff(case.today, rule.keep)
        years = [cutoff(case.today, Period.parse(text)) for text in ("P5Y", "P3Y6M")]
        ends = [case.year_end.in_year(year.year - back) for year in years for back in (0, 1)]
        self.edges = [last, last, last + timedelta(days=1), case.today, case.today + timedelta(days=1), *ends, *DAYS]
        self.days = (last - timedelta(days=900), (case.today - last).days + 1000)

    def tables(self) -> dict[str, list[Row]]:
        """Rows of every table, references between them included; some lead nowhere, unless the database forbids it."""
        size = self.case.rows
        ids = range(1, size + 1)
        customers = [{"id": n, **self.common("customers"), "ended_text": "2020-01-01"} for n in ids]
        cases = [self.a_case(n) for n in ids]
        messages = [{"id": n, "case_id": self.refer("messages"), **self.common("messages")} for n in ids]
        parts = {(self.refer("attachments", "message_id") or 0, self.rng.choice(["1", 'æ"2', "3"])) for _ in ids}
        attachments = [self.an_attachment(*key) for key in sorted(parts)]
        notes = [self.a_note(n) for n in ids]
        tables = {"customers": customers, "cases": cases, "messages": messages, "attachments": attachments}
        return {**tables, "notes": notes}

    def refer(self, table: str, column: str = "case_id") -> int | None:
        """A key that mostly exists; always, or NULL, where a foreign key guards it."""
        guarded = any(f"ALTER TABLE {table} " in each and f"({column})" in each for each in self.case.constraints())
        known = self.rng.randint(1, self.case.rows)
        if column == "message_id":
            return known if guarded else self.rng.choice([known, known, known + self.case.rows])
        return self.rng.choice([known] * 6 + [None] + ([] if guarded else [known + self.case.rows]))

    def a_case(self, number: int) -> Row:
        customer = self.refer("cases", "customer_id")
        return {
            "id": number,
            "customer_id": customer,
            "customer_ref": None if customer is None else self.rng.choice([str(customer)] * 8 + [f"0{customer}", ""]),
            "urgent": self.rng.choice([True, False, None]),
            "level": self.rng.choice([1, 2, 3, None]),
            **self.common("cases"),
        }

    def an_attachment(self, message: int, part: str) -> Row:
        return {
            "message_id": message,
            "part": part,
            "case_id": self.refer("attachments"),
            "dispute": self.seldom(DISPUTE[0]) or "ingen",
            "billed_d": self.moment(None, "d") if self.rng.random() < 0.5 else date(2001, 1, 1),
        }

    def a_note(self, number: int) -> Row:
        return {
            "id": number,
            "about": self.rng.choice(["sak", "sak", "kunde", "annet", None]),
            "about_id": self.rng.choice([str(self.rng.randint(1, self.case.rows)), None, "x"]),
            "dispute": self.seldom(DISPUTE[0]),
            "delivered": self.seldom(datetime(2020, 1, 1, tzinfo=UTC), 0.8),
        }

    def common(self, table: str) -> Row:
        """The columns that all tables with a clock have."""
        zone = self.zones[table].get("ended_ts"), self.zones[table].get("billed_ts")
        return {
            "ended_d": self.moment(None, "d"),
            "ended_tz": self.moment(None, "tz"),
            "ended_ts": self.moment(zone[0], "ts"),
            "status": self.rng.choice([*STATUS, STATUS[1], STATUS[1], None]),
            "dispute": self.seldom(self.rng.choice(DISPUTE[:2])) or self.rng.choice(["ingen", None]),
            "delivered": datetime(2020, 1, 1, tzinfo=UTC) if self.rng.random() < 0.6 else self.moment(None, "tz"),
            "billed_d": self.billed(None, "d"),
            "billed_tz": self.billed(None, "tz"),
            "billed_ts": self.billed(zone[1], "ts"),
            "name": self.rng.choice(["Kari", "anonymisert", None]),
            "remark": self.rng.choice(["ring tilbake", "ring Kari på 400 00 001 % \\ 'nå'", None, None]),
            "born_d": self.rng.choice([self.moment(None, "d"), date(1990, 3, 1), date(1990, 1, 1)]),
            "seen_tz": self.rng.choice([self.moment(None, "tz"), datetime(1990, 2, 28, 23, tzinfo=UTC)]),
            "seen_ts": self.rng.choice([self.moment(None, "ts"), datetime(1990, 3, 1)]),  # noqa: DTZ001
            "place": self.rng.choice(["5003", "5000", " 0150", "N-7010", "9", "", "Ål", None]),
            "amount": self.rng.choice([Decimal("4711.50"), Decimal("-0.01"), Decimal("4700.00"), Decimal("NaN"), None]),
            "number": self.rng.choice([47, 40, -3, 0, None]),
            "form": self.rng.choice([None, FORM, FORM, {"navn": None}, [], "Kari", {"adresse": "ukjent"}]),
        }

    def seldom(self, value: Any, chance: float = 0.06) -> Any:
        return value if self.rng.random() < chance else None

    def billed(self, zone: ZoneInfo | None, kind: str) -> Any:
        """Mostly long ago, so that a floor does not keep everything."""
        old = {"d": date(2001, 2, 3), "tz": datetime(2001, 2, 3, tzinfo=UTC), "ts": datetime(2001, 2, 3)}  # noqa: DTZ001
        return old[kind] if self.rng.random() < 0.6 else self.moment(zone, kind)

    def moment(self, zone: ZoneInfo | None, kind: str) -> Any:
        """A clock's value: a date, or a time of that day near one of its midnights, or one of the odd values."""
        odd = self.rng.random()
        if odd < 0.12:
            return self.rng.choice(
                [None, Unbounded.PAST, Unbounded.FUTURE, *(self.sentinel(d, kind) for d in SENTINELS)]
            )
        sparse = self.case.sparse and self.rng.random() < 0.97
        day = self.case.today if sparse else self.day()
        return day if kind == "d" else self.time_of(day, zone, kind)

    def day(self) -> date:
        if self.rng.random() < 0.6:
            return self.rng.choice(self.edges)
        return self.days[0] + timedelta(days=self.rng.randint(0, self.days[1]))

    def sentinel(self, day: date, kind: str) -> Any:
        if kind == "d":
            return day
        at = datetime(day.year, day.month, day.day, self.rng.choice([0, 12, 22, 23]), tzinfo=UTC)
        return at if kind == "tz" else at.replace(tzinfo=None)

    def time_of(self, day: date, zone: ZoneInfo | None, kind: str) -> datetime:
        midnight = start_of(day, self.rng.choice([OSLO, OSLO, ZoneInfo("UTC")])).astimezone(UTC)
        away = self.rng.choice(
            [
                timedelta(microseconds=-1),
                timedelta(0),
                timedelta(seconds=1),
                timedelta(minutes=self.rng.randint(0, 1500)),
            ]
        )
        at = midnight + away
        return at if kind == "tz" else at.astimezone(zone or UTC).replace(tzinfo=None)


FORM = {
    "navn": "Kari",
    "mobil": 40000001,
    "adresse": {"postnr": "5003", "født": "1990-03-17", "inntekt": 4711.5},
    "varer": [{"merknad": "ring Kari på 40000001"}, {"merknad": None, "id": 7}, "løs"],
}
SENTINELS = (date(1970, 1, 1), date(9999, 12, 31), date(1900, 1, 1))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Any case of the family."""
    root = draw(st.sampled_from(["customers", "cases", "messages"]))
    datasets = _datasets(draw)
    rules = {"ends": _rule(draw, root, datasets)}
    if root in WAITING and draw(st.sampled_from([True, False, False])):
        rules = _with_one_that_goes_first(draw, root, datasets, rules["ends"])
    if root != "customers" and draw(st.booleans()):
        datasets["customers"]["in"] = "register"
        for each in datasets.values():  # rows of two databases share no fate
            each["follows"] = [name for name in each["follows"] if name != "customer"]
    activity: dict[str, Any] = {"serves": ["R08"], "datasets": datasets, "rules": rules}
    if floors := _floors(draw):
        activity["floors"] = floors
    day = st.sampled_from(DAYS) | st.dates(date(2022, 1, 1), date(2025, 12, 31))
    ends = [YearEnd(), YearEnd(), YearEnd(6, 30), YearEnd(2, 29), YearEnd(3, 31)]
    return Case(
        activity=activity,
        today=draw(day),
        year_end=draw(st.sampled_from(ends)),
        confirmed=draw(st.sampled_from([True, True, True, False])),
        foreign_keys=draw(st.booleans()),
        seed=draw(st.integers(0, 2**32 - 1)),
        rows=draw(st.sampled_from([150, 40, 5])),
        sparse=draw(st.booleans()),
    )


def _datasets(draw: st.DrawFn) -> dict[str, Any]:
    by = draw(st.sampled_from([{"by": "customer_id"}, {"by": "customer_ref", "as_text": True}]))
    refers_to: dict[str, dict[str, Any]] = {
        "customers": {},
        "cases": {"customer": {"to": "customers", **by}},
        "messages": {"case": {"to": "cases", "by": "case_id"}},
        "attachments": {
            "message": {"to": "messages", "by": "message_id"},
            "case": {"to": "cases", "by": "case_id"},
        },
        "notes": {
            "case": {"to": "cases", "by": "about_id", "as_text": True, "when": {"about": "sak"}},
            "customer": {"to": "customers", "by": "about_id", "as_text": True, "when": {"about": ["kunde", "firma"]}},
        },
    }
    return {
        name: {
            "in": "crm",
            "table": name,
            "key": key,
            "personal_data": {"name": "user.name"} if name in {"customers", "cases", "messages"} else {},
            "refers_to": refers_to[name],
            "follows": draw(st.lists(st.sampled_from(list(refers_to[name])), unique=True)) if refers_to[name] else [],
            "held_when": draw(st.sampled_from(HELD_WHEN[name])),
            **(_oddities(draw) if name in {"customers", "cases", "messages"} else {}),
        }
        for name, key in KEYS.items()
    }


HELD_WHEN: dict[str, list[dict[str, Any]]] = {
    "customers": [{}, {"dispute": ["tvist", "inkasso"]}],
    "cases": [
        {},
        {"dispute": "tvist"},
        {"customer.dispute": "tvist", "dispute": "inkasso"},
        {"urgent": True, "level": 3},
    ],
    "messages": [{}, {"dispute": "tvist"}, {"case.customer.dispute": "inkasso"}],
    "attachments": [{}, {"dispute": "tvist"}],
    "notes": [{}, {"dispute": "tvist"}],
}


def _oddities(draw: st.DrawFn) -> dict[str, Any]:
    zone = st.sampled_from(["UTC", "Europe/Oslo", "America/New_York", "Asia/Kolkata"])
    unset = st.sampled_from([{}, {"ended_d": [SENTINELS[0]]}, {clock: list(SENTINELS[:2]) for clock in CLOCKS}])
    return {"unzoned": {"ended_ts": draw(zone), "billed_ts": draw(zone)}, "unset": draw(unset)}


CLOCKS = ("ended_d", "ended_tz", "ended_ts", "billed_d", "billed_tz", "billed_ts", "delivered")
PATHS = {
    "customers": [""],
    "cases": ["", "", "customer."],
    "messages": ["", "", "case.", "case.customer."],
}
WHEN: dict[str, list[dict[str, Any]]] = {
    "customers": [{}, {}, {"status": "closed"}],
    "cases": [
        {},
        {},
        {"status": ["closed", "moved"]},
        {"urgent": False},
        {"level": [1, 2], "customer.status": "closed"},
    ],
    "messages": [{}, {}, {"status": "closed"}, {"case.status": ["closed", "open"]}],
}
ANONYMISED: list[dict[str, Any]] = [
    {"name": {"constant": "anonymisert"}, "remark": "blank"},
    {"name": "unlink"},
    {"name": "surrogate", "born_d": {"generalise": "month"}, "seen_tz": {"generalise": "year"}},
    {"seen_ts": {"generalise": "month"}, "place": {"generalise": "region"}, "amount": {"generalise": {"band": 100}}},
    {
        "remark": {
            "redact": {"names": ["name"], "phones": ["place"], "confirm_by": "privacy-officer", "because": "kept"}
        }
    },
    {
        "name": "blank",
        "remark": {"redact": {"names": ["name"], "confirm_by": "privacy-officer", "because": "kept"}},
        "born_d": {"generalise": "year"},
    },
    {
        "name": "blank",
        "form": {
            "json": {
                "navn": "blank",
                "mobil": {"constant": "ukjent"},
                "adresse.postnr": {"generalise": "region"},
                "adresse.født": {"generalise": "month"},
                "adresse.inntekt": {"generalise": {"band": 1000}},
                "varer[*].merknad": {"redact": {"names": ["name"], "confirm_by": "privacy-officer", "because": "kept"}},
            }
        },
    },
    {"form": {"json": {"**": "blank"}}},
    {"seen_tz": {"generalise": "month"}, "number": {"generalise": {"band": 10}}, "born_d": {"generalise": "year"}},
]


def _rule(draw: st.DrawFn, root: str, datasets: dict[str, Any]) -> dict[str, Any]:
    keep = draw(st.sampled_from(PERIODS))
    assumed = {"assume": keep, "confirm_by": "privacy-officer", "because": "nothing is said"}
    return {
        "obligation": "R08",
        "of": root,
        "title": {"nb": "Saker", "en": "Cases"},
        "clock": draw(st.sampled_from(PATHS[root])) + draw(st.sampled_from(CLOCKS[:3])),
        "keep": draw(st.sampled_from([keep, keep, assumed])),
        "when": draw(st.sampled_from(WHEN[root])),
        "then": draw(st.sampled_from(["delete", "delete", *({"anonymise": fields} for fields in ANONYMISED)])),
        "limits": {"rows": 1_000_000, "share": "100%"},
    }


WAITING = {"customers": ("cases", {"customer.status": "closed"}), "cases": ("messages", {})}
"""By dataset whose rows can wait: the one whose rows hang on it, and what of it these are read from besides clocks."""


def _with_one_that_goes_first(draw: st.DrawFn, root: str, datasets: dict[str, Any], ends: dict[str, Any]) -> Any:
    """The rule takes away what another, over rows that hang on these, is read from: a status, or the way further up."""
    of, when = WAITING[root]
    cut = "status" if root == "customers" else datasets["cases"]["refers_to"]["customer"]["by"]
    first = {
        **ends,
        "of": of,
        "clock": "customer.ended_d" if of == "cases" else "case.customer.ended_d",
        "when": when,
        "then": draw(st.sampled_from([{"anonymise": {"name": "blank"}}, "delete"])),
        "order": 1,
    }
    own = {name: value for name, value in ends["when"].items() if name != cut}
    for dataset in datasets.values():
        dataset["follows"] = []  # what is read from rows that share a fate cannot be waited for: the loader refuses it
    changed: dict[str, Any] = {cut: "blank", **draw(st.sampled_from([{}, {"remark": "blank"}]))}
    if root == "cases" and draw(st.booleans()):
        changed |= {"billed_d": {"write_down": "customer.billed_d"}}
    return {"first": first, "ends": {**ends, "when": own, "then": {"anonymise": changed}, "order": 2}}


def _floors(draw: st.DrawFn) -> dict[str, Any]:
    some = st.lists(st.sampled_from(["customers", "cases", "messages", "attachments", "notes"]), min_size=1, max_size=4)
    if draw(st.sampled_from([False, False, True])):
        return {}
    return {f"floor-{number}": _floor(draw, name) for number, name in enumerate(draw(some))}


def _floor(draw: st.DrawFn, name: str) -> dict[str, Any]:
    floor: dict[str, Any] = {"obligation": "R08", "of": name, "law": "bokføringsloven § 13"}
    clocks = {"attachments": ["billed_d"], "notes": []}.get(name, list(CLOCKS[3:]))
    if (clocks and draw(st.booleans())) or name == "attachments":
        period = draw(st.sampled_from(["P5Y", "P3Y6M"]))
        floor |= {"clock": draw(st.sampled_from(clocks)), "keep": {"after": "fiscal-year-end", "period": period}}
    else:
        floor["until"] = "delivered"
    fields = [["name"], ["remark", "billed_d"], None, None] if name in WHEN else [None]
    if (only := draw(st.sampled_from(fields))) is not None:
        floor["fields"] = only
    whens: dict[str, list[dict[str, Any]]] = {
        "cases": [{}, {"customer.status": "moved"}, {"urgent": True}, {"level": [2, 3]}]
    }
    floor["when"] = draw(st.sampled_from(whens.get(name, [{}, {"dispute": "tvist"}, {"dispute": "inkasso"}])))
    return floor
