"""The System tab: what it shows of real services, and what its buttons do, for the owner and for others."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from pixart_ui.access.viewer import Role, Viewer, seen_by
from pixart_ui.health.chores import Chore, ChoreKind, ChoreState, write
from pixart_ui.health.disk import CLEARABLE, Kind
from pixart_ui.health.growth import MIN_GROUPS
from pixart_ui.jobs.job import JobState
from pixart_ui.services import Services
from pixart_ui.ui import system_fits
from pixart_ui.ui import words as page_words
from pixart_ui.ui.live import Live
from pixart_ui.ui.look import Look, Tab
from pixart_ui.ui.system_routes import system_routes
from pixart_ui.ui.system_verbs import VERBS, act
from pixart_ui.ui.words import system as words
from tests.jobs.waiting import wait_until
from tests.ui.conftest import start, submit
from tests.ui.test_live import ATTACK, Watch

GIB, MIB = 2**30, 2**20
MEMBER = Viewer("anna", Role.MEMBER)
LOOK = Look(tab=Tab.SYSTEM)
GPU: dict[str, Any] = {
    "device": "cuda:0",
    "name": "RTX 3060",
    "memory_free_bytes": 4 * GIB,
    "memory_total_bytes": 12 * GIB,
    "ram_bytes": 32 * GIB,
    "context_bytes": 400 * MIB,
    "calibration_key": "RTX 3060 | x",
    "watch": {
        "components": {"transformer": 1200 * MIB, "vae": 160 * MIB},
        "held_bytes": 1800 * MIB,
        "jobs_done": 17,
        "groups": [],
    },
}


@pytest.fixture
def live(services: Services) -> Live:
    return Live(services, Watch(), ())


@pytest.fixture
def client(services: Services) -> Iterator[TestClient]:
    with TestClient(Starlette(routes=system_routes(services))) as opened:
        yield opened


def regions(live: Live) -> dict[str, str]:
    shown = live.snapshot("", LOOK)
    assert shown is not None
    return {name: html for name, html in shown.regions.items() if name.startswith("system-")}


def work(services: Services, worker: str = "one", **changes: Any) -> None:
    """A worker of a GPU reports."""
    services.journal.register_worker(worker, device=f"GPU-{worker}", pid=1, info=GPU | changes)


def chore(services: Services, **changes: Any) -> Chore:
    found = Chore(ChoreKind.DOWNLOAD, "sigma-512", **{"started_at": 100.0, "changed_at": 110.0, **changes})
    folder = services.settings.data_dir / "chores"
    folder.mkdir(exist_ok=True)
    write(folder / f"{found.key}.json", found)
    return found


def text(html: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_before_a_worker_runs_every_section_says_what_is_to_come(live: Live) -> None:
    found = regions(live)
    assert words.NO_WORKER in found["system-memory"]
    assert words.FITS_NO_WORKER in found["system-fits"]
    assert words.HEALTH_NONE in found["system-health"]


def test_memory_is_told_by_component_and_adds_up_to_the_card(services: Services, live: Live) -> None:
    work(services)
    told = text(regions(live)["system-memory"])
    for part in ("Transformer 1.2 GiB", "VAE 160 MiB", "Work 440 MiB", "CUDA context 400 MiB", "Free 4.0 GiB"):
        assert part in told
    assert "8.0 GiB of 12.0 GiB VRAM" in told
    shares = [float(part) for part in re.findall(r"--part:([\d.]+)", regions(live)["system-memory"])]
    assert sum(shares) == pytest.approx(1.0, abs=1e-3)


def test_both_gpus_of_a_pair_have_their_own_bar(services: Services, live: Live) -> None:
    other = GPU | {"device": "cuda:1", "memory_free_bytes": GIB}
    held = {"components": {"text_encoder": 9 * GIB}, "held_bytes": 9 * GIB}
    work(services, beside=other, watch=GPU["watch"] | {"beside": held})
    one, two = re.findall("<h3>.*?(?=<h3>|$)", regions(live)["system-memory"], re.DOTALL)
    assert "8.0 GiB of 12.0 GiB VRAM" in text(one)
    assert "Transformer 1.2 GiB" in text(one)
    assert "11.0 GiB of 12.0 GiB VRAM" in text(two)
    assert "T5 9.0 GiB" in text(two)
    assert "Transformer 0" in text(two)


def test_what_does_not_add_up_never_goes_below_nothing(services: Services, live: Live) -> None:
    work(services, memory_free_bytes=20 * GIB, watch={"components": {"vae": 30 * GIB}, "held_bytes": GIB})
    shares = [float(part) for part in re.findall(r"--part:([\d.]+)", regions(live)["system-memory"])]
    assert min(shares) >= 0


def test_many_workers_are_a_table_with_a_line_each(services: Services, live: Live) -> None:
    for number in range(40):
        work(services, f"w{number:02}", name=f"Card {number}")
    found = regions(live)
    assert found["system-workers"].count("<tr>") == 41
    assert f"{words.WORKERS} (40)" in found["system-workers"]
    assert found["system-memory"].count('class="stack"') == 8


def test_a_name_that_a_worker_tells_is_text(services: Services, live: Live) -> None:
    work(services, name=ATTACK, host=ATTACK)
    assert all(ATTACK not in html for html in regions(live).values())
    assert escape(ATTACK) in regions(live)["system-workers"]


def test_what_fits_is_told_in_words_by_precision_and_size(services: Services) -> None:
    html = system_fits.render(services, GPU | {"memory_free_bytes": 6 * GIB})
    told = text(html)
    assert "256×256 512×512 1024×1024 2048×2048" in told
    assert "fits" in told
    assert "T5 streamed" in told
    assert html.count("<tr>") == 2 * 6


def test_a_card_too_small_says_what_is_needed(services: Services) -> None:
    html = system_fits.render(services, GPU | {"memory_free_bytes": 600 * MIB, "weight_bytes": 0})
    assert 'data-fit="no"' in html
    assert 'data-fit="tight"' in html
    assert re.search(r"does not fit needs 1\.\d GiB", text(html)), "2048 is too much, and says how much too much"


def test_the_plans_are_made_beside_and_arrive(services: Services, live: Live) -> None:
    work(services)
    assert words.COUNTING in regions(live)["system-fits"]
    wait_until(lambda: "data-fit" in regions(live)["system-fits"], "the plans are made", 60)


def test_a_leak_is_told_in_words_and_steady_memory_as_such(services: Services, live: Live) -> None:
    steady = [[float(n), 100 * MIB, 2 * GIB] for n in range(MIN_GROUPS + 3)]
    work(services, watch=GPU["watch"] | {"groups": steady})
    assert "Steady" in text(regions(live)["system-health"])
    leaking = [[float(n), (100 + 200 * n) * MIB, 2 * GIB] for n in range(12)]
    work(services, watch=GPU["watch"] | {"groups": leaking})
    told = text(regions(live)["system-health"])
    assert "Growing: about 200 MiB more after each group" in told
    work(services, watch=GPU["watch"] | {"groups": leaking[:3]})
    assert f"3 of {MIN_GROUPS} groups" in text(regions(live)["system-health"])


def test_a_download_is_told_with_its_rate_and_what_is_left(services: Services, live: Live) -> None:
    found = chore(services, done_bytes=3 * 10**9, total_bytes=10**10, first_bytes=10**9, pid=0)
    services.chores._processes[found.key] = Running()  # type: ignore[assignment]
    told = regions(live)["system-checkpoints"]
    assert "Downloading · 3.0 GB of 10.0 GB · 200.0 MB/s · about 35 s left" in text(told)
    assert 'aria-valuenow="30"' in told
    assert f'data-of="{found.key}"' in told, "it can be cancelled"


class Running:
    """A process that has not ended."""

    stdin = None

    def poll(self) -> None: ...


@pytest.mark.parametrize(
    ("state", "message", "told"),
    [
        (ChoreState.FAILED, "The disk <b>is</b> full.", "The disk &lt;b&gt;is&lt;/b&gt; full."),
        (ChoreState.CANCELLED, "", words.CHORE_ENDS["cancelled"]),
        (ChoreState.RUNNING, "", words.CHORE_ENDS["stopped"]),
    ],
)
def test_how_a_download_ended_stays_until_it_is_put_aside(
    services: Services, live: Live, state: ChoreState, message: str, told: str
) -> None:
    found = chore(services, state=state, message=message, done_bytes=5, total_bytes=9)
    assert told in regions(live)["system-checkpoints"]
    assert words.GO_ON in regions(live)["system-checkpoints"]
    act(services, f"dismiss:{found.key}")
    assert told not in regions(live)["system-checkpoints"]


def test_every_kind_of_file_is_told_with_what_it_is_for(services: Services, live: Live) -> None:
    (services.settings.embeddings_dir).mkdir(parents=True)
    (services.settings.embeddings_dir / "a.safetensors").write_bytes(b"x" * 5_000_000)
    wait_until(lambda: "data-key" in regions(live)["system-disk"], "the disk is counted", 30)
    html = regions(live)["system-disk"]
    for kind in Kind:
        name, what = words.KINDS[kind]
        assert name in html
        assert escape(what) in html
    assert "5.0 MB" in html
    told = act(services, f"clear:{Kind.EMBEDDINGS}")
    assert "Known prompts: 5.0 MB are free again." in told
    wait_until(lambda: "5.0 MB" not in regions(live)["system-disk"], "it is counted again", 30)


def test_pictures_have_no_button_that_clears_them(services: Services, live: Live) -> None:
    (services.settings.images_dir / "a.png").write_bytes(b"x")
    wait_until(lambda: "data-key" in regions(live)["system-disk"], "the disk is counted", 30)
    cleared = set(re.findall(r'data-verb="clear" data-of="(\w+)"', regions(live)["system-disk"]))
    assert cleared <= set(CLEARABLE)
    assert "is not a cache" in act(services, f"clear:{Kind.IMAGES}")
    assert (services.settings.images_dir / "a.png").is_file()


def test_whoever_is_not_the_owner_sees_no_verb_and_no_files(services: Services, live: Live) -> None:
    work(services)
    chore(services)
    with seen_by(MEMBER):
        found = regions(live)
    assert [found[name] for name in ("system-store", "system-disk", "system-logs")] == ["", "", ""]
    assert all("data-verb" not in html for html in found.values())
    assert "RTX 3060" in found["system-memory"]
    assert "PixArt-Σ · 1024" in found["system-checkpoints"]


@pytest.mark.parametrize("verb", VERBS)
def test_whoever_is_not_the_owner_is_refused(services: Services, verb: str) -> None:
    arguments = {"clear": "embeddings", "convert": "tiny:fp16", "cancel": "x", "dismiss": "x", "drain": "cpu"}
    with seen_by(MEMBER):
        told = act(services, f"{verb}:{arguments.get(verb, 'sigma-512')}")
    assert words.NOT_YOURS in told
    assert services.chores.all() == ()


def test_an_answer_for_the_owner_is_never_given_to_another(services: Services, live: Live) -> None:
    mine = live.state().mark(LOOK)
    with seen_by(MEMBER):
        assert live.state().mark(LOOK) != mine


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("download:sigma-1025", "did you mean &#x27;sigma-1024&#x27;"),
        ("download:tiny", "Unknown checkpoint"),
        ("download:../../etc", "Unknown checkpoint"),
        ("delete:tiny", "Unknown checkpoint"),
        ("convert:sigma-1024:fp17", "did you mean &#x27;fp16&#x27;"),
        ("clear:everything", "Unknown kind"),
        ("format:disk", page_words.UNKNOWN_VERB),
        (ATTACK, page_words.UNKNOWN_VERB),
        ("cancel:nothing", words.CANCELLED),
    ],
)
def test_what_is_not_there_is_said(services: Services, target: str, sentence: str) -> None:
    assert sentence in act(services, target)
    assert services.chores.all() == ()


def test_a_checkpoint_that_waiting_jobs_need_is_not_deleted(services: Services) -> None:
    (job,) = submit(services)
    request = job.request.model_copy(update={"checkpoint": "sigma-512"})
    services.journal.submit([request], "local")
    assert "is needed by jobs" in act(services, "delete:sigma-512")


def test_the_report_is_the_owners_alone(services: Services, client: TestClient) -> None:
    (job,) = submit(services, "a secret garden")
    start(services, job)
    services.journal.fail(services.journal.job(job.id), "It failed.")
    assert services.journal.job(job.id).state is JobState.FAILED
    (services.settings.logs_dir / "worker.log").write_text("drew 'a secret garden'\n", encoding="utf-8")
    told = client.get("/system/report.txt")
    assert "It failed." in told.text
    assert "a secret garden" not in told.text
    assert "a secret garden" in client.get("/system/report.txt?prompts=1").text
    assert "attachment" in client.get("/system/report.txt?save=1").headers["content-disposition"]
    with seen_by(MEMBER):
        refused = client.get("/system/report.txt")
    assert refused.status_code == 404
