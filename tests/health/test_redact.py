from __future__ import annotations

from pathlib import Path

import pytest

from pixart_ui.health.logs import bug_report
from pixart_ui.health.redact import redact
from pixart_ui.jobs.journal import Journal
from pixart_ui.services import make_folders
from pixart_ui.settings import Settings
from tests.jobs.parts import request


@pytest.mark.parametrize(
    ("line", "secret"),
    [
        ("401 for token hf_AbCdEfGhIjKlMnOpQrStUv", "hf_AbCdEfGhIjKlMnOpQrStUv"),
        ("HF_TOKEN=abc123def", "abc123def"),
        ("Authorization: Bearer abcdefgh.ijkl", "abcdefgh.ijkl"),
        ('{"password": "correct horse battery"}', "correct horse"),
        ("PIXART_UI_PASSWORD='hunter2 and more'", "hunter2"),
        ("--auth-token=s3cr3t", "s3cr3t"),
        ("GET https://anna:pass1@proxy.example/x", "pass1"),
        ("GET https://anna:pass1@proxy.example/x", "anna"),
        ("?access_token=qwertz&page=2", "qwertz"),
        ("Cookie: session=xyz123", "xyz123"),
        ("wrote to anna@example.org", "anna@example.org"),
        ("/home/anna/pictures/a.png is missing", "anna"),
        (r"C:\\Users\\Anna\\app.py", "Anna"),
        ("asked by 203.0.113.7:5123", "203.0.113.7"),
        ("asked by 2001:db8::17", "2001:db8::17"),
        ("job of Annabel failed", "Annabel"),
    ],
)
def test_secrets_are_taken_out(line: str, secret: str) -> None:
    assert secret not in redact(line, home=Path("/home/anna"), names=["Annabel"])


@pytest.mark.parametrize(
    "line",
    [
        "max_tokens=300 were read by the tokenizer: spiece.model",
        "torch 2.13.0+cpu, driver 550.54.15",
        "2026-11-21 20:33:01,123 WARNING pixart_ui.jobs: job 12 failed",
        "listening on 127.0.0.1:7860",
        "fp16 of 10.9 GiB, budget 6 GiB",
    ],
)
def test_what_helps_stays(line: str) -> None:
    assert redact(line, home=Path("/home/anna"), names=["anna", "local"]) == line


def test_prompts_go_however_they_are_written() -> None:
    prompt = 'a "quoted" café\nby the sea'
    log = f"prompt {prompt!r} and {prompt} and café alone"
    assert redact(log, prompts=[prompt]) == "prompt '[prompt]' and [prompt] and café alone"


def test_a_short_prompt_does_not_eat_other_words() -> None:
    assert redact("a cat in the catalog", prompts=["cat"]) == "a [prompt] in the catalog"


def test_a_bug_report_holds_doctor_logs_and_failures_and_no_secret(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", device="cpu")
    make_folders(settings)
    (settings.logs_dir / "worker.log").write_text(
        "HF_TOKEN=abcdef1234\nfailed on 'a secret garden'\n", encoding="utf-8"
    )
    journal = Journal(settings.journal_path)
    try:
        (job,) = journal.submit([request(0, prompt="a secret garden")], "greta")
        journal.claim("worker", lease_seconds=60, limit=1)
        journal.fail(journal.job(job.id), "Something of greta failed.")
        told = bug_report(settings, journal)
        with_prompts = bug_report(settings, journal, with_prompts=True)
    finally:
        journal.close()
    assert "Pictures can" in told, "what doctor says is in it"
    assert f"job {job.id}" in told
    for secret in ("abcdef1234", "a secret garden", "greta", str(tmp_path)):
        assert secret not in told
    assert "a secret garden" in with_prompts
    assert "abcdef1234" not in with_prompts
