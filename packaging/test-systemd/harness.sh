# What checks.sh is written with.  Everything happens inside the container, as root.
# shellcheck shell=bash

passed=0
failed=0

# Usage: check WHAT COMMAND...; one line that says whether the command succeeded, and where it did not, what it and the journal have to say.
check() {
    local what=$1 said
    shift
    if said=$("$@" 2>&1); then
        passed=$((passed + 1))
        printf 'ok      %s\n' "$what"
    else
        failed=$((failed + 1))
        printf 'FAILED  %s\n' "$what"
        {
            printf '%s\n' "$*" "$said"
            journalctl --no-pager -o cat -n 15 -u 'echo-server*'
        } | sed 's/^/            /'
    fi
}

# Usage: pause SECONDS, without a process.  Nobody ever writes to this pipe.
exec {silence}<> <(:)
pause() { read -rt "$1" -u "$silence" _ || true; }

# Usage: eventually COMMAND...; tries until it succeeds, for ten seconds.
eventually() {
    local _
    for _ in {1..200}; do
        if "$@"; then return; fi
        pause 0.05
    done
    return 1
}

fails() { ! "$@"; }

# Usage: within SECONDS COMMAND...
within() {
    local limit=$1 start=$SECONDS
    shift
    "$@" && ((SECONDS - start <= limit))
}

# Usage: property NAME [UNIT], as systemd knows it.
property() { systemctl show -P "$1" "${2:-echo-server.service}"; }

# Usage: property_is NAME VALUE [UNIT]
property_is() {
    local value
    value=$(property "$1" "${3:-}")
    [[ $value == "$2" ]] || { printf '%s is %s\n' "$1" "$value" && return 1; }
}

# Usage: status_is PATTERN; the line that systemctl status shows.
status_is() {
    local status
    status=$(property StatusText)
    # shellcheck disable=SC2053  # a pattern
    [[ $status == $1 ]] || { printf 'the status is %s\n' "$status" && return 1; }
}

# Usage: journal_has MATCH...; whether one entry of the service has all of these fields.  See journalctl(1).
journal_has() { [[ -n $(journalctl -q -o json -n 1 -t echo-server "$@") ]]; }

# Usage: journal_tells REGULAR-EXPRESSION [MATCH...]; in a line of the service, in any case.
journal_tells() { [[ -n $(journalctl -q -t echo-server --case-sensitive=no --grep "$@") ]]; }

active() { systemctl is-active --quiet "${1:-echo-server.service}"; }

# Usage: drop_in UNIT LINE..., until `fresh`.
drop_in() {
    local directory=/etc/systemd/system/$1.d
    mkdir -p "$directory"
    printf '%s\n' "${@:2}" >"$directory/$(find "$directory" -type f | wc -l).conf"
    systemctl daemon-reload
}

# Usage: serve_with VARIABLE=VALUE...; the service, started with these settings.
serve_with() {
    drop_in echo-server.service '[Service]' "${@/#/Environment=ECHO_SERVER_}"
    systemctl restart echo-server.service
}

# As after the installation, but nothing runs.
fresh() {
    systemctl stop 'echo-server*.socket' 'echo-server*.service'
    rm -rf /etc/systemd/system/echo-server*.d
    systemctl daemon-reload
    systemctl reset-failed
}

processes() { pgrep -x echo-server; }
no_process() { fails processes; }

# Usage: answers [NC-ARGUMENTS]; whether the service upper-cases.
answers() {
    local answer
    (($#)) || set -- 127.0.0.1 8080
    answer=$(printf 'hello\n' | nc -N -w 5 "$@") || return
    [[ $answer == HELLO ]] || { printf 'answered %s\n' "$answer" && return 1; }
}

# Usage: run_tests; those of the selection, or all, each from a fresh state.
run_tests() {
    local test tests
    mapfile -t tests < <(grep . /test/selection || sed -nE 's/^(test_[a-z0-9_]+)\(\).*/\1/p' /test/checks.sh)
    for test in "${tests[@]}"; do
        printf '%s\n' "-- ${test#test_}" | tr _ ' '
        fresh >/dev/null 2>&1
        "$test"
    done
}

# The closing line, and the result of it all.
report() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    ((failed == 0))
}
