"""Run by the Dockerfile's `test` stage, with nothing but Python."""

from __future__ import annotations

import http.client
import json
import threading
import unittest

import behaviour
import server


class Storefront(unittest.TestCase):
    def setUp(self) -> None:
        self.server = server.Server(port=0)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()
        self.client = http.client.HTTPConnection("127.0.0.1", self.server.server_port, timeout=10)

    def tearDown(self) -> None:
        self.client.close()
        self.server.stop()
        self.thread.join()
        self.server.server_close()

    def get(self, path: str) -> tuple[http.client.HTTPResponse, dict[str, str]]:
        self.client.request("GET", path)
        response = self.client.getresponse()
        return response, json.loads(response.read())

    def test_the_front_page_greets_and_says_its_version(self) -> None:
        response, body = self.get("/")
        self.assertEqual(response.status, 200)
        self.assertEqual(body, {"greeting": behaviour.GREETING, "version": server.VERSION})

    def test_every_answer_carries_the_version(self) -> None:
        for path, status in (("/", 200), ("/health", 200), ("/nothing-here", 404)):
            response, _ = self.get(path)
            self.assertEqual((response.status, response.headers["X-App-Version"]), (status, server.VERSION))

    def test_a_request_under_way_is_answered_when_the_server_stops(self) -> None:
        self.get("/health")
        self.client.request("GET", "/")
        threading.Timer(behaviour.SECONDS / 2, self.server.stop).start()
        self.assertEqual(self.client.getresponse().status, 200)


if __name__ == "__main__":
    unittest.main()
