"""The checkpoints with what can be done about them, and the store of converted weights. Only the owner sees verbs.

What is being done is told by the chores (see `health/chores.py`): any page shows how far, after any reload.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

from pixart_ui.catalog import Checkpoint
from pixart_ui.commands.meter import human
from pixart_ui.commands.models import Standing
from pixart_ui.engine.weights import StoredFile
from pixart_ui.health.chores import STORE, Chore, ChoreKind, ChoreState
from pixart_ui.services import Services
from pixart_ui.ui import words as page_words
from pixart_ui.ui.system_parts import section, table, verb
from pixart_ui.ui.words import system as words


def checkpoints(services: Services, chores: Sequence[Chore], *, may_change: bool) -> str:
    by_subject = {chore.subject: chore for chore in chores}
    rows = "".join(
        _checkpoint(entry, Standing.of(entry, services.hub), by_subject.get(entry.name), may_change=may_change)
        for entry in services.catalog
    )
    return section(words.CHECKPOINTS, f'<ul class="entries">{rows}</ul>', intro=words.CHECKPOINTS_INTRO, css="models")


def _checkpoint(entry: Checkpoint, standing: Standing, chore: Chore | None, *, may_change: bool) -> str:
    facts = [_place(entry, standing), entry.licence]
    if not standing.is_on_disk:
        facts.insert(1, entry.needs)
    problem = f'<p class="problem">{escape(standing.problem)}</p>' if standing.problem is not None else ""
    verbs = _verbs(entry, standing, chore) if may_change and not entry.is_local else ""
    return (
        f'<li data-key="{escape(entry.name)}" data-is="{"here" if standing.is_on_disk else "absent"}">'
        f"<h3>{escape(entry.title)}</h3><p>{escape(entry.note)}</p>"
        f'<p class="facts num">{escape(" · ".join(fact for fact in facts if fact))}</p>{problem}'
        f'<div class="actions">{verbs}</div>{told(chore, entry.title) if may_change else ""}</li>'
    )


def _place(entry: Checkpoint, standing: Standing) -> str:
    if not standing.is_on_disk:
        return words.DAMAGED if standing.problem is not None else words.NOT_HERE
    return (words.BUILT_IN if entry.name == "tiny" else words.HERE).format(size=human(standing.bytes_on_disk))


def _verbs(entry: Checkpoint, standing: Standing, chore: Chore | None) -> str:
    if chore is not None and chore.state is ChoreState.RUNNING:
        return ""
    if standing.is_on_disk:
        ask = words.DELETE_ASK.format(title=entry.title)
        return verb(words.VERIFY, "verify", entry.name, about=entry.title) + verb(
            words.DELETE, "delete", entry.name, ask=ask, about=entry.title
        )
    is_begun = chore is not None and chore.kind is ChoreKind.DOWNLOAD and chore.done_bytes > 0
    return verb(words.GO_ON if is_begun else words.DOWNLOAD, "download", entry.name, about=entry.title)


def told(chore: Chore | None, title: str) -> str:
    """How far a chore is, or how it ended."""
    if chore is None:
        return ""
    if chore.state is not ChoreState.RUNNING:
        return _ended(chore, title)
    part = chore.done_bytes / chore.total_bytes if chore.total_bytes else 0.0
    label = f"{words.CHORES[chore.kind]}: {title}"
    known = f' aria-valuenow="{round(100 * part)}"' if chore.total_bytes else ""
    return (
        f'<div class="chore"><span class="bar" role="progressbar" aria-label="{escape(label)}" aria-valuemin="0" '
        f'aria-valuemax="100"{known} style="--part:{part:.4f}"></span>'
        f'<p class="num">{escape(_progress(chore))}</p>{verb(words.CANCEL, "cancel", chore.key, about=title)}</div>'
    )


def _progress(chore: Chore) -> str:
    if not chore.total_bytes:
        return f"{words.CHORES[chore.kind]}. {words.CHORE_BEGINS}"
    done = min(chore.done_bytes, chore.total_bytes)
    parts = [words.CHORES[chore.kind], words.CHORE_OF.format(done=human(done), total=human(chore.total_bytes))]
    left = chore.seconds_left
    if left is not None and done < chore.total_bytes:
        parts.append(words.CHORE_RATE.format(rate=human(chore.bytes_a_second)))
        parts.append(words.CHORE_LEFT.format(time=page_words.about(left)))
    return " · ".join(parts)


def _ended(chore: Chore, title: str) -> str:
    text = words.CHORE_ENDS.get(chore.state, chore.message)
    css = "problem" if chore.state is ChoreState.FAILED else "note"
    return (
        f'<div class="chore" role="status"><p class="{css}">{escape(text)}</p>'
        f"{verb(words.DISMISS, 'dismiss', chore.key, about=title)}</div>"
    )


def store(services: Services, files: Sequence[StoredFile], chores: Sequence[Chore]) -> str:
    """For the owner alone."""
    rows = [
        f'<tr><th scope="row">{escape(words.COMPONENTS.get(file.component, file.component))}</th>'
        f"<td>{escape(file.form)}</td><td>{human(file.nbytes)}</td><td>{words.STORE_STATES[file.state]}</td></tr>"
        for file in files
    ]
    listed = table(words.STORE_COLUMNS, rows, label=words.STORE) if rows else f'<p class="hint">{words.STORE_EMPTY}</p>'
    mine = [chore for chore in chores if chore.kind is ChoreKind.CONVERT or chore.subject == STORE]
    titles = {entry.name: entry.title for entry in services.catalog}
    at_work = "".join(told(chore, titles.get(chore.subject, words.STORE)) for chore in mine)
    inner = f'{listed}<div class="actions">{_convert(services)}{_store_verbs(rows)}</div>{at_work}'
    return section(words.STORE, inner, intro=words.STORE_INTRO, css="store")


def _store_verbs(rows: Sequence[str]) -> str:
    if not rows:
        return ""
    return verb(words.VERIFY_STORE, "verify", STORE) + verb(words.PRUNE, "prune", STORE, ask=words.PRUNE_ASK)


def _convert(services: Services) -> str:
    """What can be converted: everything that is here. The script joins the two choices when the button is pressed."""
    here = {entry.name: entry.title for entry in services.catalog if services.hub.is_available(entry)}
    return (
        '<span class="convert">'
        + _select("convert-which", words.CONVERT_WHICH, here)
        + _select(
            "convert-to", words.CONVERT_TO, {str(name): text for name, text in page_words.PRECISION_LABELS.items()}
        )
        + f'<button type="button" class="quiet" data-act="system-convert">{words.CONVERT}</button></span>'
    )


def _select(id_: str, label: str, choices: Mapping[str, str]) -> str:
    options = "".join(f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in choices.items())
    return f'<select id="{id_}" aria-label="{label}">{options}</select>'
