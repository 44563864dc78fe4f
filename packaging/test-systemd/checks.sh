#!/usr/bin/env bash
# What an operator does with the package, in a booted system.  All functions named test_* run, in the order of this file; at the start of each, the service
# is stopped and there are no drop-ins.  The package is installed before them and purged after.
set -uo pipefail
# shellcheck disable=SC1091  # there only in the container
. /test/harness.sh

# MARK: Starting and stopping

test_start_and_stop() {
    check 'systemctl start' systemctl start echo-server
    check 'nc is answered as soon as start has returned' answers
    check 'echo-client ping finds it healthy' echo-client ping --timeout 5
    check 'the service runs as a user of its own' test "$(ps -o user= -p "$(property MainPID)")" = echo-server
    check 'systemctl status shows a status line' grep -E '^ +Status: ".*connections.*"' <(systemctl status --no-pager echo-server)
    check 'systemctl stop' systemctl stop echo-server
    check 'a stop is a success' property_is Result success
    check 'no process is left' no_process
    check 'no client is answered any more' fails answers
}

test_hardening() {
    check 'systemd finds nothing wrong in the units' systemd-analyze verify --man=no \
        /lib/systemd/system/echo-server{,@,-inetd@}.service /lib/systemd/system/echo-server{,-admin,-inetd}.socket
    check 'exposure of the service is at most 1.5' systemd-analyze security --no-pager --threshold=15 echo-server.service
    drop_in echo-server.service "$(</usr/share/doc/echo-server/examples/socket-activated.conf)"
    check 'exposure of the socket-activated service is at most 0.5' \
        systemd-analyze security --no-pager --threshold=5 echo-server.service
}

test_settings() {
    serve_with PORT=7007 TRANSFORM=echo
    check 'a drop-in changes port and transform' [ "$(printf 'hello\n' | nc -N -w 5 127.0.0.1 7007)" = hello ]
    fresh
    echo ECHO_SERVER_PORT=7008 >>/etc/default/echo-server
    systemctl start echo-server
    check '/etc/default/echo-server changes the port' answers 127.0.0.1 7008
    dpkg -i /test/echo-server.deb >/dev/null 2>&1
    check 'installing again restarts the service and keeps the settings' eventually answers 127.0.0.1 7008
    sed -i '$d' /etc/default/echo-server
    fresh
    serve_with UNIX_SOCKET=/run/echo-server/echo.sock
    check 'the service listens on a unix socket below /run/echo-server' answers -U /run/echo-server/echo.sock
    check '... every user' [ "$(printf 'hello\n' | as_nobody nc -N -w 5 -U /run/echo-server/echo.sock)" = HELLO ]
    fresh
    serve_with ADMIN=/run/echo-server/admin.sock
    check '... and the admin interface to no other user' fails as_nobody nc -N -w 5 -U /run/echo-server/admin.sock </dev/null
}

as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }

# As echo-server(8) says.
test_port_below_1024() {
    drop_in echo-server.service '[Service]' AmbientCapabilities=CAP_NET_BIND_SERVICE \
        CapabilityBoundingSet=CAP_NET_BIND_SERVICE PrivateUsers=no
    serve_with PORT=7
    check 'with the capability the service listens on port 7' answers 127.0.0.1 7
    fresh
    serve_with PORT=7 2>/dev/null
    check 'without, the start ends with status 77' property_is ExecMainStatus 77
    fresh
    drop_in echo-server.socket '[Socket]' ListenStream= ListenStream=127.0.0.1:7
    socket_activated
    check 'with socket activation port 7 needs no capability' answers 127.0.0.1 7
}

