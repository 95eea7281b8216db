"""The wire: what a resource answers over HTTP, whatever store is behind it."""

import pytest
from catalogue import assert_problem

pytestmark = pytest.mark.anyio

EMMA = {
    "title": "Emma",
    "pages": 474,
    "price": 12.3,
    "printed": "1815-12-23",
    "read_at": "2024-02-29T12:00:00Z",
    "mood": "merry",
    "isbn": "00000000-0000-0000-0000-000000000007",
}
STALE = '"0"'
CHANGES = [
    pytest.param("PUT", "/books/1", {"pages": 5}, id="put"),
    pytest.param("PATCH", "/books/1", {"pages": 5}, id="patch"),
    pytest.param("DELETE", "/books/1", None, id="delete"),
    pytest.param("DELETE", "/books/1?hard_delete=true", None, id="hard delete"),
    pytest.param("POST", "/books/1/restore", None, id="restore"),
]


async def fill(client, *titles):
    rows = [{"title": title} for title in titles]
    return (await client.post("/books/batch", json=rows)).json()


def titles(response):
    assert response.status_code == 200, response.text
    return [row["title"] for row in response.json()]


async def test_a_created_row_is_answered_with_its_place_and_its_version(client):
    created = await client.post("/books/", json=EMMA)
    got = await client.get("/books/1")

    assert created.status_code == 201
    assert created.headers["location"] == "/books/1"
    assert created.headers["etag"] == got.headers["etag"]
    assert created.json() == got.json()
    assert got.headers["content-type"] == "application/json"
    plain = {name: value for name, value in EMMA.items() if name != "read_at"}
    assert plain.items() <= created.json().items()


@pytest.mark.parametrize(
    ("path", "body", "place"),
    [
        ("/countries", {"id": "F/", "name": "x"}, "/countries/F%2F"),
        ("/shelves", {"name": "a"}, "/shelves/1"),
    ],
)
async def test_a_place_leads_to_its_row(client, path, body, place):
    created = await client.post(path, json=body)

    assert created.headers["location"] == place
    if "%2F" not in place:
        assert (await client.get(place)).json() == created.json()


async def test_a_key_of_two_columns_is_a_path_of_two(client):
    await client.post("/books/", json=EMMA)
    line = {"book_id": 1, "number": 3, "text": "She was the youngest."}

    created = await client.post("/lines/", json=line)

    assert created.headers["location"] == "/lines/1/3"
    assert (await client.get("/lines/1/3")).json() == line
    assert (await client.patch("/lines/1/3", json={"text": "x"})).status_code == 200
    assert_problem(await client.get("/lines/3/1"), 404, "not_found")


@pytest.mark.parametrize("form", ["{0}", "W/{0}", "*"])
async def test_a_version_that_is_known_is_not_sent_again(client, form):
    tag = (await client.post("/books/", json=EMMA)).headers["etag"]

    known = await client.get("/books/1", headers={"If-None-Match": form.format(tag)})
    other = await client.get("/books/1", headers={"If-None-Match": STALE})

    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", tag)
    assert other.status_code == 200


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_a_change_says_which_version_it_is_for(client, method, path, body):
    tag = (await client.post("/books/", json=EMMA)).headers["etag"]
    careful = path.replace("books", "careful")

    refused = await client.request(method, path, json=body, headers={"If-Match": STALE})
    required = await client.request(method, careful, json=body)
    made = await client.request(method, path, json=body, headers={"If-Match": tag})

    assert_problem(refused, 412, "stale")
    assert_problem(required, 428, "precondition_required")
    assert made.status_code in {200, 204}, made.text
    if made.status_code == 200:
        assert made.headers["etag"] != tag


@pytest.mark.parametrize("given", [{}, {"If-Match": STALE}])
@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
async def test_no_such_row_is_404(client, method, path, body, given):
    absent = path.replace("/1", "/9")

    response = await client.request(method, absent, json=body, headers=given)

    members = assert_problem(response, 404, "not_found")
    assert members["detail"] == "Book ID 9 not found"


async def test_only_what_is_sent_changes_and_null_is_something(client):
    before = (await client.post("/books/", json=EMMA)).json()

    nothing = await client.patch("/books/1", json={})
    after = (await client.patch("/books/1", json={"pages": None})).json()

    assert nothing.json() == before
    assert after.pop("updated_at") is not None
    del before["updated_at"]
    assert after == {**before, "pages": None}


