import os
import pty
import select
import signal
import socket
import subprocess
import sys
import time

import pytest

from howdah.cli.project import database, wants_embedded

ANSWERS = (
    "todo-postgres-api",
    "Developer Kim",
    "developer@example.com",
    "Todo management API using PostgreSQL",
    "uv",
    "y",
)
TRANSCRIPT = """\
Enter the project name: todo-postgres-api
Enter the author name: Developer Kim
Enter the author email: developer@example.com
Enter the project description: Todo management API using PostgreSQL
Deploying FastAPI project using 'fastapi-psql-orm' template

           Project Information
┌──────────────┬─────────────────────────────────────────┐
│ Project Name │ todo-postgres-api                       │
│ Author       │ Developer Kim                           │
│ Author Email │ developer@example.com                   │
│ Description  │ Todo management API using PostgreSQL    │
└──────────────┴─────────────────────────────────────────┘

       Template Dependencies
┌──────────────┬────────────────┐
│ Dependency 1 │ fastapi        │
│ Dependency 2 │ uvicorn        │
│ Dependency 3 │ sqlalchemy     │
│ Dependency 4 │ alembic        │
│ Dependency 5 │ psycopg        │
│ Dependency 6 │ asyncpg        │
│ Dependency 7 │ sqlmodel       │
│ Dependency 8 │ howdah         │
└──────────────┴────────────────┘

Select package manager (pip, uv, pdm, poetry) [uv]: uv
Do you want to proceed with project creation? [y/N]: y

✨ FastAPI project 'todo-postgres-api' from 'fastapi-psql-orm' has been created \
successfully!
"""
FLAGS = {
    "--name": ANSWERS[0],
    "--author": ANSWERS[1],
    "--email": ANSWERS[2],
    "--description": ANSWERS[3],
    "--package-manager": "poetry",
}
STARTDEMO = ("startdemo", "fastapi-psql-orm", "--no-install")


def howdah(folder, *arguments, answers=(), **environment):
    return subprocess.run(
        [sys.executable, "-m", "howdah", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        input="".join(f"{answer}\n" for answer in answers),
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )


def flags(**changes):
    given = FLAGS | {f"--{key}": value for key, value in changes.items()}
    return [part for pair in given.items() for part in pair if pair[1] is not None]


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_transcript_piped_in_makes_the_project(tmp_path):
    done = howdah(tmp_path, *STARTDEMO, answers=ANSWERS)

    assert (done.stdout, done.stderr, done.returncode) == (TRANSCRIPT, "", 0)
    assert names(tmp_path) == ["todo-postgres-api"]
    assert (tmp_path / "todo-postgres-api/src/main.py").is_file()


def test_flags_answer_everything(tmp_path):
    place = tmp_path / "my folder"

    done = howdah(tmp_path, *STARTDEMO, *flags(output=str(place)), "--yes")

    assert done.returncode == 0, done.stderr
    assert "Enter" not in done.stdout
    assert "[y/N]" not in done.stdout
    assert "package-mode = false" in (place / "pyproject.toml").read_text()


def test_only_what_no_flag_says_is_asked(tmp_path):
    done = howdah(tmp_path, *STARTDEMO, *flags(email=None), answers=["me@a.org", "y"])

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("Enter the author email: me@a.org\nDeploying")


def test_yes_takes_uv_without_asking(tmp_path):
    done = howdah(tmp_path, *STARTDEMO, *flags(**{"package-manager": None}), "--yes")

    assert done.returncode == 0, done.stderr
    assert "[tool.uv]" in (tmp_path / ANSWERS[0] / "pyproject.toml").read_text()


def test_an_author_may_be_called_anything_printable(tmp_path):
    done = howdah(tmp_path, *STARTDEMO, *flags(author="[bold]Ünï :smile:"), "--yes")

    assert done.returncode == 0, done.stderr
    assert "│ [bold]Ünï :smile:" in done.stdout


def test_a_folder_in_use_is_refused_and_untouched(tmp_path):
    (tmp_path / ANSWERS[0]).mkdir()
    (tmp_path / ANSWERS[0] / "mine").write_text("mine")

    done = howdah(tmp_path, *STARTDEMO, answers=ANSWERS)

    assert done.returncode == 1
    assert "error: the folder todo-postgres-api is not empty" in done.stderr
    assert names(tmp_path / ANSWERS[0]) == ["mine"]


@pytest.mark.parametrize(
    ("answers", "want"),
    [
        pytest.param(ANSWERS[:2], "the input ended at 'Enter the author email:'"),
        pytest.param(("bad name", *ANSWERS[1:]), "not 'bad name'"),
        pytest.param((*ANSWERS[:4], "npm", "y"), "not 'npm'"),
    ],
    ids=["too few", "bad name", "bad manager"],
)
def test_answers_that_do_not_suffice_make_nothing(tmp_path, answers, want):
    done = howdah(tmp_path, *STARTDEMO, answers=answers)

    assert done.returncode == 1
    assert want in done.stderr
    assert "Traceback" not in done.stderr
    assert names(tmp_path) == []


@pytest.mark.parametrize("answer", ["", "n", "no"])
def test_whoever_declines_gets_nothing(tmp_path, answer):
    done = howdah(tmp_path, *STARTDEMO, answers=(*ANSWERS[:5], answer))

    assert (done.returncode, names(tmp_path)) == (1, [])
    assert "Nothing was made." in done.stdout


def test_a_failed_install_leaves_the_project_and_says_what_to_run(tmp_path):
    (tmp_path / "bin").mkdir()
    done = howdah(
        tmp_path, *STARTDEMO[:2], *flags(), "--yes", PATH=str(tmp_path / "bin")
    )

    assert done.returncode == 1
    assert "poetry was not found; run there by hand: poetry install" in done.stderr
    assert (tmp_path / ANSWERS[0] / "src/main.py").is_file()
    assert "successfully" not in done.stdout


def test_a_person_at_a_terminal_may_try_again(tmp_path):
    terminal, process = at_terminal(tmp_path, *STARTDEMO)

    shown = say(terminal, "project name: ", "bad name")
    shown += say(terminal, "project name: ", ANSWERS[0])
    for prompt, answer in zip(
        ("author name: ", "author email: ", "description: ", "[uv]: ", "[y/N]: "),
        (*ANSWERS[1:4], "", "y"),
        strict=True,
    ):
        shown += say(terminal, prompt, answer)
    shown += read_until(terminal, "successfully!")

    assert process.wait(timeout=30) == 0
    assert "not 'bad name'" in shown
    assert "[tool.uv]" in (tmp_path / ANSWERS[0] / "pyproject.toml").read_text()


def test_ctrl_c_at_a_question_ends_without_a_traceback(tmp_path):
    terminal, process = at_terminal(tmp_path, *STARTDEMO)
    say(terminal, "project name: ", ANSWERS[0])
    read_until(terminal, "author name: ")
    # input() misses a signal that comes between its prompt and its wait.
    time.sleep(0.5)

    os.write(terminal, b"\x03")

    assert process.wait(timeout=30) in {1, 130}
    assert "Traceback" not in read_until(terminal, "Aborted")
    assert names(tmp_path) == []


def at_terminal(folder, *arguments):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "howdah", *arguments],
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: take_terminal(theirs),  # noqa: PLW1509 - no threads here
    )
    os.close(theirs)
    return ours, process