test_failing_to_start() {
    nc -lk 127.0.0.1 8080 >/dev/null &
    local occupant=$!
    eventually nc -z 127.0.0.1 8080
    check 'start fails while the port is taken' fails systemctl start echo-server
    check '... with status 69' property_is ExecMainStatus 69
    kill "$occupant"
    check '... and succeeds when the port is free' eventually answers
    fresh
    serve_with HOST=192.0.2.7 2>/dev/null
    check 'start fails with an address that the machine does not have, with status 69' property_is ExecMainStatus 69
    fresh
    drop_in echo-server.service '[Service]' RestartSec=100ms
    serve_with HOST=later.example 2>/dev/null
    check 'start fails without a name server for the name, with status 69' property_is ExecMainStatus 69
    check '... and is tried more often than five times in ten seconds' eventually restarted_often
    echo 127.0.0.1 later.example >>/etc/hosts
    check '... and succeeds when the name has an address' eventually answers
    sed -i '$d' /etc/hosts
    # A minimal system has no such file, and the check after the purge would find it.
    [[ -s /etc/hosts ]] || rm /etc/hosts
    fresh
    drop_in echo-server.service '[Service]' 'Environment=ECHO_SERVER_PORT=many'
    check 'start fails with an invalid setting' fails systemctl start echo-server
    check '... with status 78' property_is ExecMainStatus 78
    check '... and is not tried again' property_is ActiveState failed
}

restarted_often() { (($(property NRestarts) > 6)); }

test_models() {
    local settings
    for settings in MODEL=green 'MODEL=green WORKERS=2' 'MODEL=green PROCESSES=2' MODEL=thread 'MODEL=thread POOL_SIZE=4' \
        MODEL=process 'MODEL=process POOL_SIZE=4'; do
        # shellcheck disable=SC2086
        check "starts with $settings" serve_with $settings
        check '... answers' answers
        check '... stops' systemctl stop echo-server
        check '... cleanly' property_is Result success
        check '... with all processes' no_process
        fresh
    done
}

# MARK: Status, log and admin interface

test_status() {
    local model first second
    for model in green thread process; do
        serve_with "MODEL=$model"
        check "with $model, systemctl status counts no connections at first" eventually status_is "0 connections, 0 accepted, limit *, model $model"
        exec {first}<>/dev/tcp/127.0.0.1/8080 {second}<>/dev/tcp/127.0.0.1/8080
        check '... then two' eventually status_is "2 connections, 2 accepted, limit *, model $model"
        exec {first}>&- {second}>&-
        check '... and none in the end' eventually status_is "0 connections, 2 accepted, limit *, model $model"
        fresh
    done
}

test_journal() {
    local pid
    serve_with MODEL=process POOL_SIZE=2 LOG_LEVEL=debug
    pid=$(property MainPID)
    check 'the journal has the fields of the start' eventually journal_has "_PID=$pid" _SYSTEMD_UNIT=echo-server.service \
        PRIORITY=5 "ECHO_PID=$pid" ECHO_MODEL=process ECHO_TRANSFORM=upper POOL_SIZE=2 ECHO_ADDRESS=127.0.0.1:8080
    check '... also as JSON' grep '"ECHO_MODEL":"process"' <(journalctl -o json -u echo-server)
    check '... and a line for people' grep "listening on 127.0.0.1:8080 model=process pid=$pid pool_size=2 transform=upper" <(journalctl -o cat -u echo-server)
    pid=$(pgrep -P "$pid" | head -n 1)
    kill -9 "$pid"
    check 'a dead worker is logged with its process id and its end' eventually journal_has PRIORITY=4 "ECHO_WORKER=$pid" KILLED_BY=9
    eventually answers
    systemctl stop echo-server
    check 'a stop is logged with its signal' eventually journal_has ECHO_SIGNAL=TERM
    check '... and with the counters' eventually journal_has ECHO_ACCEPTED=1 BYTES_IN=6 BYTES_OUT=6 ECHO_OPEN=0
    check 'what a client sends is not logged' fails journal_tells hello
    fresh
    serve_with LOG_LEVEL=trace
    answers
    check '... except at level trace' eventually journal_tells hello
    check '... and escaped' journal_has PRIORITY=7 ECHO_PAYLOAD=hello%0A
}

# Usage: admin_says TEXT PATH NC-ARGUMENTS...
admin_says() { printf 'GET %s HTTP/1.0\r\n\r\n' "$2" | nc -w 5 "${@:3}" | grep -F -e "$1" >/dev/null; }

