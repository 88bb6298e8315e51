"""What a rule means, in sentences for the people who answer for it: Norwegian bokmål and English. Pure.

describe  the rule itself          Calls older than 90 days are totalled by day and queue, and deleted.
meaning   what it means on a day   Today (1 March 2025) this covers calls up to and including 30 November 2024.
explain   both, with an example and with everything that can keep a row
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from lethe.deadlines import Period, cutoff, fiscal_cutoff, last_day, next_day
from lethe.model import (
    Aggregate,
    Anonymise,
    Anonymity,
    ByPath,
    Change,
    Condition,
    Drop,
    Floor,
    Generalise,
    Policy,
    Put,
    Redact,
    Rule,
    Surrogate,
    WriteDown,
)
from lethe.reach import documents_of, floors_of, followers_of, kin_of


@dataclass(frozen=True)
class _Language:
    months: tuple[str, ...]
    units: Mapping[str, tuple[str, str]]
    one: Mapping[str, str]
    text: Mapping[str, str]
    groups: Mapping[str, str]


_EN = _Language(
    months=(
        "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
        "December",
    ),
    units={"years": ("year", "years"), "months": ("month", "months"), "days": ("day", "days")},
    one={"years": "1", "months": "1", "days": "1"},
    text={
        "day": "{day.day} {month} {day.year}",
        "and": "and",
        "or": "or",
        "quote": "“{value}”",
        "blank": "blank",
        "dropped": "blank, and its document deleted",
        "surrogate": "surrogate",
        "deleted": "deleted",
        "anonymised": "anonymised",
        "counted": "totalled by {by}, and deleted",
        "older": "{what} older than {period} are {verb}.",
        "since": "{what} are {verb} {period} after {since}.",
        "means": "Today ({today}) this covers {what} up to and including {cutoff}{longer}.",
        "means since": "Today ({today}) this covers {what}, counted from {since}, up to and including {cutoff}"
        "{longer}.",
        "longer": ", because a floor keeps them longer",
        "example": "Example: a record of {start} is kept through {last} and {verb} from {due}.",
        "example since": "Example: a record counted from {start} is kept through {last} and {verb} from {due}.",
        "fields": "Emptied or replaced: {fields}.",
        "coarser": "Made coarser: {fields}.",
        "to": "{column} ({to})",
        "written": "written down from {of}",
        "kept before": "Written down before the way to it is cut: {fields}.",
        "alike": "Where fewer than {k} are alike by {by}, or could be matched with fewer people of {linked}, the fields"
        " get coarser still: {steps}.",
        "alike here": "Where fewer than {k} are alike by {by}, the fields get coarser still: {steps}.",
        "then": ", then ",
        "hidden": "At least {k} rows are alike by {by}. Measured at every run.",
        "hidden linked": "At least {k} rows are alike by {by}, and each could be matched with at least {k} people of"
        " {linked}. Measured at every run.",
        "inside": "Changed inside {column}: {parts}.",
        "suppressed": "Groups of fewer than {number} are not counted.",
        "when": "Only where {conditions}.",
        "is": "{at} is {values}",
        "undated": "Data without a date, or dated in the future, is kept.",
        "held": "Kept as long as {conditions}. A hold keeps it longer.",
        "holds": "A hold keeps it longer.",
        "follows": "What belongs to it goes with it ({names}); when any of that must stay, all of it stays.",
        "documents": "The documents that {fields} names in {folder} are deleted with it.",
        "fiscal": "{law} ({obligation}) keeps {fields} for {period} after the fiscal year has ended{when}:"
        " today what is dated after {cutoff} stays.",
        "until": "{law} ({obligation}) keeps {fields} until the date in {at} has come{when}.",
        "through": "{law} ({obligation}) keeps {fields} through {until}.",
        "endless": "{law} ({obligation}) keeps {fields}; {at} has no date to count from.",
        "row": "the whole record",
        "of": "{what} in {name}",
        "where": ", where {conditions}",
        "assumed": "The period is assumed ({because}). Nothing is touched before {role} has confirmed it.",
        "redacted": "Redacted text stays and is not anonymous ({because}). Nothing is touched before {role} has"
        " confirmed it.",
        "redacted text": "redacted",
        "names taken out": "Redacted, without what is known of the person and without numbers and addresses: {fields}.",
        "backups": "Backups of the system can hold it for another {period}.",
    },
    groups={"band": "bands of {width}"},
)  # fmt: skip
_NB = _Language(
    months=(
        "januar", "februar", "mars", "april", "mai", "juni", "juli", "august", "september", "oktober", "november",
        "desember",
    ),
    units={"years": ("år", "år"), "months": ("måned", "måneder"), "days": ("dag", "dager")},
    one={"years": "ett", "months": "én", "days": "én"},
    text={
        "day": "{day.day}. {month} {day.year}",
        "and": "og",
        "or": "eller",
        "quote": "«{value}»",
        "blank": "tømmes",
        "dropped": "tømmes, og dokumentet slettes",
        "surrogate": "erstatningsverdi",
        "deleted": "slettes",
        "anonymised": "anonymiseres",
        "counted": "telles per {by}, og slettes",
        "older": "{what} eldre enn {period} {verb}.",
        "since": "{what} {verb} {period} etter {since}.",
        "means": "I dag ({today}) betyr det {what} til og med {cutoff}{longer}.",
        "means since": "I dag ({today}) betyr det {what}, regnet fra {since}, til og med {cutoff}{longer}.",
        "longer": ", fordi et lovkrav gjør at de beholdes lenger",
        "example": "Eksempel: en post fra {start} beholdes til og med {last} og {verb} fra {due}.",
        "example since": "Eksempel: en post som regnes fra {start}, beholdes til og med {last} og {verb} fra {due}.",
        "fields": "Tømmes eller erstattes: {fields}.",
        "coarser": "Gjøres grovere: {fields}.",
        "to": "{column} ({to})",
        "written": "skrives ned fra {of}",
        "kept before": "Skrives ned før veien dit kuttes: {fields}.",
        "alike": "Der færre enn {k} er like på {by}, eller kan kobles til færre personer i {linked}, blir feltene enda"
        " grovere: {steps}.",
        "alike here": "Der færre enn {k} er like på {by}, blir feltene enda grovere: {steps}.",
        "then": ", deretter ",
        "hidden": "Minst {k} rader er like på {by}. Måles ved hver kjøring.",
        "hidden linked": "Minst {k} rader er like på {by}, og hver kan kobles til minst {k} personer i {linked}."
        " Måles ved hver kjøring.",
        "inside": "Endres inne i {column}: {parts}.",
        "suppressed": "Grupper på færre enn {number} telles ikke.",
        "when": "Gjelder bare der {conditions}.",
        "is": "{at} er {values}",
        "undated": "Det som mangler dato eller har dato fram i tid, beholdes.",
        "held": "Beholdes så lenge {conditions}. En sperre gjør at det beholdes lenger.",
        "holds": "En sperre gjør at det beholdes lenger.",
        "follows": "Det som hører til, følger med ({names}); må noe av det beholdes, beholdes alt.",
        "documents": "Dokumentene som {fields} viser til i {folder}, slettes samtidig.",
        "fiscal": "{law} ({obligation}) krever at {fields} beholdes i {period} etter regnskapsårets slutt{when}:"
        " i dag beholdes det som er datert etter {cutoff}.",
        "until": "{law} ({obligation}) krever at {fields} beholdes til datoen i {at} er kommet{when}.",
        "through": "{law} ({obligation}) krever at {fields} beholdes til og med {until}.",
        "endless": "{law} ({obligation}) krever at {fields} beholdes; {at} har ingen dato å regne fra.",
        "row": "hele posten",
        "of": "{what} i {name}",
        "where": ", der {conditions}",
        "assumed": "Fristen er antatt («{because}»). Ingenting røres før {role} har bekreftet den.",
        "redacted": "Sladdet tekst blir stående og er ikke anonym («{because}»). Ingenting røres før {role} har"
        " bekreftet det.",
        "redacted text": "sladdet",
        "names taken out": "Sladdes for det som er kjent om personen, og for numre og adresser: {fields}.",
        "backups": "Sikkerhetskopier av systemet kan inneholde det i {period} til.",
    },
    groups={"day": "dag", "week": "uke", "month": "måned", "year": "år", "queue": "kø", "region": "region",
            "band": "trinn på {width}"},
)  # fmt: skip
_LANGUAGES: Mapping[str, _Language] = {"en": _EN, "nb": _NB}


def describe(rule: Rule, policy: Policy, lang: str) -> str:  # noqa: ARG001  (asked for like the other two)
    """What the rule does, in one sentence; KeyError for a language other than nb and en."""
    speak = _LANGUAGES[lang]
    words = {"what": _what(rule, lang), "period": period_words(rule.keep, lang), "verb": _verb(rule, speak)}
    since = rule.since.get(lang, "")
    return speak.text["since" if since else "older"].format(**words, since=since)


def meaning(rule: Rule, policy: Policy, today: date, lang: str) -> str:
    """Which data the rule means on the local date `today`, in one sentence, statutory floors included."""
    speak = _LANGUAGES[lang]
    since, last = rule.since.get(lang, ""), latest(rule, policy, today)
    words = {
        "today": date_words(today, lang),
        "what": _lower(_what(rule, lang)),
        "cutoff": date_words(last, lang),
        "longer": speak.text["longer"] if last < cutoff(today, rule.keep) else "",
    }
    return speak.text["means since" if since else "means"].format(**words, since=since)


def explain(rule: Rule, policy: Policy, today: date, lang: str) -> str:
    """The rule, what it means today, an example, and all that can keep a row: one paragraph of short sentences."""
    sentences = [describe(rule, policy, lang), meaning(rule, policy, today, lang), _example(rule, policy, today, lang)]
    sentences += _details(rule, lang)
    sentences += _alike(rule, policy, _LANGUAGES[lang])
    sentences += _keeping(rule, policy, today, lang)
    return " ".join(sentences)


def latest(rule: Rule, policy: Policy, today: date) -> date:
    """The latest local date of the rule's clock that is due on `today`, the floors on that same clock included."""
    days = [cutoff(today, rule.keep)]
    days += [fiscal_cutoff(today, period, policy.organisation.year_end) for period in _floor_periods(rule)]
    return min(days)