def take_terminal(descriptor):
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)


def say(terminal, prompt, answer):
    shown = read_until(terminal, prompt)
    os.write(terminal, f"{answer}\n".encode())
    return shown


def read_until(terminal, text, limit=30):
    shown = b""
    end = time.monotonic() + limit
    while text.encode() not in shown and time.monotonic() < end:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                shown += os.read(terminal, 4096)
            except OSError:
                break
    assert text.encode() in shown, shown.decode()
    return shown.decode()


def test_the_version_is_told(tmp_path):
    assert howdah(tmp_path, "--version").stdout.startswith("howdah 0.")


def test_a_missing_extra_is_named_with_its_cure():
    program = (
        "import sys; sys.modules['typer'] = None; "
        "from howdah.__main__ import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "pip install 'howdah[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("pyproject", ["", "[tool.howdah]\n", "[tool.ruff]\n"])
def test_dev_outside_a_project_says_what_to_do(tmp_path, pyproject):
    (tmp_path / "pyproject.toml").write_text(pyproject)
    done = howdah(tmp_path, "dev")

    assert done.returncode == 1
    assert "howdah startdemo fastapi-psql-orm" in done.stderr


@pytest.mark.parametrize("of", ["alembic.ini", "pyproject.toml"])
def test_dev_on_a_port_in_use_says_so(tmp_path, of):
    (tmp_path / of).write_text('[tool.howdah]\napp = "main:app"\n')
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])

        done = howdah(tmp_path, "dev", PORT=port)

    assert done.returncode == 1
    assert f"cannot listen on port {port} of 127.0.0.1" in done.stderr
    assert not (tmp_path / ".howdah").exists()


@pytest.fixture
def on_mongodb(tmp_path):
    """A project on MongoDB, in an environment that has no server to bring."""
    (tmp_path / "lacking").mkdir()
    (tmp_path / "lacking/secantus.py").write_text("raise ImportError")
    (tmp_path / "pyproject.toml").write_text(
        '[tool.howdah]\napp = "main:app"\ndatabase = "mongodb"\n'
    )
    return tmp_path