test_admin() {
    local model first
    for model in green thread process; do
        serve_with "MODEL=$model" ADMIN=127.0.0.1:9090
        exec {first}<>/dev/tcp/127.0.0.1/8080
        check "with $model, /readyz says that it is ready" admin_says ready /readyz 127.0.0.1 9090
        check '... /healthz that it is healthy' admin_says '200 OK' /healthz 127.0.0.1 9090
        check '... /metrics that it serves one client' eventually admin_says 'echo_server_connections{state="open"} 1' /metrics 127.0.0.1 9090
        systemctl stop --no-block echo-server
        check '... and /readyz that it is not, as soon as it stops' eventually admin_says 503 /readyz 127.0.0.1 9090
        exec {first}>&-
        check '... which it then does' eventually no_process
        fresh
    done
    drop_in echo-server.service '[Service]' Environment=ECHO_SERVER_ADMIN=/run/echo-server/admin.sock
    socket_activated
    answers
    check 'without network access, the admin interface answers on a unix socket' admin_says 200 /readyz -U /run/echo-server/admin.sock
}

# In the service without network access.
test_admin_socket() {
    socket_activated
    check 'echo-server-admin.socket starts' systemctl start echo-server-admin.socket
    check '... and its first client starts the service' admin_says 200 /readyz 127.0.0.1 9090
    check '... which has no network access' property_is PrivateNetwork yes
    check '... /metrics can be read' admin_says echo_server_ready /metrics 127.0.0.1 9090
    check '... clients are served' answers
    check '... and not on the socket of the admin interface' fails answers 127.0.0.1 9090
    check 'after a restart both are answered' eval 'systemctl restart echo-server && answers && admin_says 200 /readyz 127.0.0.1 9090'
    fresh
    drop_in echo-server.service '[Service]' Environment=ECHO_SERVER_ADMIN=127.0.0.1:9090
    socket_activated
    check 'with an address in ECHO_SERVER_ADMIN, clients are served' answers
    check '... and the journal says that there is no admin interface' eventually journal_tells 'serving without --admin; .*FileDescriptorName=admin'
    check '... in the one process that was started' property_is NRestarts 0
    systemctl stop echo-server
    systemctl start echo-server-admin.socket
    check 'with echo-server-admin.socket, the address is ignored' admin_says 200 /readyz 127.0.0.1 9090
}

test_reload() {
    local pid
    make_pieces
    serve_with MODEL=green
    pid=$(property MainPID)
    systemctl log-level debug
    check 'systemctl reload' systemctl reload echo-server
    check '... notifies systemd, with the time' \
        eventually manager_was_told "$pid" 'RELOADING=1, MONOTONIC_USEC=[0-9]+'
    systemctl log-level info
    check '... and of its end' eventually property_is ActiveState active
    check '... does not keep ten busy clients from finishing' clients_through systemctl reload echo-server
    check '... and is no restart' property_is MainPID "$pid"
}

# The worker processes reload a moment after the first process.
test_reload_of_settings() {
    local settings
    cp /etc/default/echo-server /tmp/default
    for settings in MODEL=green WORKERS=2 PROCESSES=2 MODEL=thread MODEL=process 'MODEL=process POOL_SIZE=2'; do
        # shellcheck disable=SC2086
        serve_with $settings
        echo ECHO_SERVER_TRANSFORM=echo >>/etc/default/echo-server
        check "with $settings, a reload applies a change in /etc/default/echo-server" reload_and_answer hello
        check '... and the journal says so' eventually journal_tells 'settings reloaded changed=transform' "_PID=$(property MainPID)"
        echo ECHO_SERVER_TRANSFORM=sideways >/etc/default/echo-server
        systemctl reload echo-server
        check '... an error in the file is logged with file and line' eventually journal_tells 'settings not reloaded.* error="/etc/default/echo-server:1: .*sideways' "_PID=$(property MainPID)"
        check '... and changes nothing' reload_and_answer hello
        check '... and with it the service would not start' fails as_service_would --check-config
        echo ECHO_SERVER_TRANSFORM=upper >/etc/default/echo-server
        check '... once corrected, it is applied' reload_and_answer HELLO
        check '... all in the same process, which is active' property_is ActiveState active
        check '... and was never restarted' property_is NRestarts 0
        cp /tmp/default /etc/default/echo-server
        fresh
    done
}

