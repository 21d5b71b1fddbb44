# Work in the sample session, for compose.sh and cluster.sh, which source this and say how:
# `fetch CURL-ARGUMENT…` sends a request to Portico, `ticket` prints a new ticket of the session
# `sample` for the user ada, `ok` and `fail` tell of the outcome.

# grant_of ORIGIN: exchanges a ticket for a grant, as a program does.
grant_of() {
  local answer
  answer=$(fetch -s -d "session=sample&ticket=$(ticket)" "$1/_portico/grant")
  python3 -c 'import json, sys; print(json.loads(sys.argv[1])["grant"])' "$answer" ||
    fail "$1: no grant: $answer"
}

# session_works BASE…: its page, headers and WebSocket, for every way to it.
session_works() {
  local base answer grant
  for base in "$@"; do
    answer=$(fetch -s -o /dev/null -w '%{http_code}' "$base/headers") || true
    [[ $answer == 401 ]] || fail "$base without a grant: $answer"
    grant=$(grant_of "${base%/_studio/sample}") || exit 1
    page_works "$base" "$grant"
    ok "$base: 401 without a grant; page, user and WebSocket with one"
  done
}

# page_works BASE GRANT
page_works() {
  local base=$1 grant=$2 answer
  answer=$(fetch -s -w '\n%{http_code}' -H "X-Portico-Grant: $grant" "$base/") || true
  [[ $answer == *WebSocket*200 ]] || fail "$base/: ${answer: -300}"
  answer=$(fetch -s -H "X-Portico-Grant: $grant" "$base/headers") || true
  [[ $answer == *'"x-connect-sub","ada"'* ]] || fail "$base/headers: $answer"
  answer=$(fetch -s -i -N --max-time 3 -H "X-Portico-Grant: $grant" -H 'Connection: Upgrade' \
    -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
    -H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' "$base/socket" | tr -d '\0') || true
  [[ $answer == 'HTTP/1.1 101'*'open for 1 s'* ]] || fail "$base/socket: $answer"
}
