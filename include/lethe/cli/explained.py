"""How what runs on one person's rows reads for people, in Norwegian and English."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from lethe.explain import (
    Ending,
    Explained,
    Fate,
    Held,
    Judged,
    Row,
    Standing,
    Told,
    by_kin,
    endings_of,
    ends_on,
    fates,
    once,
    standing_until,
)
from lethe.model import Policy, Reason, Verdict
from lethe.pages.words import WORDS
from lethe.sentences import (
    assumed_words,
    change_words,
    conditions_words,
    date_words,
    describe,
    join_words,
    only_words,
    standing_words,
)

_EN = {
    "head": "{dataset}, on {today}",
    "table": "{dataset}  {store}.{table}  {rows}",
    "row": "1 row", "rows": "{n} rows", "by": ", by {ways}",
    "or": "or",
    "unread": "{dataset}  cannot be told: {problem}",
    "outside": "{dataset}  {store}.{table}  not read: no rule has to do with it",
    "no rule": "no rule ends it",
    "goes with": "Goes with {leader}: {sentence}",
    "the row goes": "the row goes",
    "numbered": "{dataset} {n}", "keyed": "{dataset} {n}, key {key}",
    "due": "due", "kept": "kept", "done": "done",
    "done already": "anonymised already",
    "counted": "{clock} is {start}; the last day is {last}; due from {due}",
    "counted on": "{clock} is {start}; the last day is {last}",
    "endless": "{clock} is {start}; the period ends past the calendar",
    "hold on row": "{kind}: a hold on the row itself",
    "hold above": "{kind}: a hold on {on}, which it hangs on",
    "hold whole": "{kind}: a hold on all of {on}",
    "hold system": "{kind}: {conditions}, as the system says",
    "hold rule": "{kind}: a hold on all that {rule} would do",
    "hold kin": "{kind}: by a row that shares its fate",
    "needed": "waits for {rules}, which still reach other rows by way of it",
    "with": "{rule}, with {leader}",
    "now": "now, by {rule}: {change}",
    "from": "from {day}, by {rule}: {change}",
    "not before": "not before {day}, by {rule}: {change} ({why})",
    "no day": "no day, by {rule}: {change} ({why})",
    "ended": "anonymised by {rule}",
    "kept by": "kept by {law}", "kept through": "kept by {law} through {until}",
    "rest": "{n} more, by {rule}: {counts}",
    "more": "{n} more rows (--all)",
    "stopped": "{rule} is stopped: {problem}",
    "behind": "{n} holds of the register have not reached this store: the next plan, or `lethe hold sync`, sees to it",
}  # fmt: skip
_NB = {
    "head": "{dataset}, {today}",
    "table": "{dataset}  {store}.{table}  {rows}",
    "row": "1 rad", "rows": "{n} rader", "by": ", gjennom {ways}",
    "or": "eller",
    "unread": "{dataset}  kan ikke forklares: {problem}",
    "outside": "{dataset}  {store}.{table}  ikke lest: ingen regel gjelder det",
    "no rule": "ingen regel tar det bort",
    "goes with": "Følger {leader}: {sentence}",
    "the row goes": "raden slettes",
    "numbered": "{dataset} {n}", "keyed": "{dataset} {n}, nøkkel {key}",
    "due": "forfalt", "kept": "beholdes", "done": "utført",
    "done already": "anonymisert tidligere",
    "counted": "{clock} er {start}; siste dag er {last}; forfaller {due}",
    "counted on": "{clock} er {start}; siste dag er {last}",
    "endless": "{clock} er {start}; fristen går ut over kalenderen",
    "hold on row": "{kind}: sperre på selve raden",
    "hold above": "{kind}: sperre på {on}, som den hører til",
    "hold whole": "{kind}: sperre på hele {on}",
    "hold system": "{kind}: {conditions}, ifølge systemet selv",
    "hold rule": "{kind}: sperre på alt regelen {rule} ville gjort",
    "hold kin": "{kind}: på grunn av en rad som deler dens skjebne",
    "needed": "venter på {rules}, som fortsatt når andre rader gjennom den",
    "with": "{rule}, sammen med {leader}",
    "now": "nå, av {rule}: {change}",
    "from": "fra {day}, av {rule}: {change}",
    "not before": "ikke før {day}, av {rule}: {change} ({why})",
    "no day": "ingen dag, av {rule}: {change} ({why})",
    "ended": "anonymisert av {rule}",
    "kept by": "beholdes etter {law}",
    "kept through": "beholdes etter {law} til og med {until}",
    "rest": "{n} til, av {rule}: {counts}",
    "more": "{n} rader til (--all)",
    "stopped": "{rule} er stanset: {problem}",
    "behind": "{n} sperrer i registeret er ikke kommet fram hit: neste plan eller `lethe hold sync` ordner det",
}  # fmt: skip
_TEXT: Mapping[str, Mapping[str, str]] = {"en": _EN, "nb": _NB}


def explained_as_text(found: Explained, policy: Policy, lang: str, *, keys: bool) -> str:
    """What runs on a subject, as a person reads it; keys of rows only where they are asked for."""
    return "\n".join(_Text(found, policy, lang, keys=keys).lines()) + "\n"


class _Text:
    def __init__(self, found: Explained, policy: Policy, lang: str, *, keys: bool) -> None:
        self._found, self._policy, self._lang, self._keys = found, policy, lang, keys
        self._text, self._year_end = _TEXT[lang], policy.organisation.year_end

    def lines(self) -> Iterator[str]:
        yield self._say("head", dataset=self._found.subject.name, today=self._day(self._found.today))
        if self._found.behind:
            yield f"  {self._say('behind', n=self._found.behind)}"
        for told in self._found.told:
            if told.total != 0:
                yield ""
                yield from self._told(told)

    def _say(self, name: str, **words: object) -> str:
        return self._text[name].format(**words)

    def _day(self, day: date) -> str:
        return date_words(day, self._lang)

    def _told(self, told: Told) -> Iterator[str]:
        dataset = told.dataset
        if told.total is None:
            yield from self._unread(told)
            return
        rows = self._say("row") if told.total == 1 else self._say("rows", n=told.total)
        if ways := [".".join(path) for path in told.paths if path]:
            rows += self._say("by", ways=join_words(ways, self._text["or"]))
        yield self._say("table", dataset=dataset.name, store=dataset.store, table=dataset.table, rows=rows)
        endings = endings_of(self._policy, dataset)
        yield from (f"  {line}" for ending in endings for line in self._ending(ending))
        if not endings:
            yield f"  {self._say('no rule')}"
        for name, problems in told.stopped.items():
            yield from (f"  {self._say('stopped', rule=name, problem=problem)}" for problem in problems)
        for row in told.rows:
            yield from (f"  {line}" for line in self._row(told, row))
        if told.total > len(told.rows):
            yield from (f"  {line}" for line in self._rest(told))

    def _unread(self, told: Told) -> Iterator[str]:
        dataset = told.dataset
        words = {"dataset": dataset.name, "store": dataset.store, "table": dataset.table, "problem": told.problem}
        yield self._say("outside" if told.outside else "unread", **words)
        if told.outside and dataset.personal_data:
            yield f"  {', '.join(sorted(dataset.personal_data))}: {self._say('no rule')}"

    def _ending(self, ending: Ending) -> Iterator[str]:
        rule = ending.rule
        sentence = f"{rule.name} ({rule.obligation}): {describe(rule, self._policy, self._lang)}"
        with_it = ending.goes_with
        yield self._say("goes with", leader=with_it, sentence=sentence) if with_it else sentence
        if ending.fields:
            changes = (f"{name}: {change_words(change, self._lang)}" for name, change in ending.fields.items())
            yield f"  {' · '.join(changes)}"

    def _row(self, told: Told, row: Row) -> Iterator[str]:
        name = "keyed" if self._keys else "numbered"
        yield self._say(name, dataset=told.dataset.name, n=row.number, key=row.key)
        yield from (f"  {self._held(held, told)}" for held in row.holds)
        for judged in row.judged:
            yield from (f"  {line}" for line in self._judged(judged, row, told))
        by_fate = dict[str, list[str]]()
        for fate in fates(told.dataset, row, self._year_end):
            by_fate.setdefault(self._fate(fate), []).append(fate.column)
        yield from (f"  {', '.join(columns)}: {words}" for words, columns in by_fate.items())

    def _judged(self, judged: Judged, row: Row, told: Told) -> Iterator[str]:
        verdict = f"{self._text[judged.verdict]} {self._bracketed(judged.reasons)}".strip()
        yield f"{self._name(judged.ending)}: {verdict}"
        if judged.start is not None:
            yield f"  {self._dates(judged, judged.start)}"
        if Reason.CONDITION in judged.reasons:
            yield f"  {only_words(judged.ending.rule, self._lang)}"
        if Reason.UNCONFIRMED in judged.reasons:
            yield f"  {assumed_words(judged.ending.rule, self._policy, self._lang)}"
        if Reason.NEEDED in judged.reasons:
            rules = sorted({each.rule for each in judged.ending.rule.dependents})
            yield f"  {self._say('needed', rules=', '.join(rules))}"
        yield from (f"  {self._standing(each, told)}" for each in once(judged.floors))
        for kind in (Reason.HELD, Reason.RESTRICTED):
            words = {"kind": self._reasons(kind)[0], "rule": judged.ending.rule.name}
            if kind in judged.rule_held:
                yield f"  {self._say('hold rule', **words)}"
            elif kind in by_kin(judged, row):
                yield f"  {self._say('hold kin', **words)}"

    def _dates(self, judged: Judged, start: date) -> str:
        words = {"clock": judged.ending.rule.clock, "start": self._day(start)}
        last, due = judged.last_day, judged.due_from(self._year_end)
        if last is None:
            return self._say("endless", **words)
        words["last"] = self._day(last)
        return self._say("counted on", **words) if due is None else self._say("counted", **words, due=self._day(due))

    def _name(self, ending: Ending) -> str:
        if ending.goes_with is None:
            return ending.rule.name
        return self._say("with", rule=ending.rule.name, leader=ending.goes_with)

    def _reasons(self, reasons: Reason) -> list[str]:
        words = WORDS[self._lang]
        return [self._say("done already") if each is Reason.DONE else words[f"reason {each.value}"] for each in reasons]

    def _held(self, held: Held, told: Told) -> str:
        name = {"row": "hold above", "dataset": "hold whole", "system": "hold system"}[held.by]
        if held.by == "row" and held.on == told.dataset.name:
            name = "hold on row"
        conditions = conditions_words(told.dataset.held_when, self._lang, "or")
        return self._say(name, kind=self._reasons(held.kind)[0], on=held.on, conditions=conditions)

    def _standing(self, standing: Standing, told: Told) -> str:
        until = standing_until(standing, self._year_end)
        return standing_words(standing.floor, told.dataset.name, until, self._lang)

    def _fate(self, fate: Fate) -> str:
        parts = [self._say("ended", rule=self._name(each.ending)) for each in fate.done]
        if fate.first is not None:
            parts.append(self._first(fate.first, fate.column))
        elif not fate.done:
            parts.append(self._say("no rule"))
        parts += [self._kept(each) for each in fate.floors]
        return "; ".join(parts)

    def _kept(self, standing: Standing) -> str:
        words = {"law": standing.floor.law, "obligation": standing.floor.obligation}
        until = standing_until(standing, self._year_end)
        return (
            self._say("kept by", **words)
            if until is None
            else self._say("kept through", **words, until=self._day(until))
        )

    def _first(self, first: Judged, column: str) -> str:
        change = first.ending.fields.get(column)
        words = {"rule": self._name(first.ending)}
        words["change"] = self._say("the row goes") if change is None else change_words(change, self._lang)
        if first.verdict is Verdict.DUE:
            return self._say("now", **words)
        if (day := ends_on(first, self._year_end)) is not None:
            return self._say("from", **words, day=self._day(day))
        words["why"] = ", ".join(self._reasons(first.reasons & ~Reason.NOT_DUE))
        day = first.due_from(self._year_end)
        if day is not None and day > self._found.today:
            return self._say("not before", **words, day=self._day(day))
        return self._say("no day", **words)

    def _rest(self, told: Told) -> Iterator[str]:
        left = (told.total or 0) - len(told.rows)
        if not told.rest:
            yield self._say("more", n=left)
        for ending, counts in told.rest:
            words = [f"{self._text[reasons.verdict]} {self._bracketed(reasons)}{n}" for reasons, n in counts.items()]
            yield self._say("rest", n=left, rule=self._name(ending), counts=" · ".join(words))

    def _bracketed(self, reasons: Reason) -> str:
        return f"({', '.join(self._reasons(reasons))}) " if reasons else ""
