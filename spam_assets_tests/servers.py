"""Real servers for alerts to be sent to, on this machine: HTTP and SMTP, plain and with TLS."""

import json
import socketserver
import ssl
import threading
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "hunter2hunter2"
USER = "alice-the-user"


@dataclass
class WebhookServer:
    """Answers what it is told, one (status, headers) a request, then 200; a status of 0 means: never."""

    port: int = 0
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    requests: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    content_types: list[str | None] = field(default_factory=list)
    drips_seconds: float | None = None
    is_over: threading.Event = field(default_factory=threading.Event)

    @property
    def texts(self) -> list[str]:
        """What was told, in order."""
        return [str(message["text"]) for _, _, message in self.requests]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/services/{SECRET}?token={SECRET}"


def serve_http(state: WebhookServer, tls: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            state.requests.append((time.monotonic(), self.path, json.loads(body)))
            state.content_types.append(self.headers["Content-Type"])
            status, headers = state.answers.pop(0) if state.answers else (200, {})
            if status == 0:
                state.is_over.wait(20)
                return
            if state.drips_seconds is not None:
                self.drip(state.drips_seconds)
                return
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"ok")

        def drip(self, seconds: float) -> None:
            """Send a byte of an answer now and then, up to a minute."""
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            for _ in range(round(60 / seconds)):
                if state.is_over.wait(seconds):
                    return
                try:
                    self.wfile.write(b"x")
                except OSError:
                    return

        def do_GET(self) -> None:
            state.requests.append((time.monotonic(), self.path, {}))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    return server


@contextmanager
def run_webhook() -> Iterator[WebhookServer]:
    """Serve a webhook for as long as the context is open."""
    state = WebhookServer()
    server = serve_http(state)
    yield state
    state.is_over.set()
    server.shutdown()
    server.server_close()


@dataclass
class MailServer:
    """Speaks SMTP; `answers` maps a command to replies that it gives before it behaves."""

    port: int = 0
    tls: ssl.SSLContext | None = None
    is_tls_from_the_start: bool = False
    knows: tuple[str, str] | None = None
    answers: dict[str, list[bytes]] = field(default_factory=dict)
    ends_at: str | None = None
    hangs_at: str | None = None
    mails: list[tuple[str, list[str], bytes]] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    is_over: threading.Event = field(default_factory=threading.Event)

    def url(self, user: bool = False, host: str = "127.0.0.1", scheme: str = "smtp") -> str:
        login = f"{USER}:{SECRET}%40%2F@" if user else ""
        return f"{scheme}://{login}{host}:{self.port}"


class MailHandler(socketserver.StreamRequestHandler):
    state: MailServer

    def handle(self) -> None:
        state = self.state
        if state.is_tls_from_the_start:
            try:
                self._encrypt()
            except OSError:
                return
        self.sender, self.recipients, self.is_known = "", [], False
        self._say(b"220 mail.example.com ready")
        while line := self.rfile.readline():
            command, _, rest = line.decode().strip().partition(" ")
            command = command.upper()
            state.commands.append(command)
            if state.ends_at == command:
                return
            if state.hangs_at == command:
                state.is_over.wait(20)
                return
            if state.answers.get(command):
                self._say(state.answers[command].pop(0))
                continue
            try:
                if not self._answer(command, rest):
                    return
            except OSError:
                return

    def _answer(self, command: str, rest: str) -> bool:
        state = self.state
        is_encrypted = isinstance(self.connection, ssl.SSLSocket)
        if command == "EHLO":
            extensions = [b"mail.example.com"]
            extensions += [b"STARTTLS"] if state.tls and not is_encrypted else []
            extensions += [b"AUTH PLAIN"] if state.knows else []
            for extension in extensions:
                self._say(b"250-" + extension)
            self._say(b"250 8BITMIME")
        elif command == "STARTTLS":
            self._say(b"220 go ahead")
            self._encrypt()
        elif command == "AUTH":
            _, user, password = b64decode(rest.partition(" ")[2]).decode().split("\0")
            self.is_known = (user, password) == state.knows
            self._say(b"235 welcome" if self.is_known else f"535 no such {user} {password}".encode())
        elif command == "MAIL" and state.knows and not self.is_known:
            self._say(b"530 log in first")
        elif command == "MAIL":
            self.sender = rest
            self._say(b"250 ok")
        elif command == "RCPT":
            self.recipients.append(rest)
            self._say(b"250 ok")
        elif command == "DATA":
            self._say(b"354 go on")
            lines: list[bytes] = []
            while (line := self.rfile.readline()) != b".\r\n":
                lines.append(line.removeprefix(b"."))
            state.mails.append((self.sender, self.recipients, b"".join(lines)))
            if state.ends_at == "AFTER DATA":
                state.ends_at = None
                return False
            self._say(b"250 accepted")
        elif command == "QUIT":
            self._say(b"221 bye")
            return False
        else:
            self._say(b"500 what?")
        return True

    def _say(self, line: bytes) -> None:
        self.wfile.write(line + b"\r\n")
        self.wfile.flush()

    def _encrypt(self) -> None:
        assert self.state.tls is not None
        self.connection = self.state.tls.wrap_socket(self.connection, server_side=True)
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb")

    def finish(self) -> None:
        super().finish()
        self.connection.close()


class QuietServer(socketserver.ThreadingTCPServer):
    allow_reuse_address = True
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that hangs up is part of the tests."""


@contextmanager
def run_mail_server() -> Iterator[MailServer]:
    """Serve SMTP for as long as the context is open."""
    state = MailServer()
    server = QuietServer(("127.0.0.1", 0), type("Handler", (MailHandler,), {"state": state}))
    state.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield state
    state.is_over.set()
    server.shutdown()
    server.server_close()
