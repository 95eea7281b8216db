import os
import stat
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import get_args

import pytest
import yaml

import howdah
from howdah.errors import Invalid, Misconfigured
from howdah.scaffold import (
    Answers,
    InstallFailed,
    PackageManager,
    _origin,
    dependencies,
    install,
    refuse_used,
    render,
    requirement,
    write,
)

TEMPLATE = "fastapi-psql-orm"
ON_MONGODB = "fastapi-mongo"
TEMPLATES = Path(howdah.__file__).parent / "templates"
AWKWARD = 'Says "{{ 7 * 7 }}", 100% of C:\\new <b>&\'s</b> ${HOME} ünï'
TREE = [
    "docker-compose.yml",
    "Dockerfile",
    "alembic.ini",
    "template-config.yml",
    "README.md",
    "pyproject.toml",
    ".gitignore",
    ".env.example",
    "scripts/pre-start.sh",
    "scripts/test.sh",
    "src/main.py",
    "src/core/config.py",
    "src/core/db.py",
    "src/api/deps.py",
    "src/api/routes/items.py",
    "src/api/routes/categories.py",
    "src/crud/items.py",
    "src/schemas/items.py",
    "src/utils/backend_pre_start.py",
    "src/utils/init_data.py",
    "src/utils/tests_pre_start.py",
    "src/alembic/env.py",
    "src/alembic/script.py.mako",
    "src/alembic/versions/001_create_items_table.py",
    "tests/conftest.py",
    "tests/test_items.py",
]


def answers(**changes):
    given = {
        "name": "todo-postgres-api",
        "author": "Developer Kim",
        "email": "developer@example.com",
        "description": AWKWARD,
    }
    return Answers(**given | changes)


@pytest.fixture(scope="module")
def files():
    return render(TEMPLATE, answers())


@pytest.fixture(scope="module", params=[TEMPLATE, ON_MONGODB])
def any_files(request):
    return render(request.param, answers())


def test_a_project_has_the_whole_tree(files):
    assert set(TREE) <= set(files)


def test_nothing_of_the_template_engine_is_left_in_a_project(any_files):
    names = [name for name in any_files if name.endswith((".jinja", "copier.yml"))]

    assert names == []
    assert [name for name, text in any_files.items() if "{%" in text] == []


def test_answers_arrive_as_they_were_given(any_files):
    files = any_files
    project = tomllib.loads(files["pyproject.toml"])["project"]
    config = yaml.safe_load(files["template-config.yml"])

    assert project["description"] == config["description"] == AWKWARD
    assert project["authors"] == [
        {"name": "Developer Kim", "email": "developer@example.com"}
    ]
    assert repr(AWKWARD) in ast_texts(files["src/core/config.py"])


def ast_texts(source):
    import ast

    nodes = ast.walk(ast.parse(source))
    return {repr(node.value) for node in nodes if isinstance(node, ast.Constant)}


def test_python_and_yaml_files_can_be_read(any_files):
    for name, text in any_files.items():
        if name.endswith(".py"):
            compile(text, name, "exec")
        if name.endswith(".yml"):
            assert yaml.safe_load(text)


