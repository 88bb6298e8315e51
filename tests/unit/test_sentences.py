from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lethe import sentences
from lethe.deadlines import Period
from lethe.decide import decide
from lethe.model import Anonymise, Assumption, ColumnRef, Generalise, Policy, Record, Redact, Verdict
from lethe.policy import load
from lethe.reach import floors_of, followers_of, kin_of

SHIPPED = Path(__file__).parents[2] / "include" / "policy"
TODAY = date(2025, 3, 1)
RULES = sorted(load(SHIPPED).rules)
LANGUAGES = ("nb", "en")


@pytest.fixture(scope="module")
def policy() -> Policy:
    return load(SHIPPED)


DESCRIBE = {
    ("call-log-90-days", "en"): "Calls older than 90 days are totalled by day and queue, and deleted.",
    ("call-log-90-days", "nb"): "Samtaler eldre enn 90 dager telles per dag og kø, og slettes.",
    ("cases-of-ex-customers", "en"): (
        "Cases of ex-customers are anonymised 1 year after the end of the customer relationship."
    ),
    ("cases-of-ex-customers", "nb"): "Saker fra tidligere kunder anonymiseres ett år etter kundeforholdets slutt.",
    ("visitors-26-months", "en"): "Data about visitors are deleted 26 months after the last visit.",
    ("visitors-26-months", "nb"): "Opplysninger om besøkende slettes 26 måneder etter siste besøk.",
    ("consents-withdrawn", "en"): "Consents are deleted 1 day after the withdrawal.",
    ("consents-withdrawn", "nb"): "Samtykker slettes én dag etter tilbaketrekkingen.",
    ("delivery-notes-after-floor", "en"): "Delivery notes are deleted 3 years and 6 months after the delivery.",
    ("delivery-notes-after-floor", "nb"): "Følgesedler slettes 3 år og 6 måneder etter leveringen.",
}
MEANING = {
    ("call-log-90-days", "en"): "Today (1 March 2025) this covers calls up to and including 30 November 2024.",
    ("call-log-90-days", "nb"): "I dag (1. mars 2025) betyr det samtaler til og med 30. november 2024.",
    ("visitors-26-months", "en"): (
        "Today (1 March 2025) this covers data about visitors, counted from the last visit, up to and including"
        " 31 December 2022."
    ),
    ("cases-of-ex-customers", "nb"): (
        "I dag (1. mars 2025) betyr det saker fra tidligere kunder, regnet fra kundeforholdets slutt, til og med"
        " 29. februar 2024."
    ),
    # five years have passed since March 2020, but the fiscal year 2020 is still kept
    ("invoices-after-floor", "en"): (
        "Today (1 March 2025) this covers invoices to ex-customers, counted from the date of the invoice, up to and"
        " including 31 December 2019, because a floor keeps them longer."
    ),
}


@pytest.mark.parametrize(("rule", "lang"), DESCRIBE, ids=str)
def test_a_rule_is_described_in_one_sentence(policy: Policy, rule: str, lang: str) -> None:
    assert sentences.describe(policy.rules[rule], policy, lang) == DESCRIBE[rule, lang]


@pytest.mark.parametrize(("rule", "lang"), MEANING, ids=str)
def test_a_rule_says_which_data_it_means_today(policy: Policy, rule: str, lang: str) -> None:
    assert sentences.meaning(policy.rules[rule], policy, TODAY, lang) == MEANING[rule, lang]


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", RULES)
def test_an_explanation_is_made_of_whole_sentences(policy: Policy, name: str, lang: str) -> None:
    text = sentences.explain(policy.rules[name], policy, TODAY, lang)
    assert text.startswith(sentences.describe(policy.rules[name], policy, lang))
    assert sentences.meaning(policy.rules[name], policy, TODAY, lang) in text
    assert text.isprintable()
    assert text.endswith(".")
    assert not set(text) & set("{}[]|")
    assert "  " not in text
    assert "None" not in text


@pytest.mark.parametrize("lang", LANGUAGES)
@pytest.mark.parametrize("name", RULES)
def test_an_explanation_names_everything_that_can_keep_a_row(policy: Policy, name: str, lang: str) -> None:
    rule = policy.rules[name]
    text = sentences.explain(rule, policy, TODAY, lang)
    kin = list(kin_of(rule))
    for _, floor in floors_of(rule):
        assert floor.law[1:] in text
        assert f"({floor.obligation})" in text
    for condition in (*rule.when, *rule.dataset.held_when, *(each for one in kin for each in one.dataset.held_when)):
        assert str(condition.at) in text
        assert all(value in text for value in condition.values)
    if rule.assumption:
        assert rule.assumption.because in text
        assert policy.organisation.roles[rule.assumption.confirm_by].title[lang] in text
    for follower in followers_of(rule):
        assert follower.dataset.name in text


