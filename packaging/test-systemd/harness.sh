# Functions for checks.sh.  They run in the container, as root.
# shellcheck shell=bash

passed=0
failed=0

# Usage: check WHAT COMMAND...: prints whether the command succeeded, and if not, its output and the end of the journal.
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

# Usage: pause SECONDS, without a process: a read from a pipe to which nothing is written.
exec {silence}<> <(:)
pause() { read -rt "$1" -u "$silence" _ || true; }

# Usage: eventually COMMAND...: repeats it until it succeeds, for at most ten seconds.
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

# Usage: property NAME [UNIT]: the unit's property.
property() { systemctl show -P "$1" "${2:-echo-server.service}"; }

# Usage: property_is NAME VALUE [UNIT]
property_is() {
    local value
    value=$(property "$1" "${3:-}")
    [[ $value == "$2" ]] || { printf '%s is %s\n' "$1" "$value" && return 1; }
}

# Usage: status_is PATTERN: the status line of `systemctl status` matches.
status_is() {
    local status
    status=$(property StatusText)
    # shellcheck disable=SC2053  # a pattern
    [[ $status == $1 ]] || { printf 'the status is %s\n' "$status" && return 1; }
}

# Usage: journal_has MATCH...: an entry of the service has all of these fields.  See journalctl(1).
journal_has() { [[ -n $(journalctl -q -o json -n 1 -t echo-server "$@") ]]; }

# Usage: journal_tells REGULAR-EXPRESSION [MATCH...]: a line of the service matches, in upper or lower case.
journal_tells() { [[ -n $(journalctl -q -t echo-server --case-sensitive=no --grep "$@") ]]; }

active() { systemctl is-active --quiet "${1:-echo-server.service}"; }

# Usage: drop_in UNIT LINE...: adds a drop-in, which `fresh` removes.
drop_in() {
    local directory=/etc/systemd/system/$1.d
    mkdir -p "$directory"
    printf '%s\n' "${@:2}" >"$directory/$(find "$directory" -type f | wc -l).conf"
    systemctl daemon-reload
}

# Usage: serve_with VARIABLE=VALUE...: starts the service with these settings.
serve_with() {
    drop_in echo-server.service '[Service]' "${@/#/Environment=ECHO_SERVER_}"
    systemctl restart echo-server.service
}

# As after the installation, with the service stopped.
fresh() {
    systemctl stop 'echo-server*.socket' 'echo-server*.service'
    rm -rf /etc/systemd/system/echo-server*.d
    systemctl daemon-reload
    systemctl reset-failed
}

processes() { pgrep -x echo-server; }
no_process() { fails processes; }

# Usage: answers [NC-ARGUMENTS]: the service answers in upper case.
answers() {
    local answer
    (($#)) || set -- 127.0.0.1 8080
    answer=$(printf 'hello\n' | nc -N -w 5 "$@") || return
    [[ $answer == HELLO ]] || { printf 'answered %s\n' "$answer" && return 1; }
}

# Usage: run_tests: runs the selected tests, or all, each from a fresh state.
run_tests() {
    local test tests
    mapfile -t tests < <(grep . /test/selection || sed -nE 's/^(test_[a-z0-9_]+)\(\).*/\1/p' /test/checks.sh)
    for test in "${tests[@]}"; do
        printf '%s\n' "-- ${test#test_}" | tr _ ' '
        fresh >/dev/null 2>&1
        "$test"
    done
}

# Prints the last line, and fails if a check has failed.
report() {
    printf '%s passed, %s failed\n' "$passed" "$failed"
    ((failed == 0))
}
