# What compose.sh and cluster.sh share, which source this and have `say`, `fail`, `work` and
# SECONDS_MAX: steps that are counted, and waits.

checks=0
ok() {
  checks=$((checks + 1))
  say "ok    $*"
}

# until_true WHAT COMMAND…
until_true() {
  local what=$1 until=$((SECONDS + SECONDS_MAX))
  shift
  while ! "$@" >"$work/last.log" 2>&1; do
    if ((SECONDS > until)); then
      cat "$work/last.log" >&2
      fail "not within $SECONDS_MAX s: $what"
    fi
    sleep 0.5
  done
}

# becomes_true WHAT COMMAND…: as a step of its own.
becomes_true() {
  until_true "$@"
  ok "$1"
}