# Usage: reload_and_answer ANSWER: the answer to `hello` in each of four connections.
reload_and_answer() {
    local _
    systemctl reload echo-server || return
    for _ in {1..4}; do eventually transforms_to "$1" || return; done
}

transforms_to() { [[ $(printf 'hello\n' | nc -N -w 5 127.0.0.1 8080) == "$1" ]]; }

as_service_would() { echo-server --config /etc/default/echo-server "$@"; }

# Usage: manager_was_told PROCESS REGULAR-EXPRESSION; needs systemd's own log at level debug.
manager_was_told() {
    journalctl -q -n 1 _PID=1 --grep "Got notification message from PID $1 \(.*$2" >/dev/null
}

# MARK: Surviving

test_crash() {
    systemctl start echo-server
    local pid
    pid=$(property MainPID)
    kill -9 "$pid"
    check 'after kill -9 it is started again' eventually property_is NRestarts 1
    check '... as another process' eventually fails property_is MainPID "$pid"
    check '... and answers' eventually answers
}

test_crash_of_a_worker() {
    local settings pid
    for settings in PROCESSES=2 'MODEL=process POOL_SIZE=4'; do
        # shellcheck disable=SC2086
        serve_with $settings
        pid=$(pgrep -P "$(property MainPID)" | head -n 1)
        kill -9 "$pid"
        check "with $settings a killed worker is replaced" eventually worker_replaced "$pid"
        check '... without a restart' property_is NRestarts 0
        check '... and it answers' answers
        fresh
    done
}

worker_replaced() {
    local workers
    workers=$(pgrep -P "$(property MainPID)")
    ! grep -qx "$1" <<<"$workers" && (($(wc -l <<<"$workers") >= 2))
}

test_watchdog() {
    local settings pid
    for settings in MODEL=green PROCESSES=2 MODEL=thread MODEL=process; do
        drop_in echo-server.service '[Service]' WatchdogSec=1
        serve_with "$settings"
        pid=$(property MainPID)
        pause 3
        check "with $settings the watchdog is notified" property_is NRestarts 0
        kill -STOP "$pid"
        check '... after kill -STOP it is started again' eventually property_is NRestarts 1
        check '... because of the watchdog' journalctl -q -u echo-server --grep 'Watchdog timeout' -n 1
        check '... and answers' eventually answers
        fresh
        journalctl --rotate --vacuum-time=1s >/dev/null 2>&1
    done
}

# MARK: Stopping under load

# Usage: slow_client NUMBER; sends 100 pieces in about two seconds, and compares.
slow_client() {
    local _
    for _ in {1..100}; do
        printf '%s' "$piece"
        pause 0.02
    done | echo-client >"/tmp/answer.$1" && cmp -s "/tmp/answer.$1" /tmp/expected
}

make_pieces() {
    local _
    piece=$(head -c 500000 /dev/urandom | LC_ALL=C tr -dc '[:lower:]' | head -c 20000)
    for _ in {1..100}; do printf '%s' "${piece^^}"; done >/tmp/expected
}

# Usage: clients_through COMMAND...: ten clients that send while it runs get all answers.
clients_through() {
    local client clients=() failures=0
    rm -f /tmp/answer.*
    for client in {1..10}; do
        slow_client "$client" &
        clients+=($!)
    done
    for client in {1..10}; do eventually test -s "/tmp/answer.$client"; done
    "$@" || { echo "$* fails" && failures=1; }
    for client in "${clients[@]}"; do wait "$client" || failures=$((failures + 1)); done
    ((failures == 0)) || { echo "$failures of 10 clients were not answered completely" && return 1; }
}