@pytest.mark.parametrize(
    ("method", "path", "body", "field"),
    [
        ("POST", "/books/", {**EMMA, "colour": "red"}, "colour"),
        ("POST", "/books/", {**EMMA, "id": 7}, "id"),
        ("PATCH", "/books/1", {"created_at": "2024-01-01T00:00:00Z"}, "created_at"),
        ("POST", "/books/", {"pages": 1}, "title"),
        ("POST", "/books/", {**EMMA, "mood": "bored"}, "mood"),
        ("POST", "/books/", {**EMMA, "pages": 2**40}, "pages"),
        ("PATCH", "/books/1", {"title": None}, "title"),
        ("GET", "/books/?colour=red", None, "colour"),
        ("GET", "/books/?pages__lt=few", None, "pages__lt"),
        ("GET", "/books/?sort=colour", None, "sort"),
        ("GET", "/books/?limit=0", None, "limit"),
        ("GET", "/books/?cursor=nonsense", None, "cursor"),
    ],
)
async def test_what_is_not_understood_is_422_with_the_field(
    client, method, path, body, field
):
    await client.post("/books/", json={"title": "there"})

    response = await client.request(method, path, json=body)

    members = assert_problem(response, 422, "invalid")
    assert [error["field"] for error in members["errors"]] == [field]


async def test_a_conflict_is_409_with_the_field(client):
    await client.post("/shelves/", json={"name": "a"})
    await client.post("/books/", json={**EMMA, "shelf_id": 1})

    taken = await client.post("/shelves/", json={"name": "a"})
    missing = await client.post("/books/", json={"title": "x", "shelf_id": 9})

    fields = [
        [error["field"] for error in assert_problem(response, 409, code)["errors"]]
        for response, code in (
            (taken, "duplicate"),
            (missing, "missing_reference"),
        )
    ]
    assert fields == [["name"], ["shelf_id"]]


async def test_a_row_that_others_refer_to_is_409(client):
    await client.post("/shelves/", json={"name": "a"})
    await client.post("/books/", json={**EMMA, "shelf_id": 1})

    held = await client.delete("/shelves/1")

    (error,) = assert_problem(held, 409, "still_referenced")["errors"]
    assert error["field"] == "shelf_id"


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("title=Emma", ["Emma"]),
        ("title__icontains=EMMA", ["Emma", "emma"]),
        ("title__in=Emma&title__in=Ulysses", ["Emma", "Ulysses"]),
        ("sort=-title", ["emma", "Ulysses", "Emma"]),
        ("sort=-title&limit=1", ["emma"]),
        ("skip=1&limit=1", ["emma"]),
        ("pages__isnull=false", []),
    ],
)
async def test_a_list_is_asked_in_the_address(client, query, found):
    await fill(client, "Emma", "emma", "Ulysses")

    assert titles(await client.get(f"/books/?{query}")) == found


async def test_a_search_finds_words_as_they_are(client):
    await fill(client, "100%", "a_b", "axb")

    found = await client.get("/books/search", params={"q": "_"})

    assert titles(found) == ["a_b"]
    assert titles(await client.get("/books/search?q=%25")) == ["100%"]
    assert (await client.get("/books/count?title__contains=b")).json() == {"total": 2}


@pytest.mark.parametrize("query", ["", "?skip=0", "?sort=-title", "?sort=blurb,-id"])
async def test_links_lead_to_the_end_and_back(client, query):
    names = "abcdefg"
    await fill(client, *names)
    order = titles(await client.get(f"/books/{query}"))

    forth, page = [], await client.get("/books/", params=f"{query[1:]}&limit=3")
    while True:
        forth.append(titles(page))
        if "next" not in page.links:
            break
        page = await client.get(page.links["next"]["url"])
    back = [titles(page)]
    while "prev" in page.links:
        page = await client.get(page.links["prev"]["url"])
        back.insert(0, titles(page))

    assert [len(page) for page in forth] == [3, 3, 1]
    assert [title for page in forth for title in page] == order
    assert back[-3:] == forth


async def test_a_total_is_told_where_it_is_asked(client):
    await fill(client, "a", "b", "c")

    counted = await client.get("/books/?limit=1&count=exact&title__gt=a")
    page = (await client.get("/enveloped/?skip=1&limit=1")).json()

    assert counted.headers["x-total-count"] == "2"
    assert titles(counted) == ["b"]
    assert [row["title"] for row in page.pop("items")] == ["b"]
    assert page == {"total": 3, "skip": 1, "limit": 1}