def date_words(day: date, lang: str) -> str:
    """A date written out: 1 March 2025, 1. mars 2025."""
    speak = _LANGUAGES[lang]
    return speak.text["day"].format(day=day, month=speak.months[day.month - 1])


def period_words(period: Period, lang: str) -> str:
    """A period written out: 3 years and 6 months, 3 år og 6 måneder; 26 months stay months."""
    speak = _LANGUAGES[lang]
    counted = zip(period.parts, ("years", "months", "days"), strict=True)
    return join_words([_count(number, unit, speak) for number, unit in counted if number], speak.text["and"])


def _count(number: int, unit: str, speak: _Language) -> str:
    one, more = speak.units[unit]
    return f"{speak.one[unit]} {one}" if number == 1 else f"{number} {more}"


def _what(rule: Rule, lang: str) -> str:
    return rule.title[lang]


def _lower(text: str) -> str:
    """As it stands inside a sentence; an abbreviation keeps its capitals."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def _verb(rule: Rule, speak: _Language) -> str:
    if isinstance(rule.action, Anonymise):
        return speak.text["anonymised"]
    if rule.aggregate is None:
        return speak.text["deleted"]
    return speak.text["counted"].format(by=_groups(rule.aggregate, speak))


def _groups(aggregate: Aggregate, speak: _Language) -> str:
    names = [speak.groups.get(name, name.replace("_", " ")) for name in aggregate.by]
    return join_words(names, speak.text["and"])


def join_words(parts: Sequence[str], word: str) -> str:
    """A list as it stands in a sentence, with the word before its last part."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {word} {parts[-1]}"


