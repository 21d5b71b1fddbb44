#!/usr/bin/env python3
"""Clients of a session that work until SIGTERM, for cluster.sh: clients.py ADDRESS HOST GRANT.
Some keep their connection, some make a new one for each request, some hold a WebSocket. At the end
they say as JSON what they saw:
  requests         that were answered with 200
  refused          new connections that failed, whatever the reason
  failed           answers that were not 200, or broke off
  closed_unused    a kept connection that the server had closed before this request's first byte, as
                   HTTP allows at any time; the request went again on a new one
  websockets       of each: when it ended, in seconds since the start, how, and whether a new one
                   could be had at once"""

import base64
import http.client
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

ADDRESS, HOST, GRANT = sys.argv[1].split(":"), sys.argv[2], sys.argv[3]
HEADERS = {"Host": HOST, "X-Portico-Grant": GRANT}
PAUSE = 0.02
STARTED = time.monotonic()

over = threading.Event()
lock = threading.Lock()
seen = {"requests": 0, "refused": [], "failed": [], "closed_unused": 0, "websockets": []}


def since():
    return round(time.monotonic() - STARTED, 1)


def note(kind, what=None):
    with lock:
        if what is None:
            seen[kind] += 1
        else:
            seen[kind].append(what)


def connected():
    connection = http.client.HTTPConnection(*ADDRESS, timeout=10)
    try:
        connection.connect()
    except OSError as error:
        note("refused", f"{since()}: {error}")
        time.sleep(PAUSE)
        return None
    return connection


def ask(connection, is_kept):
    """One request; whether the connection may be used again."""
    try:
        connection.request("GET", "/headers", headers=HEADERS)
        answer = connection.getresponse()
        answer.read()
    except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as error:
        if is_kept:
            note("closed_unused")
        else:
            note("failed", f"{since()}: {error!r} on a new connection")
        return False
    except (OSError, http.client.HTTPException) as error:
        note("failed", f"{since()}: {error!r}")
        return False
    if answer.status != 200:
        note("failed", f"{since()}: {answer.status}")
        return False
    note("requests")
    return not answer.will_close


def keep():
    connection, is_kept = None, False
    while not over.is_set():
        connection = connection or connected()
        if connection:
            is_kept = ask(connection, is_kept)
            if not is_kept:
                connection.close()
                connection = None
        time.sleep(PAUSE)


def renew():
    while not over.is_set():
        connection = connected()
        if connection:
            ask(connection, False)
            connection.close()
        time.sleep(PAUSE)


def opened():
    stream = socket.create_connection(ADDRESS, timeout=10)
    key = base64.b64encode(os.urandom(16)).decode()
    stream.sendall((f"GET /socket HTTP/1.1\r\nHost: {HOST}\r\nX-Portico-Grant: {GRANT}\r\n"
                    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                    f"Sec-WebSocket-Key: {key}\r\n\r\n").encode())
    file = stream.makefile("rb")
    status = file.readline()
    while file.readline().strip():
        pass
    if b" 101 " not in status:
        raise OSError(status.decode().strip())
    return stream, file


def exactly(file, count):
    data = file.read(count)
    if len(data) != count:
        raise EOFError
    return data


def listen(file):
    """Reads frames until the last; how it ended. The sample sends one each second."""
    while True:
        first, length = exactly(file, 2)
        if length == 126:
            length = struct.unpack(">H", exactly(file, 2))[0]
        payload = exactly(file, length)
        if first & 0x0F == 8:
            return f"close {struct.unpack('>H', payload[:2])[0]}" if payload else "close"
        if over.is_set():
            return "our end"


def hold():
    again = False
    while not over.is_set():
        try:
            stream, file = opened()
        except OSError as error:
            note("refused", f"{since()}: WebSocket: {error}")
            time.sleep(PAUSE)
            continue
        if again:
            seen["websockets"][-1]["again"] = True
        try:
            end = listen(file)
        except EOFError:
            end = "cut"
        except OSError as error:
            end = repr(error)
        stream.close()
        with lock:
            seen["websockets"].append({"ended": since(), "how": end})
        again = True


signal.signal(signal.SIGTERM, lambda *_: over.set())
threads = [threading.Thread(target=what, daemon=True) for what in [keep] * 4 + [renew] * 2]
threads += [threading.Thread(target=hold, daemon=True)]
for thread in threads:
    thread.start()
while not over.is_set():
    time.sleep(0.1)
for thread in threads:
    thread.join(12)
print(json.dumps(seen))