# A client that sends much, gets its answers, and does not end.  Usage: endless_client_through COMMAND...
endless_client_through() {
    local client input status
    rm -f /tmp/input && mkfifo /tmp/input
    echo-client </tmp/input >/tmp/answer 2>/dev/null &
    client=$!
    exec {input}>/tmp/input
    cat /tmp/expected >&"$input"
    eventually cmp -s /tmp/answer /tmp/expected
    "$@"
    status=$?
    wait "$client"
    exec {input}>&-
    ((status == 0)) && cmp /tmp/answer /tmp/expected
}

test_stop_under_load() {
    local settings
    make_pieces
    for settings in MODEL=green 'MODEL=green PROCESSES=2' MODEL=thread MODEL=process 'MODEL=process POOL_SIZE=16'; do
        # shellcheck disable=SC2086
        serve_with $settings
        check "with $settings a stop lets ten busy clients finish" clients_through systemctl stop echo-server
        check '... and is a success' property_is Result success
        check '... with all processes' no_process
        # shellcheck disable=SC2086
        serve_with $settings DRAIN_TIMEOUT=1
        check '... a client that never ends gets its answers, and does not delay the stop for long' \
            within 8 endless_client_through systemctl stop echo-server
        check '... which is a success too' property_is Result success
        fresh
    done
    drop_in echo-server.service '[Service]' TimeoutStopSec=1
    serve_with DRAIN_TIMEOUT=30
    check 'a stop may take longer than TimeoutStopSec while clients finish' clients_through systemctl stop echo-server
    check '... and is a success' property_is Result success
}

# MARK: Socket activation

socket_activated() {
    drop_in echo-server.service "$(</usr/share/doc/echo-server/examples/socket-activated.conf)"
    systemctl start echo-server.socket
}

test_socket_activation() {
    drop_in echo-server.socket '[Socket]' 'ListenStream=[::1]:8080' ListenStream=/run/echo-server.sock
    check 'echo-server.socket starts' socket_activated
    check '... and does not start the service' fails active
    check '... but the first client does' answers
    check '... which then runs' active
    check 'IPv6 is served too' answers ::1 8080
    check 'a unix socket is served too' answers -U /run/echo-server.sock
    check 'the service has no network access' property_is PrivateNetwork yes
    check 'a stopped service is started by the next client' eval 'systemctl stop echo-server && answers'
    systemctl stop echo-server.socket echo-server
    check 'with the socket stopped, no client is answered' fails answers
}

# Usage: visitors_through COMMAND...: clients that connect one after the other while it runs are all answered.
visitors_through() {
    rm -f /tmp/visited /tmp/refused /tmp/enough
    while [[ ! -e /tmp/enough ]]; do
        if echo-client ping --timeout 20 >/dev/null; then echo >>/tmp/visited; else echo >>/tmp/refused; fi
    done &
    local visitors=$! status=0
    eventually test -s /tmp/visited
    "$@" || status=$?
    touch /tmp/enough
    wait "$visitors"
    [[ ! -e /tmp/refused ]] || { echo "$(wc -l </tmp/refused) refused, $(wc -l </tmp/visited) answered" && status=1; }
    return "$status"
}

# More often than systemd allows by default.
restart_five_times() {
    local _
    for _ in {1..5}; do systemctl restart echo-server || return; done
}

test_restart_under_load() {
    local settings
    make_pieces
    for settings in MODEL=green 'MODEL=green WORKERS=2' 'MODEL=green PROCESSES=2' MODEL=thread 'MODEL=thread POOL_SIZE=16' \
        MODEL=process 'MODEL=process POOL_SIZE=16'; do
        drop_in echo-server.service '[Unit]' StartLimitIntervalSec=0
        socket_activated
        # shellcheck disable=SC2086
        serve_with $settings
        check "with $settings and socket activation, five restarts refuse no client" visitors_through restart_five_times
        check '... and a restart lets ten busy clients finish' clients_through systemctl restart echo-server
        fresh
    done
}

