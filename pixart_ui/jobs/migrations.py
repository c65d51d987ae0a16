"""The journal's layout, as an ordered list of named steps; a step that was published is never changed.

A database records the names of the steps that it went through. `journal.py` applies the missing ones in one
transaction, and refuses a database that knows a name which is not here: a newer version of the app wrote it.
"""

from __future__ import annotations

from dataclasses import dataclass

# Marks a SQLite file as ours ("PxUI"), so that another program's database is never written into.
APPLICATION_ID = 0x50785549


# What a finished job says of its picture.
_PICTURE_COLUMNS = """(
    name, owner, job, prompt, checkpoint, precision, style, width, height, made_at, is_starred)"""
_PICTURE_OF_JOB = """
    {job}.image, {job}.owner, {job}.id, coalesce(json_extract({job}.request, '$.prompt'), ''),
    coalesce(json_extract({job}.request, '$.checkpoint'), ''),
    coalesce(json_extract({job}.request, '$.precision'), ''), coalesce(json_extract({job}.request, '$.style'), ''),
    coalesce(json_extract({job}.request, '$.width'), 1), coalesce(json_extract({job}.request, '$.height'), 1),
    coalesce({job}.finished_at, {job}.created_at), {job}.is_starred"""


@dataclass(frozen=True)
class Migration:
    """One step; its statements run in one transaction with all others that are missing."""

    name: str
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        "0001 jobs and workers",
        (
            # `position` orders the queue, lowest first. `attempt` counts claims and fences writes, it only rises.
            # `strikes` counts the attempts that ended because the worker died while this job was being worked on.
            # `group_key` is the same for jobs that can share one load of the weights.
            """
            CREATE TABLE jobs (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                batch TEXT NOT NULL,
                owner TEXT NOT NULL,
                state TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
                position INTEGER NOT NULL,
                request TEXT NOT NULL,
                group_key TEXT NOT NULL,
                created_at REAL NOT NULL,
                attempt INTEGER NOT NULL DEFAULT 0,
                strikes INTEGER NOT NULL DEFAULT 0,
                worker TEXT,
                lease_until REAL,
                phase TEXT,
                step INTEGER NOT NULL DEFAULT 0,
                preview TEXT,
                image TEXT,
                error TEXT,
                facts TEXT,
                is_cancel_requested INTEGER NOT NULL DEFAULT 0,
                started_at REAL,
                finished_at REAL,
                CHECK (state != 'running' OR (worker IS NOT NULL AND lease_until IS NOT NULL)),
                CHECK (state != 'done' OR image IS NOT NULL),
                CHECK (state != 'failed' OR error IS NOT NULL)
            ) STRICT
            """,
            "CREATE INDEX jobs_by_position ON jobs (position, id)",
            "CREATE INDEX jobs_by_state ON jobs (state, position, id)",
            "CREATE INDEX jobs_by_batch ON jobs (batch)",
            """
            CREATE TABLE workers (
                id TEXT PRIMARY KEY,
                device TEXT NOT NULL,
                pid INTEGER NOT NULL,
                started_at REAL NOT NULL,
                heartbeat_at REAL NOT NULL,
                info TEXT NOT NULL
            ) STRICT
            """,
            # One row for what belongs to the queue as a whole. `revision` grows with every visible change.
            "CREATE TABLE queue (id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL) STRICT",
            "INSERT INTO queue (id, revision) VALUES (1, 1)",
        ),
    ),
    Migration(
        "0002 pause, owners' turns and what jobs gained",
        (
            # The queue is paused while there is a reason.
            "ALTER TABLE queue ADD COLUMN pause_reason TEXT",
            # How far a job ever was when a worker died over it, as one number; NULL before the first time.
            "ALTER TABLE jobs ADD COLUMN gained INTEGER",
            # Owners take turns: the one with the lowest number was served the longest ago.
            "CREATE TABLE owners (name TEXT PRIMARY KEY, turn INTEGER NOT NULL DEFAULT 0) STRICT",
            "INSERT INTO owners (name) SELECT DISTINCT owner FROM jobs",
            "CREATE INDEX jobs_by_owner ON jobs (owner, state, position, id)",
        ),
    ),
    Migration(
        "0003 loads of T5, stars, and pictures that were removed",
        (
            # How often T5 was brought to a device, and for how many pictures in all; both since they are counted.
            "ALTER TABLE queue ADD COLUMN num_loads INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE queue ADD COLUMN num_pictures INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE jobs ADD COLUMN is_starred INTEGER NOT NULL DEFAULT 0",
            # When the picture was deleted because the settings keep only so many.
            "ALTER TABLE jobs ADD COLUMN image_removed_at REAL",
            # What came since a group was claimed is few among many.
            "CREATE INDEX jobs_by_creation ON jobs (created_at)",
        ),
    ),
    Migration(
        "0004 what waits and what ended, without reading every row",
        (
            # Grows whenever the waiting jobs, their order or what decides their seconds may have changed; a step of a
            # running job leaves it as it is.
            "ALTER TABLE queue ADD COLUMN waiting_revision INTEGER NOT NULL DEFAULT 1",
            # Grows whenever a job that is there is given another request or a strike.
            "ALTER TABLE queue ADD COLUMN edit_revision INTEGER NOT NULL DEFAULT 1",
            """
            CREATE TRIGGER job_edited AFTER UPDATE OF request, strikes ON jobs
            WHEN new.request IS NOT old.request OR new.strikes != old.strikes BEGIN
                UPDATE queue SET edit_revision = edit_revision + 1;
            END
            """,
            """
            CREATE TRIGGER waiting_job_added AFTER INSERT ON jobs WHEN new.state = 'queued' BEGIN
                UPDATE queue SET waiting_revision = waiting_revision + 1;
            END
            """,
            """
            CREATE TRIGGER waiting_job_changed
            AFTER UPDATE OF owner, state, position, request, group_key, strikes ON jobs
            WHEN old.state = 'queued' OR new.state = 'queued' BEGIN
                UPDATE queue SET waiting_revision = waiting_revision + 1;
            END
            """,
            """
            CREATE TRIGGER waiting_job_removed AFTER DELETE ON jobs WHEN old.state = 'queued' BEGIN
                UPDATE queue SET waiting_revision = waiting_revision + 1;
            END
            """,
            """
            CREATE TRIGGER turn_taken AFTER UPDATE OF turn ON owners BEGIN
                UPDATE queue SET waiting_revision = waiting_revision + 1;
            END
            """,
            # What `open_work.py` reads of the waiting jobs; the last column is its COST_KEY, to the letter.
            """
            CREATE INDEX jobs_waiting ON jobs (owner, position, id, strikes, group_key, json_array(
                json_extract(request, '$.checkpoint'), json_extract(request, '$.precision'),
                json_extract(request, '$.transformer_precision'), json_extract(request, '$.numerics'),
                json_extract(request, '$.bin_width'), json_extract(request, '$.bin_height'),
                json_extract(request, '$.guidance_scale') > 1, json_extract(request, '$.max_tokens'),
                json_extract(request, '$.steps')))
            WHERE state = 'queued'
            """,
            """
            CREATE INDEX jobs_ended ON jobs (finished_at DESC, position, id, state, owner)
            WHERE state IN ('done', 'failed', 'cancelled')
            """,
        ),
    ),
    Migration(
        "0005 runs of comparisons",
        (
            # NULL for every other job. `cell` is the run's key in the sweep of its comparison.
            "ALTER TABLE jobs ADD COLUMN comparison TEXT",
            "ALTER TABLE jobs ADD COLUMN cell TEXT",
            "ALTER TABLE jobs ADD COLUMN strategy TEXT",
            "CREATE INDEX jobs_by_comparison ON jobs (comparison) WHERE comparison IS NOT NULL",
        ),
    ),
    Migration(
        "0006 pictures, which outlast their jobs",
        (
            # An index of what is on the disk, and the only place that knows whose a picture is once its job was cleared
            # from the list. `deleted_at`: it is in the trash. `gone_at`: its file is in neither folder.
            """
            CREATE TABLE pictures (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                name TEXT NOT NULL UNIQUE,
                owner TEXT NOT NULL,
                job INTEGER,
                prompt TEXT NOT NULL,
                checkpoint TEXT NOT NULL,
                precision TEXT NOT NULL,
                style TEXT NOT NULL,
                width INTEGER NOT NULL,
                height INTEGER NOT NULL,
                made_at REAL NOT NULL,
                is_starred INTEGER NOT NULL DEFAULT 0,
                deleted_at REAL,
                gone_at REAL
            ) STRICT
            """,
            "CREATE INDEX pictures_by_time ON pictures (made_at DESC, id DESC) WHERE gone_at IS NULL",
            "CREATE INDEX jobs_by_image ON jobs (image) WHERE image IS NOT NULL",
            f"""
            INSERT OR IGNORE INTO pictures {_PICTURE_COLUMNS}
            SELECT {_PICTURE_OF_JOB.format(job="jobs")} FROM jobs
            WHERE state = 'done' AND comparison IS NULL ORDER BY finished_at, id
            """,
            f"""
            CREATE TRIGGER picture_made AFTER UPDATE OF state ON jobs
            WHEN new.state = 'done' AND old.state != 'done' AND new.comparison IS NULL BEGIN
                INSERT INTO pictures {_PICTURE_COLUMNS} VALUES ({_PICTURE_OF_JOB.format(job="new")})
                ON CONFLICT (name) DO UPDATE SET owner=excluded.owner, job=excluded.job, prompt=excluded.prompt,
                    checkpoint=excluded.checkpoint, precision=excluded.precision, style=excluded.style,
                    width=excluded.width, height=excluded.height, made_at=excluded.made_at,
                    is_starred=excluded.is_starred, deleted_at=NULL, gone_at=NULL;
            END
            """,
            # One notion of a star: whichever of the two is marked, so is the other.
            """
            CREATE TRIGGER star_of_job AFTER UPDATE OF is_starred ON jobs
            WHEN new.image IS NOT NULL AND new.comparison IS NULL AND new.is_starred != old.is_starred BEGIN
                UPDATE pictures SET is_starred = new.is_starred
                WHERE name = new.image AND is_starred != new.is_starred;
            END
            """,
            """
            CREATE TRIGGER star_of_picture AFTER UPDATE OF is_starred ON pictures
            WHEN new.is_starred != old.is_starred BEGIN
                UPDATE jobs SET is_starred = new.is_starred
                WHERE image = new.name AND comparison IS NULL AND is_starred != new.is_starred;
            END
            """,
        ),
    ),
    Migration(
        "0007 sign-ins, links, what is shared, and work by the hour",
        (
            # Tokens are kept as hashes. `basis` stands for the password that a session was opened with.
            """
            CREATE TABLE sessions (
                token TEXT PRIMARY KEY, user TEXT NOT NULL, basis TEXT NOT NULL, created_at REAL NOT NULL
            ) STRICT
            """,
            """
            CREATE TABLE links (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                token TEXT NOT NULL UNIQUE,
                kind TEXT NOT NULL,
                target TEXT NOT NULL,
                owner TEXT NOT NULL,
                created_at REAL NOT NULL,
                expires_at REAL NOT NULL
            ) STRICT
            """,
            """
            CREATE TABLE shared (
                kind TEXT NOT NULL, target TEXT NOT NULL, shared_at REAL NOT NULL, PRIMARY KEY (kind, target)
            ) STRICT
            """,
            # What owners with an allowance asked for, in pixels times steps; it outlasts the jobs.
            "CREATE TABLE work (owner TEXT NOT NULL, asked_at REAL NOT NULL, amount REAL NOT NULL) STRICT",
            "CREATE INDEX work_by_owner ON work (owner, asked_at)",
        ),
    ),
    Migration(
        "0008 devices that take no new jobs",
        (
            # A worker has another name each time that it starts, its device keeps its own.
            "CREATE TABLE drained_devices (id TEXT PRIMARY KEY, since REAL NOT NULL) STRICT",
        ),
    ),
    Migration(
        "0009 which jobs were edited since",
        (
            # The queue's `edit_revision` after the last edit of this job, or one more, as the order of triggers is
            # open: who read at an older one reads the job again.
            "ALTER TABLE jobs ADD COLUMN edited INTEGER NOT NULL DEFAULT 0",
            "CREATE INDEX jobs_edited ON jobs (edited) WHERE edited > 0",
            """
            CREATE TRIGGER job_edit_noted AFTER UPDATE OF request ON jobs WHEN new.request IS NOT old.request BEGIN
                UPDATE jobs SET edited = (SELECT edit_revision + 1 FROM queue) WHERE id = new.id;
            END
            """,
        ),
    ),
)
