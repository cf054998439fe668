import contextlib
import http.server
import threading

import pytest


@pytest.fixture
def serve():
    """Serves byte strings by path on this machine: `serve({"/a": b"..."})` gives the address.

    A pair `(body, length)` claims a length that is not the body's. The list `serve.asked`
    has the paths that were asked for.
    """
    asked = []
    pages = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            page = pages.get(self.path)
            if page is None:
                return self.send_error(404)
            body, length = page if isinstance(page, tuple) else (page, len(page))
            self.send_response(200)
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            with contextlib.suppress(ConnectionError):
                self.wfile.write(body)
            return None

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def add(more):
        pages.update(more)
        return f"http://127.0.0.1:{server.server_port}"

    add.asked = asked
    yield add
    server.shutdown()
    thread.join()
    server.server_close()