async def test_a_batch_is_all_or_none(client):
    created = await client.post("/books/batch", json=[{"title": t} for t in "cab"])
    long = [{"title": "x"}, {"title": "x" * 31}]
    refused = await client.post("/books/batch", json=long)
    bad = await client.post("/books/batch", json=[{"title": "x"}, {"title": ""}])

    assert created.status_code == 201
    assert [(row["id"], row["title"]) for row in created.json()] == [
        (1, "c"),
        (2, "a"),
        (3, "b"),
    ]
    assert_problem(refused, 422, "invalid")
    members = assert_problem(bad, 422, "invalid")
    assert [(e["index"], e["field"]) for e in members["errors"]] == [(1, "title")]
    assert (await client.get("/books/count")).json() == {"total": 3}


async def test_many_rows_are_changed_and_deleted_at_once(client):
    await fill(client, "a", "b", "c")

    changes = [{"id": 3, "pages": 3}, {"id": 1, "title": "A"}]
    changed = await client.patch("/books/batch", json=changes)
    absent = await client.patch("/books/batch", json=[{"id": 1}, {"id": 9}])
    deleted = await client.request("DELETE", "/books/batch?id=1&id=3")

    assert [(row["id"], row["title"]) for row in changed.json()] == [(3, "c"), (1, "A")]
    members = assert_problem(absent, 404, "not_found")
    assert [error["index"] for error in members["errors"]] == [1]
    assert deleted.status_code in {200, 204}, deleted.text
    assert titles(await client.get("/books/")) == ["b"]


async def test_a_row_marked_as_deleted_comes_back(client):
    await fill(client, "a", "b")

    deleted = await client.delete("/books/1")

    assert (deleted.status_code, deleted.content) == (204, b"")
    assert titles(await client.get("/books/")) == ["b"]
    assert titles(await client.get("/books/?active_only=false")) == ["a", "b"]
    assert (await client.get("/books/1")).json()["is_active"] is False
    restored = await client.post("/books/1/restore")
    assert (restored.status_code, restored.json()["is_active"]) == (200, True)
    assert titles(await client.get("/books/")) == ["a", "b"]


async def test_a_row_with_a_moment_of_deletion_is_gone(client):
    await client.post("/countries/", json={"id": "FR", "name": "France"})

    await client.delete("/countries/FR")

    assert_problem(await client.get("/countries/FR"), 404, "not_found")
    assert_problem(await client.delete("/countries/FR"), 404, "not_found")
    again = await client.post("/countries/", json={"id": "FX", "name": "France"})
    assert again.status_code == 201
    assert_problem(await client.post("/countries/FR/restore"), 409, "duplicate")


async def test_a_removed_row_does_not_come_back(client):
    await fill(client, "a")

    removed = await client.delete("/books/1?hard_delete=true")

    assert removed.status_code == 204
    assert_problem(await client.get("/books/1"), 404, "not_found")
    assert_problem(await client.post("/books/1/restore"), 404, "not_found")


async def test_a_creation_sent_twice_is_made_once(client):
    headers = {"Idempotency-Key": "one"}

    first = await client.post("/books/", json=EMMA, headers=headers)
    again = await client.post("/books/", json=EMMA, headers=headers)
    other = await client.post("/books/", json={"title": "x"}, headers=headers)

    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert other.status_code == 422
    assert (await client.get("/books/count")).json() == {"total": 1}


async def test_filters_go_by_the_names_that_clients_know(client):
    await client.post("/shelves/", json={"name": "a"})
    rows = [
        {"title": "Emma", "pages": 474, "shelf_id": 1},
        {"title": "Persuasion", "pages": 249, "shelf_id": 1},
        {"title": "Dracula", "pages": 418},
    ]
    await client.post("/books/batch", json=rows)

    by_alias = await client.get("/books/?min_pages=400&on=a")
    by_filters = await client.get("/books/?pages__gte=400&shelf__name=a")

    assert titles(by_alias) == titles(by_filters) == ["Emma"]


async def test_a_field_is_stored_as_what_is_made_of_it(client):
    made = (await client.post("/worded/", json={"word": "emma"})).json()
    many = await client.post("/worded/batch", json=[{"word": "ab"}, {"word": "cd"}])
    changed = await client.patch(f"/worded/{made['id']}", json={"word": "abc"})
    refused = await client.post("/worded/", json={"name": "x", "word": "y"})

    assert made["name"] == "amme"
    assert [row["name"] for row in many.json()] == ["ba", "dc"]
    assert changed.json()["name"] == "cba"
    assert_problem(refused, 422, "invalid")
