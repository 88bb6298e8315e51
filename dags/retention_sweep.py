"""The retention sweep: for each rule that deletes, plan → gate → act → verify → record."""

from __future__ import annotations

from airflow.sdk import DAG

from lethe_airflow import sweep, way

RUNBOOK = """
Deletes what the policy says is due, rule by rule, and writes down what it did. The rules that anonymise go the same way
in `anonymize_ex_customers`, at the same hour; neither waits for the other.

**Each rule** goes its own way: *plan* counts what is due and why the rest is kept, *gate* asks whether the plan may be
carried out, *act* does it in batches, *verify* asks the store anew, *record* writes down how it ended. One rule that
fails stops no other; the run ends failed.

**Waiting.** A rule's first plan, and one past its limits, needs the privacy officer. Its branch ends here, and
`approve_plans` asks. The answer starts a run of this DAG for what was approved; a run that finds nothing of its own
approved ends at once.

**Parameters.** `rules`: only these. `as_of`: plan for this day, never a day to come. `dry_run`: stop after the plan.

**When a task failed**, its last log line says what was found and what to do. Run the task again: it goes on where it
was, nothing is done twice. Errors that would come back in the same words (the policy, the schema, an approval that no
longer fits) are not retried.
"""

rules = way.rules_of(way.DELETING)

with DAG(
    way.DELETING,
    description="Deletes what the policy says is due, and proves it",
    doc_md=RUNBOOK,
    tags=["lethe", "retention", "C1"],
    **way.shared(way.DELETING),
):
    chosen = sweep.select(tuple(rules))
    ended = [sweep.tell_sealing(), sweep.conclude()]
    way.lay_all(rules, after=chosen, before=ended)