def test_compose_starts_the_app_behind_a_healthy_postgresql_18(files):
    services = yaml.safe_load(files["docker-compose.yml"])["services"]

    assert services["db"]["image"] == "postgres:18"
    assert services["db"]["volumes"] == ["postgres_data:/var/lib/postgresql"]
    assert services["app"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert "healthcheck" in services["db"]


def test_compose_starts_the_app_behind_a_replica_set():
    files = render(ON_MONGODB, answers())
    services = yaml.safe_load(files["docker-compose.yml"])["services"]
    check = services["db"]["healthcheck"]["test"]

    assert services["db"]["command"] == ["--replSet", "rs0", "--bind_ip_all"]
    assert 'rs.initiate({ _id: "rs0"' in check[-1]
    assert services["app"]["depends_on"] == {"db": {"condition": "service_healthy"}}
    assert services["app"]["environment"]["MONGODB_URL"].endswith("?replicaSet=rs0")


def test_a_project_on_mongodb_asks_for_what_it_needs():
    files = render(ON_MONGODB, answers(package_manager="pip"))
    project = tomllib.loads(files["pyproject.toml"])

    assert dependencies(files) == (
        *("fastapi", "uvicorn", "beanie", "pymongo", "pwdlib", "pydantic", "howdah"),
    )
    assert project["tool"]["howdah"]["database"] == "mongodb"
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    listed = files["requirements.txt"] + files["requirements-dev.txt"]
    assert [each for each in wanted if f"\n{each}\n" not in listed] == []


def test_the_dependencies_are_named_in_order(files):
    assert dependencies(files) == (
        *("fastapi", "uvicorn", "sqlalchemy", "alembic", "psycopg"),
        *("asyncpg", "sqlmodel", "howdah"),
    )


@pytest.mark.parametrize(
    ("template", "extras"),
    [(TEMPLATE, ("docs", "serve")), (ON_MONGODB, ("docs", "mongo", "serve"))],
)
@pytest.mark.parametrize("manager", get_args(PackageManager))
def test_each_package_manager_finds_what_it_reads(manager, template, extras):
    files = render(template, answers(package_manager=manager))
    project = tomllib.loads(files["pyproject.toml"])

    assert ("requirements.txt" in files) == (manager == "pip")
    assert manager == "pip" or manager in project["tool"]
    assert f"{manager} " in files["Dockerfile"]
    assert "USER app" in files["Dockerfile"]
    assert project["project"]["dependencies"][-1] == requirement(*extras)


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        pytest.param("name", "", id="no name"),
        pytest.param("name", "../up", id="name leads out"),
        pytest.param("name", "a/b", id="name with a slash"),
        pytest.param("name", "-rf", id="name like an option"),
        pytest.param("name", "two words", id="name with a space"),
        pytest.param("name", "x" * 101, id="name too long"),
        pytest.param("author", "  ", id="no author"),
        pytest.param("author", "A\nB", id="two lines"),
        pytest.param("email", "kim", id="no address"),
        pytest.param("email", "a@b.c, d@e.f", id="two addresses"),
        pytest.param("description", "x" * 201, id="a novel"),
        pytest.param("description", "bell \a", id="control character"),
        pytest.param("package_manager", "npm", id="another world's manager"),
    ],
)
def test_an_answer_that_no_project_can_bear_is_refused(question, answer):
    with pytest.raises(Invalid, match=question.replace("_", " ")):
        answers(**{question: answer})


def test_an_unknown_template_is_refused_with_the_known_ones():
    with pytest.raises(Misconfigured, match="there is fastapi-mongo, fastapi-psql-orm"):
        render("django", answers())


def test_a_project_is_written_with_scripts_that_can_run(files, tmp_path):
    folder = tmp_path / "deep" / "project"

    write(files, folder)

    assert (folder / "src/main.py").read_text() == files["src/main.py"]
    assert os.access(folder / "scripts/pre-start.sh", os.X_OK)
    assert stat.S_IMODE(folder.stat().st_mode) & 0o500 == 0o500
    assert [path.name for path in folder.parent.iterdir()] == ["project"]


def test_an_empty_folder_is_filled_and_stays_the_same_folder(files, tmp_path):
    inode = tmp_path.stat().st_ino

    write(files, tmp_path)

    assert tmp_path.stat().st_ino == inode
    assert {path.name for path in tmp_path.iterdir()} == {
        name.split("/")[0] for name in files
    }