def test_dev_on_mongodb_without_a_server_names_the_cure(on_mongodb):
    path = os.pathsep.join([str(on_mongodb / "lacking"), *sys.path])
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])

    done = howdah(on_mongodb, "dev", PORT=port, PYTHONPATH=path, MONGODB_URL="")

    assert done.returncode == 1
    assert "set MONGODB_URL" in done.stderr
    assert "pip install secantusdb" in done.stderr
    assert "Traceback" not in done.stderr


NOTES = """
from beanie import Document
from fastapi import FastAPI
from howdah import Resource
from howdah.documents import MongoDatabase


class Note(Document):
    text: str


class Notes(Resource[Note]):
    pass


app = FastAPI()
app.include_router(Notes(MongoDatabase(documents=[Note])).router(prefix="/notes"))
"""


def test_load_says_that_it_is_for_tables(on_mongodb):
    (on_mongodb / "main.py").write_text(NOTES)
    (on_mongodb / "notes.csv").write_text("text\nx\n")
    nowhere = "mongodb://127.0.0.1:1/"

    done = howdah(
        on_mongodb, "load", "notes.csv", "--table", "Note", MONGODB_URL=nowhere
    )

    assert done.returncode == 2
    assert "in MongoDatabase('MONGODB_URL')" in done.stderr
    assert "/batch" in done.stderr


def test_an_unknown_kind_of_database_is_refused(on_mongodb):
    project = on_mongodb / "pyproject.toml"
    project.write_text(project.read_text().replace("mongodb", "mongo"))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = str(probe.getsockname()[1])

    done = howdah(on_mongodb, "dev", PORT=port)

    assert done.returncode == 1
    assert (
        "database is 'mongo' in pyproject.toml; say mongodb or postgresql"
        in done.stderr
    )


WITHOUT_POSTGRESQL = {
    "none": "app = FastAPI()",
    "said": """
db = Database("sqlite:///rows.db")
app = FastAPI()
connect(app, db)
""",
    "by default": """
class Ours(Settings):
    database_url: SecretStr = SecretStr("sqlite:///rows.db")

app = FastAPI()
connect(app, Database(Ours()))
""",
}
WITH_POSTGRESQL = {
    "connected": "app = FastAPI()\nconnect(app, Database())",
    "wants an address": 'import os\nos.environ["DATABASE_URL"]\napp = FastAPI()',
    "broken": "app = ",
}


@pytest.mark.parametrize(
    ("app", "started"),
    [
        *(pytest.param(it, False, id=n) for n, it in WITHOUT_POSTGRESQL.items()),
        *(pytest.param(it, True, id=n) for n, it in WITH_POSTGRESQL.items()),
    ],
)
def test_dev_starts_postgresql_for_an_app_that_has_no_other(
    tmp_path, monkeypatch, app, started
):
    imports = "from fastapi import FastAPI\nfrom howdah import *\n"
    secret = "from pydantic import SecretStr\n"
    (tmp_path / "asked_main.py").write_text(imports + secret + app)
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\napp = "asked_main:app"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)

    assert wants_embedded() is started
    assert "asked_main" not in sys.modules
    (tmp_path / "alembic.ini").touch()
    assert wants_embedded()


def test_dev_starts_no_postgresql_where_it_is_not_wanted(tmp_path, monkeypatch):
    (tmp_path / "asked_main.py").write_text(
        "from fastapi import FastAPI\napp = FastAPI()"
    )
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\napp = "asked_main:app"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DATABASE_URL", raising=False)

    with database():
        assert "DATABASE_URL" not in os.environ
    assert not (tmp_path / ".howdah").exists()


def test_load_says_what_it_cannot_make(tmp_path):
    (tmp_path / "users.csv").write_text("name,password\nada,secret\n")
    (tmp_path / "pyproject.toml").write_text('[tool.howdah]\napp = "main:app"\n')
    (tmp_path / "main.py").write_text("""
from fastapi import FastAPI
from howdah import Database, Resource, connect
from sqlmodel import Field, SQLModel

class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    digest: str

class UserCreate(SQLModel):
    name: str
    password: str

class Users(Resource[User]):
    create_schema = update_schema = UserCreate
    stored_as = {"password": ("digest", str.upper)}

db = Database("sqlite://")
app = FastAPI()
connect(app, db)
app.include_router(Users(db).router(prefix="/users"))
""")

    done = howdah(tmp_path, "load", "users.csv", "--table", "user")

    assert done.returncode == 2
    assert "Users(User) makes digest of password" in done.stderr
    assert "/batch" in done.stderr


def test_an_interruption_is_no_error_report(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "howdah", *STARTDEMO],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    os.read(process.stdout.fileno(), 1)

    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)

    assert process.returncode in {1, 130}
    assert b"Traceback" not in errors
