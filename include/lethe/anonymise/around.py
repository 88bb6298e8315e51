"""What stands around a name in a folded text, and what it makes of the name: a person, a word, a place, another person.

What says that it is none must also say so when other finds have become marks: else redacting twice would find more.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from lethe.anonymise.common_words import (
    AMBIGUOUS,
    AS_OFTEN_A_PRONOUN,
    BEFORE_A_NOUN,
    GOES_WITH_A_PERSON,
    NOUNS_LIKE_VERBS,
    STRONG_VERBS,
    SURNAMES_END,
)
from lethe.anonymise.fold import FILLER
from lethe.anonymise.spelling import LETTER

IsUpper = Callable[[int], bool]  # whether the original's letter at an offset of the folded text is a capital

_REACH = 40  # how far what stands around is read

_CLOSING = re.compile(
    r"(?<!\w)(?:hilsen|hilsning|hilsener|mvh|vh|klem|regards|sincerely|heter|navn|navnet|name|herr|fru|frk|mr|mrs|ms)"
    r"[\s,.:!*–-]{1,6}\Z"
)
_GREETING = re.compile(r"(?<!\w)(?:hei|heisann|hallo|halla|heia|kjære|hello|hi|dear|hey)[\s,.:!*–-]{1,6}\Z")
_PERHAPS = re.compile(
    r"(?<!\w)(?:takk|best|jeg er|dette er|det er|this is|i am|kunde|innsender|avsender|mottaker|att|attn|fra|til|med|"
    r"av)[\s,.:!*–-]{1,6}\Z"
)
_GOES_ON = re.compile(r"[^\S\n]{0,3}(?:her|som|[.,!)]*[^\S\n]{0,3}(?:\r?\n|\Z))")
_SAID_BY = re.compile(
    r"(?<!\w)(?:(?:sier|seier|sa|skriver|skriv|skrev|spør|spurte|svarer|svarar|svarte|mener|meiner|mente|ifølge|"
    r"iflg|ring|ringe|ringer|ringte|kontakt|kontakte|be|avtalt med|snakket? med|snakka med|hørt med)"
    r"[^\S\n]|v/[^\S\n]?)\Z"
)
_CLAUSE_ENDS = re.compile(r"[^\S\n]?(?:[.,:;!?)]|\r?\n|\Z|(?:at|om|på)(?!\w))")
_LINE_BEFORE = re.compile(r"(?:^|\n)[\s>*_~–—\-(\"«]{0,8}\Z")
_LINE_AFTER = re.compile(r"[\s.,!:;*_~–—\-)\"»]{0,8}(?:\r?\n|\Z)|[^\S\n]{0,2}[,:]")

_BEGINS = frozenset('\n>*•–—|("«“')
_SENTENCE_BEGINS = re.compile(r"(?:\A|[\n>*•–—|.!?…]|(?<!\w)(?:subject|emne|re|sv|fwd|vs):)[^\S\n]{1,3}\Z")
_NEXT_WORD = re.compile(rf"[^\S\n]({LETTER}+(?:-{LETTER}+)*)(?![\w@/\\{FILLER}])")
_EQUALS = re.compile(rf"[^\S\n]?=[^\S\n]?{LETTER}")
_PAIR = re.compile(rf"[^\S\n](?:og|eller|and|or)[^\S\n]({LETTER}+)(?![\w@.-])")
_TITLE = re.compile(rf"[^\S\n](?:og[^\S\n])?({LETTER}+)(?:[^\S\n]{LETTER}+){{0,2}}[»\"”]")
_QUOTES = ("«", '"', "“")
_LAST_OF_ROOM = tuple(
    f"{room}{quote}" for room in ("rom ", "rommet ", "sal ", "salen ", "auditorium ") for quote in ("", *_QUOTES)
)
_PHRASES = re.compile(
    r"(?:vår|vårt|deres)[^\S\n](?:ref|saksbeh|dato|kontakt|side)"
    r"|per[^\S\n](?:i[^\S\n]dag|d\.?d|dags|definisjon|telefon|tlf|e-?post|mail|post|time|måned|mnd|uke|år|stk|dag|døgn|enhet|person|"
    r"capita|nå|no(?!\w))"
    r"|jo(?:,[^\S\n](?:det|takk|da|men|dette|vi)|[^\S\n](?:mer|meir|flere|fleire|færre|lenger|større|mindre|bedre|oftere|fortere|raskere))"
    r"(?!\w)"
)
_INSTITUTION = re.compile(
    r"[^\S\n](?:kommune|fylke|stasjon|skole|skule|\w{2,12}skole|\w{2,12}skule|kirke|kyrkje|bedehus|hotell|hotel|sykehus|sjukehus|"
    r"sykehjem|sjukeheim|omsorgssenter|\w{0,9}senter|barnehage|bibliotek|vgs|videregående|vidaregåande|flyplass|lufthavn|"
    r"terminal|fergekai|ferjekai|fergeleie|brygge|havn|hamn|holdeplass|torg|stadion|camping|sentrum|bydel|prestegård|"
    r"idrettslag|il|museum)(?:en|et|a|s)?(?!\w)"
)
_JOURNEY = re.compile(
    r"(?<!\w)(?:tog|ferge|ferje|buss|trikk)(?:en|et|n|a|ene)?[^\S\n](?:til|fra|frå|mot|via|mellom)[^\S\n]\Z"
)
_ROOM = re.compile(r"(?<!\w)(?:møterom|grupperom|rom|sal|auditorium)(?:met|en)? [«\"“]?\Z")
_IN = re.compile(r"(?<!\w)i[^\S\n]\Z")
_OF_PLACE = re.compile(rf"[^\S\n]i[^\S\n]({LETTER})")
_SURNAME = re.compile(rf"[^\S\n]({LETTER}{{2,}})(?![\w@-])")
_NAME_CHANGED = re.compile(
    r"(?<!\w)(?:født|tidligere|tidlegare|het(?!\w)|heter|heiter|etternavn|etternamn|pikenavn|navnebytte|nytt navn|"
    r"nytt namn|gift\w{0,3}|skilt|separert|née|formerly|maiden|byttet navn|endret navn|"
    r"alias|feilskrevet|skrivefeil)(?!\w)"
)


def is_expected(text: str, start: int, end: int) -> bool:
    """Whether a person is meant whatever the name's letters: greeted, signing, quoted, alone on the line."""
    before = max(0, start - _REACH)
    if _LINE_BEFORE.search(text, max(0, start - 10), start) and _LINE_AFTER.match(text, end):
        return True
    if _GREETING.search(text, before, start) or _CLOSING.search(text, before, start):
        return True
    if _PERHAPS.search(text, before, start) and _GOES_ON.match(text, end):
        return True
    return (
        text[start:end] not in AS_OFTEN_A_PRONOUN
        and bool(_CLAUSE_ENDS.match(text, end))
        and bool(_SAID_BY.search(text, before, start))
    )