def test_a_folder_in_use_is_refused_and_untouched(files, tmp_path):
    (tmp_path / "mine.txt").write_text("mine")

    with pytest.raises(Misconfigured, match="is not empty"):
        write(files, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_file_in_the_way_is_refused(tmp_path):
    place = tmp_path / "project"
    place.write_text("a file")

    with pytest.raises(Misconfigured, match="no folder"):
        refuse_used(place)


@pytest.mark.parametrize("there", [True, False], ids=["empty folder", "new folder"])
def test_a_failure_leaves_nothing_behind(tmp_path, there):
    folder = tmp_path / "deep" / "project"
    if there:
        folder.mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))

    with pytest.raises(Misconfigured, match="cannot write the project"):
        write({"good.txt": "good", "x" * 300: "a name too long"}, folder)

    assert sorted(tmp_path.rglob("*")) == before


def test_an_interruption_leaves_nothing_behind(tmp_path):
    class Interrupting(str):
        __slots__ = ()

        def startswith(self, *_):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write({"a.txt": "a", "b.txt": Interrupting("b")}, tmp_path / "deep" / "project")

    assert list(tmp_path.iterdir()) == []


def test_howdah_from_a_folder_is_asked_for_from_there(tmp_path):
    url = tmp_path.as_uri()

    assert _origin(f'{{"url": "{url}", "dir_info": {{"editable": true}}}}') == url


def test_howdah_from_a_wheel_that_is_gone_is_asked_for_by_version(tmp_path):
    url = (tmp_path / "howdah-1.0-py3-none-any.whl").as_uri()

    assert _origin(f'{{"url": "{url}", "archive_info": {{}}}}') is None


def test_howdah_from_a_repository_is_asked_for_at_its_commit():
    vcs = '{"vcs": "git", "commit_id": "abc"}'

    origin = _origin(f'{{"url": "https://example.org/h.git", "vcs_info": {vcs}}}')

    assert origin == "git+https://example.org/h.git@abc"


def test_howdah_from_an_index_is_asked_for_by_version():
    assert _origin(None) is None
    assert requirement().startswith(
        ("howdah @ ", f"howdah>={metadata.version('howdah')}")
    )


def test_a_missing_package_manager_is_named_with_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(InstallFailed) as caught:
        install(tmp_path, "poetry")

    assert "poetry was not found" in caught.value.message
    assert "poetry install" in caught.value.message


def test_a_failing_package_manager_is_quoted(tmp_path, monkeypatch):
    program = tmp_path / "poetry"
    program.write_text("#!/bin/sh\necho no such thing >&2\nexit 3\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")

    with pytest.raises(InstallFailed, match=r"(?s)code 3:\nno such thing.*by hand"):
        install(tmp_path, "poetry")


def test_an_install_works_in_the_project_and_not_in_our_environment(
    tmp_path, monkeypatch
):
    program = tmp_path / "pdm"
    program.write_text('#!/bin/sh\necho "$1 ${VIRTUAL_ENV:-none}" > said\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("VIRTUAL_ENV", "/somewhere")

    install(tmp_path, "pdm")

    assert (tmp_path / "said").read_text() == "install none\n"


def test_a_folder_may_be_named_from_where_we_are(tmp_path, monkeypatch):
    program = tmp_path / "python3"
    program.write_text(
        "#!/bin/sh\n"
        'mkdir -p "$3/bin"\n'
        'printf "#!/bin/sh\\necho \\"\\$*\\" > said\\n" > "$3/bin/python"\n'
        'chmod +x "$3/bin/python"\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.chdir(tmp_path)
    Path("project").mkdir()

    install(Path("project"), "pip")

    said = Path("project/said").read_text()
    assert said == "-m pip install -r requirements-dev.txt\n"


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_the_templates(tmp_path):
    root = Path(howdah.__file__).parents[2]
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=root, check=True, capture_output=True)

    names = set(zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist())

    wanted = {
        f"howdah/templates/{path.relative_to(TEMPLATES).as_posix()}"
        for path in TEMPLATES.rglob("*")
        if path.is_file() and "cache" not in str(path)
    }
    assert wanted - names == set()
    assert len(wanted) > len(TREE)
