"""Anonymises ex-customers, and whoever else a rule lets stay without a name: plan → gate → act → verify → record."""

from __future__ import annotations

from airflow.sdk import DAG

from lethe_airflow import sweep, way

RUNBOOK = """
Takes the person out of rows that stay: ex-customers, respondents of a survey that is over, and whoever else a rule of
the policy anonymises. The rules that delete go the same way in `retention_sweep`, at the same hour; neither waits for
the other.

**Each rule** goes its own way: *plan* counts what is due and why the rest is kept, *gate* asks whether the plan may be
carried out, *act* overwrites the fields in batches, *verify* asks the store anew, *record* writes down how it ended.
What was anonymised before is recognised and left alone. One rule that fails stops no other; the run ends failed.
*verify* also measures whether anybody stands out among too few in what was anonymised, and *measure*, at the end, in
data that never had a person, where the policy says how that must be (`anonymity:`).

**No way back.** What a field held is gone, but for the store's backups. `lethe policy explain RULE` names the fields
and what becomes of each.

**Waiting.** A rule's first plan, and one past its limits, needs the privacy officer. Its branch ends here, and
`approve_plans` asks. The answer starts a run of this DAG for what was approved; a run that finds nothing of its own
approved ends at once.

**Parameters.** `rules`: only these. `as_of`: plan for this day, never a day to come. `dry_run`: stop after the plan.

**When a task failed**, its last log line says what was found and what to do. Run the task again: it goes on where it
was, nothing is done twice. Errors that would come back in the same words (the policy, the schema, an approval that no
longer fits) are not retried.
"""

rules = way.rules_of(way.ANONYMISING)

with DAG(
    way.ANONYMISING,
    description="Anonymises what the policy says is due, and proves it",
    doc_md=RUNBOOK,
    tags=["lethe", "anonymisation", "C3"],
    **way.shared(way.ANONYMISING),
):
    chosen = sweep.select(tuple(rules))
    measured, ended = sweep.measure(), [sweep.tell_sealing(), sweep.conclude()]
    measured >> ended
    way.lay_all(rules, after=chosen, before=[measured, *ended])