def _example(rule: Rule, policy: Policy, today: date, lang: str) -> str:
    """The latest date that is due today, with the last day of whichever lasts longer, the period or a floor."""
    speak = _LANGUAGES[lang]
    start = latest(rule, policy, today)
    last = max([last_day(start, rule.keep), *_floor_ends(rule, policy, start)])
    return speak.text["example since" if rule.since else "example"].format(
        start=date_words(start, lang),
        last=date_words(last, lang),
        due=date_words(next_day(last), lang),
        verb=speak.text["anonymised" if isinstance(rule.action, Anonymise) else "deleted"],
    )


def _floor_ends(rule: Rule, policy: Policy, start: date) -> list[date]:
    return [last_day(policy.organisation.year_end.of(start), period) for period in _floor_periods(rule)]


def _floor_periods(rule: Rule) -> list[Period]:
    """Of the floors that count for every row from the rule's own clock, so that a date can be named."""
    return [
        floor.period
        for floor in rule.floors
        if floor.period is not None and floor.clock is not None and floor.clock.at == rule.clock.at and not floor.when
    ]


def _details(rule: Rule, lang: str) -> list[str]:
    speak = _LANGUAGES[lang]
    sentences = list[str]()
    if isinstance(rule.action, Anonymise):
        sentences += _fields(rule.action, speak)
    if rule.aggregate is not None and rule.aggregate.suppress_below > 1:
        sentences.append(speak.text["suppressed"].format(number=rule.aggregate.suppress_below))
    if rule.followers:
        names = sorted({follower.dataset.name for follower in followers_of(rule)})
        sentences.append(speak.text["follows"].format(names=join_words(names, speak.text["and"])))
    sentences += _documents(rule, speak)
    return sentences