def is_word(text: str, start: int, end: int, is_upper: IsUpper) -> bool:
    """Whether a capitalised name that is also a word is the word, by its place in the sentence and what follows."""
    before = text[max(0, start - _REACH) : start]
    if before.endswith(_LAST_OF_ROOM) and _ROOM.search(before):
        return True
    if before.endswith("i ") and _is_region(text, end, before, is_upper):
        return True
    if before.endswith(_QUOTES) and _is_title(text, end, is_upper):
        return True
    if before and not (before[-1] in _BEGINS or (before[-1] == " " and _SENTENCE_BEGINS.search(before))):
        return False
    return _is_first_word(text, start, end, is_upper) and not _CLOSING.search(before)


def _is_first_word(text: str, start: int, end: int, is_upper: IsUpper) -> bool:
    """Whether what follows the first of a sentence does not follow a name."""
    if _PHRASES.match(text, start) or _EQUALS.match(text, end):
        return True
    if (pair := _PAIR.match(text, end)) and pair[1] in AMBIGUOUS and not is_upper(pair.start(1)):
        return True
    following = _NEXT_WORD.match(text, end) if text[start:end] in BEFORE_A_NOUN else None
    return following is not None and not is_upper(following.start(1)) and not _goes_with_a_person(following[1])


def _is_region(text: str, end: int, before: str, is_upper: IsUpper) -> bool:
    """In Vik i Sogn."""
    within = _OF_PLACE.match(text, end)
    return within is not None and is_upper(within.start(1)) and bool(_IN.search(before))


def _is_title(text: str, end: int, is_upper: IsUpper) -> bool:
    """«Bo bedre», «Liv og helse»."""
    title = _TITLE.match(text, end)
    return title is not None and not is_upper(title.start(1)) and not _goes_with_a_person(title[1])


def _goes_with_a_person(word: str) -> bool:
    """Whether it may be a verb, or another word that follows a name; in doubt it may."""
    if word in GOES_WITH_A_PERSON or word.endswith(STRONG_VERBS):
        return True
    return word.endswith(("r", "t", "te", "de", "a", "s", "ed")) and not word.endswith(NOUNS_LIKE_VERBS)


def is_place(text: str, start: int, end: int) -> bool:
    """Whether a surname is that of a place: before what stands in it, or after a journey."""
    return bool(_INSTITUTION.match(text, end)) or bool(_JOURNEY.search(text, max(0, start - _REACH), start))


def surname_after(text: str, end: int, is_upper: IsUpper) -> re.Match[str] | None:
    """The capitalised word right after a given name that looks like a Norwegian surname; it is the match's group 1."""
    match = _SURNAME.match(text, end)
    if match is None or not is_upper(match.start(1)) or all(is_upper(at) for at in range(*match.span(1))):
        return None
    is_one = match[1].removesuffix("s").endswith(SURNAMES_END) or match[1] in AMBIGUOUS - AS_OFTEN_A_PRONOUN
    return match if is_one else None


def tells_a_change_of_name(text: str) -> bool:
    """Whether the text speaks of names that somebody had before: then no other surname is somebody else's."""
    return bool(_NAME_CHANGED.search(text))


__all__ = ["IsUpper", "is_expected", "is_place", "is_word", "surname_after", "tells_a_change_of_name"]
