"""Taking secrets and what names a person out of a text, before it is put where others read it.

Tokens, passwords, user names, folders of people, addresses of mail and machines; prompts too where they are given.
Rather too much than too little is taken: what stands in its place says what kind of thing it was. Pure functions.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Iterable
from pathlib import Path

SECRET, NAME, MAIL, ADDRESS, PROMPT = "[secret]", "[user]", "[mail]", "[address]", "[prompt]"

_TOKEN = re.compile(
    r"\b(?:hf_|api_org_|gh[pousr]_|github_pat_|glpat-|sk-|xox[abprs]-|AKIA|AIza)[A-Za-z0-9_\-]{8,}"
    r"|\beyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]+(?:\.[A-Za-z0-9_\-]+)?"
)
_BEARER = re.compile(r"\b(Bearer|Basic|Digest)\s+[A-Za-z0-9+/._~=\-]{6,}", re.IGNORECASE)
_KEYED = re.compile(
    r"""(?P<key>["']?[\w\-]*(?:token(?!s\b|izer)|passwo?r?d|passwd|passphrase|secret|api[_-]?key|cookie|session|"""
    r"""auth(?!or)|authorization|credential)[\w\-]*["']?\s*(?:=|:)\s*)(?P<value>"[^"\n]*"|'[^'\n]*'|[^\s,;&)\]}]+)""",
    re.IGNORECASE,
)
_FLAG = re.compile(r"(--[\w-]*(?:token|password|secret|key|auth)[\w-]*[ =])\S+", re.IGNORECASE)
_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.\-]*://)[^\s/@:]+(?::[^\s/@]*)?@", re.IGNORECASE)
_MAIL = re.compile(r"\b[\w.+\-]+@[\w\-]+\.[\w.\-]+\b")
_HOME = re.compile(r"(/home/|/Users/|[A-Za-z]:\\+Users\\+)[^/\\\s:'\"]+")
_IPV4 = re.compile(r"(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{0,4}(?![\w:])")
# Names that say nothing of anybody.
COMMON_NAMES = frozenset({"root", "local", "user", "app", "admin", "nobody"})
MIN_NAME_CHARS, MIN_PROMPT_CHARS = 3, 3


def redact(text: str, *, home: Path | None = None, names: Iterable[str] = (), prompts: Iterable[str] = ()) -> str:
    """The text without secrets. `names` are of people, `prompts` what they typed; both as they were written."""
    text = _without_prompts(text, prompts)
    text = _TOKEN.sub(SECRET, text)
    text = _BEARER.sub(rf"\1 {SECRET}", text)
    text = _IN_URL.sub(rf"\1{SECRET}@", text)
    text = _FLAG.sub(rf"\1{SECRET}", text)
    text = _KEYED.sub(lambda match: match["key"] + SECRET, text)
    text = _MAIL.sub(MAIL, text)
    if home is not None and len(home.parts) > 1:
        text = re.sub(rf"{re.escape(str(home))}(?![\w.\-])", "~", text)
    text = _HOME.sub(rf"\1{NAME}", text)
    text = _IPV6.sub(_address, _IPV4.sub(_address, text))
    for name in sorted({name for name in names if _is_telling(name)}, key=len, reverse=True):
        text = re.sub(rf"(?<![\w]){re.escape(name)}(?![\w])", NAME, text, flags=re.IGNORECASE)
    return text


def _is_telling(name: str) -> bool:
    return len(name) >= MIN_NAME_CHARS and name.lower() not in COMMON_NAMES


def _address(match: re.Match[str]) -> str:
    """This machine's own address tells nothing; what is no address, such as a time, stays."""
    try:
        found = ipaddress.ip_address(match[0])
    except ValueError:
        return match[0]
    return match[0] if found.is_loopback or found.is_unspecified else ADDRESS


def _without_prompts(text: str, prompts: Iterable[str]) -> str:
    """Each as it was typed, and as it looks inside of JSON or of Python's own notation; long ones first."""
    written = set()
    for prompt in prompts:
        if len(prompt) >= MIN_PROMPT_CHARS:
            written |= {
                prompt,
                json.dumps(prompt)[1:-1],
                json.dumps(prompt, ensure_ascii=False)[1:-1],
                repr(prompt)[1:-1],
            }
    for form in sorted((form for form in written if form in text), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", PROMPT, text)
    return text