def _documents(rule: Rule, speak: _Language) -> Iterator[str]:
    for dataset, column in documents_of(rule):
        field = column if dataset.name == rule.dataset.name else f"{dataset.name}.{column}"
        yield speak.text["documents"].format(fields=field, folder=dataset.documents[column].store)


def _alike(rule: Rule, policy: Policy, speak: _Language) -> Iterator[str]:
    """What becomes of rows that would stand out after it."""
    anonymity = policy.anonymity.get(rule.dataset.name)
    if anonymity is None or anonymity.rule != rule.name or not anonymity.small_groups:
        return
    steps = [_parts(step, speak) for step in anonymity.small_groups]
    words = {
        "k": anonymity.k,
        "by": join_words(anonymity.by, speak.text["and"]),
        "steps": speak.text["then"].join(steps),
    }
    linked = join_words([each.to for each in anonymity.linked], speak.text["or"])
    yield speak.text["alike" if linked else "alike here"].format(**words, linked=linked)


def hidden(anonymity: Anonymity, lang: str) -> str:
    """What must hold of rows without a person."""
    speak = _LANGUAGES[lang]
    by = join_words(anonymity.by, speak.text["and"])
    linked = join_words([each.to for each in anonymity.linked], speak.text["or"])
    return speak.text["hidden linked" if linked else "hidden"].format(k=anonymity.k, by=by, linked=linked)


def _fields(action: Anonymise, speak: _Language) -> Iterator[str]:
    """Which fields lose everything, and which keep something."""
    coarser = {name: change for name, change in action.fields.items() if isinstance(change, Generalise)}
    redacted = [name for name, change in action.fields.items() if isinstance(change, Redact)]
    inside = {name: change for name, change in action.fields.items() if isinstance(change, ByPath)}
    if gone := [
        name
        for name in action.fields
        if name not in {**coarser, **inside, **action.written_down, **dict.fromkeys(redacted)}
    ]:
        yield speak.text["fields"].format(fields=join_words(gone, speak.text["and"]))
    if coarser:
        words = [speak.text["to"].format(column=name, to=_coarser(change, speak)) for name, change in coarser.items()]
        yield speak.text["coarser"].format(fields=join_words(words, speak.text["and"]))
    if redacted:
        yield speak.text["names taken out"].format(fields=join_words(redacted, speak.text["and"]))
    if action.written_down:
        words = [speak.text["to"].format(column=name, to=ref) for name, ref in action.written_down.items()]
        yield speak.text["kept before"].format(fields=join_words(words, speak.text["and"]))
    for name, change in inside.items():
        yield speak.text["inside"].format(column=name, parts=_parts(change.paths, speak))


def _parts(changes: Mapping[str, Change], speak: _Language) -> str:
    words = {name: _words(each, speak) for name, each in changes.items()}
    return ", ".join(speak.text["to"].format(column=path, to=to) for path, to in words.items())


def _coarser(change: Generalise, speak: _Language) -> str:
    return speak.groups.get(change.to, change.to).format(width=change.width)


def change_words(change: Change, lang: str) -> str:
    """What becomes of a field: blank, “removed”, region, surrogate, redacted."""
    return _words(change, _LANGUAGES[lang])


def _words(change: Change, speak: _Language) -> str:
    if isinstance(change, ByPath):
        return _parts(change.paths, speak)
    if isinstance(change, WriteDown):
        return speak.text["written"].format(of=change.of)
    if isinstance(change, Generalise):
        return _coarser(change, speak)
    return _put(change, speak) if isinstance(change, Put) else speak.text[_NAMED[type(change)]]


