"""Pages of our own beside Gradio's: signing in, the account, sharing, what a link shows. No script, forms alone."""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

from pixart_ui.access.http import NEVER
from pixart_ui.ui.words import access as words

_STYLE = """
:root { color-scheme: light dark; --text: #0f172a; --quiet: #566074; --back: #f6f7f9; --card: #fff; --line: #d5dae3;
  --accent: #4f46e5; --on-accent: #fff; --bad: #b42318; }
@media (prefers-color-scheme: dark) { :root { --text: #e6eaf2; --quiet: #9aa6ba; --back: #0e131d; --card: #161d2a;
  --line: #2c3648; --accent: #a5b4fc; --on-accent: #111827; --bad: #fca5a5; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; background: var(--back); color: var(--text); padding: 24px 16px;
  font: 16px/1.5 "Inter Variable", ui-sans-serif, system-ui, sans-serif; }
main { max-width: 420px; margin: 8vh auto 0; padding: 32px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
main.wide { max-width: 820px; margin-top: 0; }
h1 { font-size: 28px; line-height: 1.2; margin: 0 0 8px; } h2 { font-size: 20px; margin: 32px 0 8px; }
p { margin: 0 0 16px; } .quiet { color: var(--quiet); } .problem { color: var(--bad); }
label { display: block; font-size: 14px; color: var(--quiet); margin: 16px 0 4px; }
input { width: 100%; font: inherit; padding: 8px 12px; border: 1px solid var(--line); border-radius: 8px;
  background: var(--back); color: var(--text); }
button, a.button { display: inline-block; font: inherit; font-weight: 600; padding: 8px 16px; border-radius: 8px;
  border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent); cursor: pointer;
  text-decoration: none; }
button.quiet, a.button.quiet { background: transparent; color: var(--text); border-color: var(--line); }
form.full button { width: 100%; margin-top: 24px; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
a { color: var(--accent); } img { max-width: 100%; height: auto; border-radius: 8px; display: block; }
ul { list-style: none; margin: 0; padding: 0; }
li { display: flex; gap: 16px; align-items: center; justify-content: space-between; padding: 8px 0;
  border-top: 1px solid var(--line); } li span { overflow-wrap: anywhere; }
.actions { display: flex; flex-wrap: wrap; gap: 8px; margin: 16px 0; }
code { display: block; padding: 12px; background: var(--back); border: 1px solid var(--line); border-radius: 8px;
  overflow-wrap: anywhere; margin-bottom: 16px; }
"""


def page(title: str, inner: str, *, is_wide: bool = False) -> str:
    """A whole page; `inner` is HTML, whatever was typed in it is escaped already."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">'
        f"<title>{escape(title)} · {words.TITLE}</title><style>{_STYLE}</style></head>"
        f"<body><main{' class=wide' if is_wide else ''}>{inner}</main></body></html>"
    )


def answer(title: str, inner: str, status: int = 200, *, is_wide: bool = True) -> HTMLResponse:
    return HTMLResponse(page(title, inner, is_wide=is_wide), status_code=status, headers=NEVER)


def sign_in_page(name: str = "", problem: str = "") -> str:
    told = f'<p class="problem" role="alert">{escape(problem)}</p>' if problem else ""
    return page(
        words.SIGN_IN,
        f'<h1>{words.TITLE}</h1><p class="quiet">{words.SIGN_IN_INTRO}</p>{told}'
        '<form class="full" method="post" action="/login">'
        f'<label for="username">{words.NAME}</label>'
        f'<input id="username" name="username" autocomplete="username" maxlength="40" required autofocus '
        f'value="{escape(name)}">'
        f'<label for="password">{words.PASSWORD}</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        f"<button>{words.SIGN_IN}</button></form>",
    )
