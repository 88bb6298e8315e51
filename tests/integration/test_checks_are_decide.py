"""What the checks count is what decide() says, whatever policy, rows and holds: the sweep's SQL is not asked."""

from collections import Counter

from hypothesis import HealthCheck, Phase, given, settings

from filled_estate import Bench
from lethe.checks.elsewhere import Elsewhere
from lethe.checks.questions import REASONS, Question
from lethe.checks.sight import Seen
from lethe.model import Reason
from lethe.stores.memory import Memory, MemoryStore, View
from random_estate import Case, cases

NAMED = {
    "unselected": Reason.CONDITION, "done": Reason.DONE, "held": Reason.HELD, "restricted": Reason.RESTRICTED,
    "floor": Reason.FLOOR, "needed": Reason.NEEDED,
}  # fmt: skip


ELSEWHERE = {f"elsewhere {name}" for name in ("unselected", "held", "restricted", "floor", "remaining")}
"""What must also come of rules that are read from another store; none there waits for another."""


def test_the_checks_count_what_decide_says(bench: Bench) -> None:
    _for_cases(bench, 120)


def _for_cases(bench: Bench, examples: int) -> None:
    seen = Counter[str]()

    @settings(
        max_examples=examples, deadline=None, database=None, derandomize=examples < 1000, report_multiple_bugs=False,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(cases())
    def holds(case: Case) -> None:
        seen.update(_agree(bench, case))

    holds()
    assert {*REASONS, "remaining", *ELSEWHERE} <= set(+seen), "the cases must come to everything that is to be compared"


def _agree(bench: Bench, case: Case) -> Counter[str]:
    import shutil

    shutil.rmtree(bench.directory / "policy", ignore_errors=True)
    policy = case.policy(bench.directory / "policy")
    rule, memory = policy.rules["ends"], case.memory(policy)
    bench.fill(case, memory)
    elsewhere = Elsewhere(policy, "crm", Seen.by(bench.connection), lambda _: bench.database.conninfo(), may=True)
    question = Question(policy, rule, case.today, 0, elsewhere.type_of)
    elsewhere.bring(question)
    elsewhere.lay(bench.connection, question)
    found = Question.answered(bench.connection.execute(question.sql()).fetchone())
    view = View(MemoryStore(policy.stores["crm"], policy, Memory(memory.tables, holds=memory.holds)))
    decided = [reasons for *_, reasons in view.decided(rule, case.today, confirmed=True)]
    of_clock = Reason.UNDATED | Reason.FUTURE | Reason.NOT_DUE
    expected = Counter[str]()
    for reasons in decided:
        if not reasons & of_clock:
            expected[next((name for name in REASONS if NAMED[name] in reasons), "remaining")] += 1
    assert found.rows == len(decided)
    assert found.dated <= sum(1 for reasons in decided if Reason.UNDATED not in reasons)  # infinity is no date here
    assert {**found.kept, "remaining": found.remaining, "over": found.over} == {
        **dict.fromkeys(REASONS, 0), "remaining": 0, **expected, "over": expected.total(),
    }, (rule.name, question.sql())  # fmt: skip
    return expected + Counter({f"elsewhere {name}": number for name, number in expected.items() if question.reads()})