def test_the_whole_explanation_of_an_invoice(policy: Policy) -> None:
    assert sentences.explain(policy.rules["invoices-after-floor"], policy, TODAY, "en") == (
        "Invoices to ex-customers are deleted 5 years after the date of the invoice. "
        "Today (1 March 2025) this covers invoices to ex-customers, counted from the date of the invoice, up to and"
        " including 31 December 2019, because a floor keeps them longer. "
        "Example: a record counted from 31 December 2019 is kept through 31 December 2024 and deleted from"
        " 1 January 2025. "
        "What belongs to it goes with it (vouchers); when any of that must stay, all of it stays. "
        "Only where customer.status is “S”. "
        "Data without a date, or dated in the future, is kept. A hold keeps it longer. "
        "Bokføringsloven § 13 (R13) keeps the whole record in delivery-notes for 3 years and 6 months after the fiscal"
        " year has ended: today what is dated after 31 December 2020 stays. "
        "Bokføringsloven § 13 (R13) keeps fakturanr, kundenr, kunde_navn, kunde_adresse, fakturadato, forfall,"
        " beloep and registrert for 5 years after the fiscal year has ended: today what is dated after"
        " 31 December 2019 stays. "
        "Backups of the system can hold it for another 90 days."
    )


def test_the_whole_explanation_of_a_survey_answer_in_norwegian(policy: Policy) -> None:
    assert sentences.explain(policy.rules["survey-answers-lose-their-person"], policy, TODAY, "nb") == (
        "Svar på undersøkelser eldre enn ett år anonymiseres. "
        "I dag (1. mars 2025) betyr det svar på undersøkelser til og med 29. februar 2024. "
        "Eksempel: en post fra 29. februar 2024 beholdes til og med 28. februar 2025 og anonymiseres"
        " fra 1. mars 2025. "
        "Tømmes eller erstattes: comment og respondent_id. "
        "Det som mangler dato eller har dato fram i tid, beholdes. En sperre gjør at det beholdes lenger. "
        "Fristen er antatt («identifiable answers are promised to go, but not when; a survey is compared with last"
        " year's»). Ingenting røres før personvernombudet har bekreftet den. "
        "Sikkerhetskopier av systemet kan inneholde det i 35 dager til."
    )


def test_fields_that_keep_something_are_told_apart(policy: Policy) -> None:
    rule = policy.rules["ex-customer-orders"]
    gone = "Emptied or replaced: customer_id, email, note, phone, ship_address and ship_name."
    assert f"{gone} Made coarser: placed_at (month) and ship_postcode (region)." in sentences.explain(
        rule, policy, TODAY, "en"
    )
    rule = replace(rule, action=Anonymise({"total": Generalise("band", 1000), "born": Generalise("year")}))
    assert "Gjøres grovere: total (trinn på 1000) og born (år)." in sentences.explain(rule, policy, TODAY, "nb")
    assert "Emptied" not in sentences.explain(rule, policy, TODAY, "en")


def test_redacted_text_is_told_as_what_it_is(policy: Policy) -> None:
    action = Anonymise({"note": Redact(names=(ColumnRef("ship_name"),))})
    chosen = Assumption("privacy-officer", "needed for the next case", "redaction")
    rule = replace(policy.rules["ex-customer-orders"], action=action, assumption=chosen)
    told = sentences.explain(rule, policy, TODAY, "en")
    assert "Redacted, without what is known of the person and without numbers and addresses: note." in told
    assert "Redacted text stays and is not anonymous (needed for the next case). Nothing is touched before the" in told
    assert "Sladdet tekst blir stående og er ikke anonym" in sentences.explain(rule, policy, TODAY, "nb")
    assert "period is assumed" not in told


@pytest.mark.parametrize("name", RULES)
@given(today=st.dates(date(2001, 1, 1), date(2090, 12, 31)))
def test_the_date_that_is_told_is_the_date_that_is_decided(policy: Policy, name: str, today: date) -> None:
    """The told date is due on that day, and the day after it is not; nothing but the dates stands in the way."""
    rule = replace(policy.rules[name], when=())
    latest = sentences.latest(rule, policy, today)
    due, kept = (verdict(policy, rule, day, today) for day in (latest, latest + timedelta(days=1)))
    assert (due, kept) == (Verdict.DUE, Verdict.KEPT)


def verdict(policy: Policy, rule: sentences.Rule, start: date, today: date) -> Verdict:
    organisation = policy.organisation
    values = {str(rule.clock.at): start, "archive_delivered_at": start, "x": "x"}
    fields = dict.fromkeys(getattr(rule.action, "fields", ()), "something")
    record = Record({**fields, **values})
    return decide(rule, record, today, zone=organisation.zone, year_end=organisation.year_end).verdict


@pytest.mark.parametrize(
    ("period", "nb", "en"),
    [
        ("P1Y", "ett år", "1 year"),
        ("P10Y", "10 år", "10 years"),
        ("P1M", "én måned", "1 month"),
        ("P26M", "26 måneder", "26 months"),
        ("P3Y6M", "3 år og 6 måneder", "3 years and 6 months"),
        ("P6M", "6 måneder", "6 months"),
        ("P1D", "én dag", "1 day"),
        ("P2W", "14 dager", "14 days"),
        ("P1Y1D", "ett år og én dag", "1 year and 1 day"),
        ("P1Y6M3D", "ett år, 6 måneder og 3 dager", "1 year, 6 months and 3 days"),
    ],
)
def test_periods_are_written_out(period: str, nb: str, en: str) -> None:
    assert sentences.period_words(Period.parse(period), "nb") == nb
    assert sentences.period_words(Period.parse(period), "en") == en


def test_dates_are_written_out() -> None:
    assert sentences.date_words(date(2024, 2, 29), "nb") == "29. februar 2024"
    assert sentences.date_words(date(2024, 12, 1), "en") == "1 December 2024"


def test_an_unknown_language_is_an_error(policy: Policy) -> None:
    with pytest.raises(KeyError):
        sentences.describe(policy.rules["access-log"], policy, "sv")
