"""Who may not come in, and what nobody may reach."""

import pytest

from ncd_jax.app.guard import CONTENT_POLICY


@pytest.mark.parametrize("path", ["/", "/runs/made/answer", "/static/app.js", "/nothing"])
def test_nothing_without_the_token(client, run, path):
    client.cookies.clear()
    for query in ("", "?token=", "?token=another", "?token=%C3%A4"):
        answer = client.get(path + query)
        assert answer.status_code == 403
        assert "address" in answer.text
    client.cookies.set("ncd_jax_8000", "another")
    assert client.get(path).status_code == 403


def test_the_token_leaves_the_address(client):
    answer = client.get("/?token=a token of tests", follow_redirects=False)
    assert answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "localhost:80", "127.0.0.1:8001", ""]
)
def test_another_host_is_refused(client, host):
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:8000"])
def test_another_origin_is_refused(client, folder, origin):
    answer = client.post("/example", headers={"origin": origin})
    assert answer.status_code == 403
    assert not (folder / "wine").exists()
    assert not (folder / ".app" / "wine").exists()
    here = client.post("/example", headers={"origin": "http://127.0.0.1:8000"})
    assert here.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/runs/..%2fsecret/answer",
        "/runs/%2e%2e/answer",
        "/runs/.app/answer",
        "/runs/abroad/answer",
        "/runs/made/files/..%2f..%2fsecret.txt",
        "/runs/made/files/%2fetc%2fpasswd",
        "/runs/made/files/model%2farrays.npz",
        "/runs/made/files/linked.csv",
        "/runs/made/files/assigned%2f..%2fmodel%2fasked.csv",
        "/static/..%2fserving.py",
        "/static/serving.py",
    ],
)
def test_paths_outside_are_refused(client, run, folder, tmp_path, finished, path):
    (tmp_path / "secret.txt").write_text("secret")
    (folder / "abroad").symlink_to(finished)
    (run / "moved_linked.csv").symlink_to(tmp_path / "secret.txt")
    answer = client.get(path)
    assert answer.status_code in (404, 422)
    assert "secret" not in answer.text.replace("secret.txt", "").replace("/secret", "")
    assert client.get("/runs/made/files/moved_linked.csv").status_code == 422
    assert "abroad" not in client.get("/").text


def test_every_answer_has_the_headers(client, run):
    for path in ("/", "/runs/made/keep", "/static/app.css", "/runs/made/map.json", "/nope"):
        headers = client.get(path).headers
        assert headers["content-security-policy"] == CONTENT_POLICY
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "same-origin"


def test_a_form_has_a_bound(client, run):
    answer = client.post("/runs/made/keep", content=b"notes=" + b"x" * (9 << 20))
    assert answer.status_code == 422
    assert "too long" in answer.text