# As operations.md says: systemd keeps the listeners of the service between two runs.
test_kept_listeners() {
    local settings
    for settings in MODEL=green 'MODEL=green PROCESSES=2 WORKERS=2' MODEL=process; do
        drop_in echo-server.service '[Unit]' StartLimitIntervalSec=0 '[Service]' FileDescriptorStoreMax=16
        # shellcheck disable=SC2086
        serve_with $settings
        check "with $settings and a store for descriptors, five restarts refuse no visitor" visitors_through restart_five_times
        check '... and a stop closes the listeners' eval 'systemctl stop echo-server && eventually fails nc -z 127.0.0.1 8080'
        fresh
    done
}

test_next_instance() {
    local before
    serve_with MODEL=green
    before=$(property MainPID)
    check 'USR2 replaces the service, and refuses no visitor' visitors_through upgrade "$before"
    check '... which is active' active
    check '... and answers' answers
    check '... with no process left of the old one' eventually fails kill -0 "$before"
    check '... and stops' systemctl stop echo-server
    check '... cleanly' property_is Result success
    check '... with all processes' no_process
}

# Usage: upgrade PID: returns when another process than this one is the service.
upgrade() {
    systemctl kill --kill-who=main --signal=USR2 echo-server
    eventually fails property_is MainPID "$1"
}

test_inetd() {
    check 'echo-server-inetd.socket starts' systemctl start echo-server-inetd.socket
    check '... and answers' answers 127.0.0.1 8081
    check '... ten at a time' ten_at_a_time
    check '... each by a process that ends with its client' eventually no_process
    check '... and nothing has failed' test -z "$(systemctl list-units --failed --no-legend 'echo-server*')"
}

ten_at_a_time() {
    local clients=() client
    make_pieces
    for client in {1..10}; do
        (cat /tmp/expected && sleep 0.5) | echo-client 127.0.0.1 8081 | cmp - /tmp/expected &
        clients+=($!)
    done
    eventually processes_are 10
    for client in "${clients[@]}"; do wait "$client" || return; done
}

processes_are() { (($(pgrep -cx echo-server) == $1)); }

# MARK: Installing and purging

# All paths of the installed system, without those of running programs.
paths() {
    find / -xdev \( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /test -o -path /results -o -path /var/log \
        -o -path /var/cache -o -path /var/lib/apt -o -path '/var/lib/systemd/*' -o -path '/var/tmp/systemd-private-*' \) -prune -o -print | sort
}

users() { getent passwd && getent group; }
units() { systemctl list-unit-files --no-legend 'echo*' && systemctl list-units --all --no-legend 'echo*'; }

install() {
    paths >/tmp/paths.before
    users >/tmp/users.before
    check 'apt installs the package' apt-get install -y /test/echo-server.deb
    check 'the service is enabled' systemctl is-enabled echo-server
    check '... and runs' active
    check '... and answers' answers
    check 'the sockets are not enabled' fails systemctl is-enabled echo-server.socket
    check 'the programs find their libraries' fails grep -E 'not found|libswift|libstdc' <(ldd /usr/bin/echo-server /usr/bin/echo-client)
}

# With sockets enabled and connections open.
purge() {
    fresh
    systemctl enable --now echo-server.socket echo-server-admin.socket echo-server-inetd.socket >/dev/null 2>&1
    (sleep 60) | nc 127.0.0.1 8080 >/dev/null &
    (sleep 60) | nc 127.0.0.1 8081 >/dev/null &
    eventually processes_are 2
    check 'apt purges the package' apt-get purge -y echo-server
    check '... which leaves no process' eventually no_process
    check '... no listener' fails nc -z 127.0.0.1 8080
    check '... no unit' test -z "$(units)"
    check '... no user and no group' diff /tmp/users.before <(users)
    check '... no file' diff /tmp/paths.before <(paths)
    check '... no link to a unit' test -z "$(find /etc/systemd /var/lib/systemd -name '*echo*')"
}

printf '%s\n' '-- install'
install
run_tests
printf '%s\n' '-- purge'
purge
report
