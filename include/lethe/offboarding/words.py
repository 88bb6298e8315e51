"""Words of the policy in a text, however they are disguised: what is marked as private must be found to be.

A word counts whole: "privat" is found in "Re: PRIVAT!", "Privat_2023" and "privat-sak", not in "privatkunde" or
"privatisering", which are everyday words of business. Where the policy says privat*, it is found there too.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

from lethe.anonymise.fold import fold

_CONTROLS = re.compile(r"[\x00-\x08\x0e-\x1f\x7f]")
_UNSEEN = frozenset(("Mn", "Me", "Cf", "Cc", "Cs", "Co", "Cn"))
_PASSING_FOR = {  # small letters of other scripts, by the Latin one that they pass for
    "a": "аαɑᴀ", "b": "вβʙ", "c": "сϲᴄ", "d": "ԁᴅ", "e": "еεᴇ", "g": "ɡɢ", "h": "нһʜհ", "i": "іιɩɪ", "j": "јᴊյ",
    "k": "кκᴋ", "l": "ӏʟ", "m": "мμᴍ", "n": "ηɴո", "o": "оοօᴏ", "p": "рρᴘ", "q": "ԛ", "r": "гʀ", "s": "ѕꜱ",
    "t": "тτᴛ", "u": "υսᴜ", "v": "νѵᴠ", "w": "ԝᴡ", "x": "хχ", "y": "уʏ", "z": "ζᴢ", "": "\u115f\u1160\u3164\uffa0",
}  # fmt: skip
_PLAIN = {ord(each): plain for plain, others in _PASSING_FOR.items() for each in others}
_BETWEEN = r"[\W_]{1,8}"


def skeleton(text: str) -> str:
    """The text as the eye reads it: one form and case, no accents, nothing that is not seen, Latin for lookalikes."""
    text = _CONTROLS.sub("", fold(text).text)
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text).translate(_PLAIN)
    return "".join(each for each in parts if each.isspace() or unicodedata.category(each) not in _UNSEEN)


@lru_cache(maxsize=256)
def any_of(words: tuple[str, ...]) -> re.Pattern[str]:
    """What finds any of the words in a skeleton; no words find nothing."""
    branches = [_branch(word) for word in sorted(words, key=len, reverse=True)]
    return re.compile(rf"(?<![^\W\d_])(?:{'|'.join(branches)})" if branches else r"(?!)")


def _branch(word: str) -> str:
    letters = [re.escape(part) for part in re.findall(r"[^\W_]+", skeleton(word))]
    return _BETWEEN.join(letters) + ("" if word.endswith("*") else r"(?![^\W\d_])")


def is_named(words: tuple[str, ...], text: str) -> bool:
    """Whether any of the words stands in the text."""
    return any_of(words).search(skeleton(text)) is not None