_NAMED: Mapping[type, str] = {Redact: "redacted text", Surrogate: "surrogate"}


def _put(change: Put, speak: _Language) -> str:
    if change.value is not None:
        return speak.text["quote"].format(value=change.value)
    return speak.text["dropped" if isinstance(change, Drop) else "blank"]


def assumed_words(rule: Rule, policy: Policy, lang: str) -> str:
    """What a person must confirm, why, and who: an assumed period, or text that stays; empty when nothing is."""
    if rule.assumption is None:
        return ""
    role = policy.organisation.roles[rule.assumption.confirm_by].title[lang]
    words = _LANGUAGES[lang].text["redacted" if rule.redacts else "assumed"]
    return words.format(because=rule.assumption.because, role=role)


def only_words(rule: Rule, lang: str) -> str:
    """Which rows the rule is about at all."""
    return _LANGUAGES[lang].text["when"].format(conditions=conditions_words(rule.when, lang))


def standing_words(floor: Floor, dataset: str, until: date | None, lang: str) -> str:
    """What a floor keeps of one row of `dataset`, and through which day; None when there is no such day."""
    text = _LANGUAGES[lang].text
    words = _floor_words(floor, dataset, lang)
    if until is not None:
        return text["through"].format(**words, until=date_words(until, lang))
    return text["until" if floor.until else "endless"].format(**words, when="", at=floor.until or floor.clock)


def _keeping(rule: Rule, policy: Policy, today: date, lang: str) -> list[str]:
    """Everything that keeps data which the period alone would let go."""
    text = _LANGUAGES[lang].text
    sentences = []
    if rule.when:
        sentences.append(only_words(rule, lang))
    sentences.append(text["undated"])
    holds = _holds(rule)
    sentences.append(text["held"].format(conditions=conditions_words(holds, lang, "or")) if holds else text["holds"])
    sentences += [_floor(floor, rule, policy, today, lang) for floor in _all_floors(rule)]
    if assumed := assumed_words(rule, policy, lang):
        sentences.append(assumed)
    backups = policy.stores[rule.dataset.store].backups
    if backups is not None:
        sentences.append(text["backups"].format(period=period_words(backups, lang)))
    return sentences


def _holds(rule: Rule) -> list[Condition]:
    """What the systems themselves say of a hold, each once, however many ways lead to it."""
    datasets = (rule.dataset, *(kin.dataset for kin in kin_of(rule)))
    return list(dict.fromkeys(each for dataset in datasets for each in dataset.held_when))


def _all_floors(rule: Rule) -> list[Floor]:
    floors = {floor.name: floor for _, floor in floors_of(rule)}
    return [floors[name] for name in sorted(floors)]


def conditions_words(conditions: Iterable[Condition], lang: str, word: str = "and") -> str:
    """Conditions written out, joined by `and` or `or`."""
    text = _LANGUAGES[lang].text
    parts = []
    for condition in conditions:
        values = [text["quote"].format(value=value) for value in condition.values]
        parts.append(text["is"].format(at=condition.at, values=join_words(values, text["or"])))
    return join_words(parts, text[word])


def _floor(floor: Floor, rule: Rule, policy: Policy, today: date, lang: str) -> str:
    text = _LANGUAGES[lang].text
    words = _floor_words(floor, rule.dataset.name, lang)
    words["when"] = text["where"].format(conditions=conditions_words(floor.when, lang)) if floor.when else ""
    if floor.period is None:
        return text["until"].format(**words, at=floor.until)
    end = fiscal_cutoff(today, floor.period, policy.organisation.year_end)
    return text["fiscal"].format(**words, period=period_words(floor.period, lang), cutoff=date_words(end, lang))


def _floor_words(floor: Floor, dataset: str, lang: str) -> dict[str, str]:
    text = _LANGUAGES[lang].text
    fields = join_words(list(floor.fields), text["and"]) if floor.fields else text["row"]
    return {
        "law": floor.law[:1].upper() + floor.law[1:],
        "obligation": floor.obligation,
        "fields": fields if floor.dataset == dataset else text["of"].format(what=fields, name=floor.dataset),
    }
