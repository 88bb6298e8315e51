"""The people in a folded text: which of the parts of one person's names that were found there stand for that person.

A part that is also a word (common_words) counts when it is capitalised, stands beside another part, or where a name is
expected: after a greeting, before a signature's end, alone on its line. What stands around it may say that it is the
word all the same, a place, or somebody else. In doubt it counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from lethe.anonymise.around import IsUpper, is_expected, is_place, is_word, surname_after, tells_a_change_of_name
from lethe.anonymise.common_words import AMBIGUOUS
from lethe.anonymise.fold import FILLER, masked
from lethe.anonymise.names import GLUED, PARTICLE, SURE, WORD, Person
from lethe.anonymise.spelling import LETTER

_LONG_LOGIN = 7  # knordmann; what is shorter may be a word, as sk + ole
_LONG_WORD = 5
_REACH = 33  # a word and what stands between it and the next
_ROUNDS = 3

_BESIDE = re.compile(r"[^\S\n]{0,3}(?:[-‐–.,;_/+&]|%20)?[^\S\n]{0,3}(?:\r?\n)?[>\s]{0,3}(?:[^\W\d_]\. ?)?")
_GOES_ON = re.compile(r"(?:[^\S\n]{1,2}|-)(?:[^\W\d_]\. ?)?")
_JOINED = re.compile(r"[^\S\n]{0,3}[-‐–.,]?[^\S\n]{0,3}(?:\r?\n[^\S\n]{0,3})?")
_GLUED = re.compile(rf"{LETTER}{{2}}")
_WORD_BESIDE = re.compile(rf"(?:[^\S\n]|-|, )({LETTER}{{3,30}})(?![\w@])")
_BESIDE_BACKWARDS = re.compile(rf"(?:[^\S\n]|-| ,)({LETTER}{{3,30}})(?![\w@])")


@dataclass
class Hit:
    """A part of a name at its place in the folded text; `sure` when it stands for the person."""

    start: int
    end: int
    sure: bool
    word: str
    label: str
    may_be_word: bool = False  # in capitals
    is_spared: bool = False  # what stands around it says that it is none

    @property
    def is_particle(self) -> bool:
        """Whether it means the name only between other parts."""
        return self.label == PARTICLE


def hit(body: str, text: str, span: tuple[int, int], label: str, is_upper: IsUpper) -> Hit | None:
    """What was found at a place, judged by itself and by what stands around it; None for what is no name at all."""
    start, end = span
    word = body[start:end]
    if label in {SURE, PARTICLE}:
        return Hit(start, end, label == SURE, word, label)
    if label == GLUED:
        return Hit(start, end, True, word, label) if _is_login(word, start, is_upper) else None
    if not any(map(is_upper, range(start, end))):
        return Hit(start, end, is_expected(text, start, end), word, label) if label == WORD else None
    return Hit(start, end, label == WORD, word, label, may_be_word=label == WORD)


def _is_login(word: str, start: int, is_upper: IsUpper) -> bool:
    """Whether initials and a name in one word are meant: too long for another word, or the name with a capital."""
    if len(word) >= _LONG_LOGIN:
        return True
    capitals = sum(map(is_upper, range(start, start + len(word))))
    return is_upper(start) and 1 < capitals < len(word)


@dataclass
class People:
    """The search for one person in a folded text, among the parts of the names that were found there.

    `is_named` when a mark of an earlier redaction stands in the text for a name.
    """

    text: str
    hits: Sequence[Hit]
    person: Person
    is_upper: IsUpper
    is_named: bool
    beside: list[bool] = field(init=False)  # of each part and the next one
    alone: list[Hit] = field(init=False)  # the parts beside which no other stands

    def __post_init__(self) -> None:
        if len(self.hits) < 2:
            self.beside, self.alone = [], [*self.hits]
            return
        self.beside = [bool(_BESIDE.fullmatch(self.text, left.end, right.start)) for left, right in pairwise(self.hits)]
        neighbours = zip(self.hits, [False, *self.beside], [*self.beside, False], strict=True)
        self.alone = [each for each, is_left, is_right in neighbours if not (is_left or is_right)]

    def spans(self) -> list[tuple[int, int]]:
        """The spans of what stands for the person: parts that are sure, or beside another, with initials, joined."""
        for each in self.alone:
            if each.sure and self._is_none(self.text, each):
                each.sure, each.is_spared = False, True
        self._settle()
        self._spare_others()
        spans = self._joined()
        for _ in range(_ROUNDS):
            if not self._unspared(spans):
                return spans
            self._settle()
            spans = self._joined()
        for each in self.hits:
            each.sure |= each.is_spared
        return self._joined()

    def _settle(self) -> None:
        """Makes sure what stands beside another part: forwards, then backwards, for a chain such as van der Berg."""
        if True not in self.beside:
            return
        carried = False
        for left, right, beside in zip(self.hits, self.hits[1:], self.beside, strict=False):
            carried = beside and (left.sure or (left.is_particle and carried))
            if carried and not right.is_particle:
                right.sure = True
            elif beside and not (left.is_particle or right.is_particle or left.sure or right.sure):
                left.sure = right.sure = left.word != right.word
        for right, left, beside in zip(self.hits[:0:-1], self.hits[-2::-1], self.beside[::-1], strict=True):
            if right.sure and beside:
                left.sure = True

    def _unspared(self, spans: list[tuple[int, int]]) -> bool:
        """Whether some were spared for words that will themselves be gone; a second redaction would find those."""
        spared = [each for each in self.hits if each.is_spared and not each.sure]
        if not spared:
            return False
        rest = masked(self.text, spans)
        for each in spared:
            each.sure = not (self._is_none(rest, each) or self._end_of_another(rest, each))
        return any(each.sure for each in spared)

    def _is_none(self, text: str, each: Hit) -> bool:
        """Whether it is no name of a person here, but a word or a place."""
        if each.may_be_word and is_word(text, each.start, each.end, self.is_upper):
            return True
        return each.word in self.person.surnames and is_place(text, each.start, each.end)

    def _end_of_another(self, text: str, each: Hit) -> int:
        """Where the full name of somebody else ends that begins with this given name; 0 when there is none."""
        surname = surname_after(text, each.end, self.is_upper) if each.word in self.person.given else None
        return 0 if surname is None or self.person.misspelt.of(surname[1]) else surname.end()

    def _spare_others(self) -> None:
        """Lets go of given names before another's surname, where the text names the subject otherwise as well."""
        if not self.is_named and len({each.word for each in self.hits}) == 1:
            return
        ends = {each.start: end for each in self.alone if each.sure and (end := self._end_of_another(self.text, each))}
        if not ends or tells_a_change_of_name(self.text):
            return
        own = {each.word for each in self.hits if self._is_evident(each) and each.start not in ends}
        for each, right in zip(self.hits, (*self.hits[1:], None), strict=True):
            if each.start in ends and (self.is_named or own - {each.word}):
                goes_on = right and _GOES_ON.fullmatch(self.text, ends[each.start], right.start)  # Kari Lie Nordmann
                each.sure, each.is_spared = bool(goes_on), not goes_on

    def _is_evident(self, each: Hit) -> bool:
        """Whether it will be marked as a name, and not as part of an address."""
        return each.sure and self.text[each.start] != FILLER

    def _joined(self) -> list[tuple[int, int]]:
        spans: list[tuple[int, int]] = []
        for each, is_left, is_right in zip(self.hits, [False, *self.beside], [*self.beside, False], strict=True):
            if not each.sure:
                continue
            start, end = self._with_initials(each)
            start = start if is_left else self._misspelt_before(start, each)
            end = end if is_right else self._misspelt_after(end, each)
            if spans and (start <= spans[-1][1] or _JOINED.fullmatch(self.text, spans[-1][1], start)):
                spans[-1] = min(start, spans[-1][0]), max(end, spans[-1][1])
            else:
                spans.append((start, end))
        return spans

    def _with_initials(self, each: Hit) -> tuple[int, int]:
        letters = self.person.initials
        if letters is None:
            return each.start, each.end
        before = letters.before.search(self.text, max(0, each.start - 12), each.start)
        after = letters.after.match(self.text, each.end, each.end + 12)
        return (
            before.start() if before and _is_initial(before, self.is_upper) else each.start,
            after.end() if after and _is_initial(after, self.is_upper) else each.end,
        )

    def _misspelt_before(self, start: int, each: Hit) -> int:
        """Where the word before begins, when it is another part of the name misspelt."""
        floor, last = max(0, start - _REACH), start - 2
        if last < 0 or not (self.text[last].isalpha() or self.text[last] == ","):  # most stand first, or after a mark
            return start
        begins = max(self.text.rfind(blank, floor, last) for blank in " -\n") + 1
        if not self._is_written_as(begins, each):
            return start
        before = _BESIDE_BACKWARDS.match(self.text[floor:start][::-1])
        if before and self._is_misspelt(before[1][::-1], start - before.end(1), each):
            return start - before.end(1)
        return start

    def _misspelt_after(self, end: int, each: Hit) -> int:
        """Likewise where the word after ends."""
        begins = end + 2 if self.text.startswith(",", end) else end + 1
        if begins >= len(self.text) or not (self.text[begins].isalpha() and self._is_written_as(begins, each)):
            return end
        after = _WORD_BESIDE.match(self.text, end)
        return after.end(1) if after and self._is_misspelt(after[1], after.start(1), each) else end

    def _is_written_as(self, begins: int, each: Hit) -> bool:
        return self.is_upper(begins) or not self.is_upper(each.start)

    def _is_misspelt(self, word: str, start: int, each: Hit) -> bool:
        """Where nobody writes capitals, not for words of the language."""
        if word in self.person.misspelt.parts:  # has been found as it is
            return False
        if not self.is_upper(start) and (word in AMBIGUOUS or len(word) < _LONG_WORD):
            return False
        near = self.person.misspelt.of(word) or self.person.misspelt.of(word.removesuffix("s"))
        return bool(near) and not near <= self.person.misspelt.of(each.word)


def _is_initial(match: re.Match[str], is_upper: IsUpper) -> bool:
    """A lower-case i or o is a word, but with its dot; letters without blanks between them are all capitals."""
    is_each_alone = "." in match.group() and not _GLUED.search(match.group())
    return is_each_alone or all(is_upper(at) for at in range(*match.span()) if match.string[at].isalpha())
