#!/usr/bin/env bash
# Runs all examples, one after the other, and shows what they print; they have to be built.  What each has printed is in .build/course/NAME afterwards.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=${1:-.build/debug}
output=.build/course
failed=()
servers=()
scratch=$(mktemp -d)
trap 'for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done; wait; rm -rf "$scratch"' EXIT
rm -rf "$output"
mkdir -p "$output"

# Usage: run NAME [ARGUMENT...]: to its end, within ten seconds.  Standard input is the caller's.
run() {
    local status=0
    printf '\n$ swift run %s\n' "$*"
    timeout 10 "$programs/$1" "${@:2}" >"$output/$1" 2>&1 || status=$?
    cat "$output/$1"
    ((status == ${expected:-0})) || failed+=("$1: status $status instead of ${expected:-0}")
}

# Usage: serve NAME [ARGUMENT...]: beside what follows, until `finish`.  Sets `port` to that of its first line.
serve() {
    printf '\n$ swift run %s\n' "$*"
    # The port of an earlier one would be found.
    rm -f "$output/$1"
    "$programs/$1" "${@:2}" >"$output/$1" 2>&1 &
    servers+=($!)
    for ((i = 0; i < 200; i++)); do
        port=$(sed -n '1s/^[^:]*:\([0-9]*\).*/\1/p' "$output/$1" 2>/dev/null || true)
        [[ -n $port ]] && return
        sleep 0.05
    done
    failed+=("$1: no port")
}

# Usage: finish NAME [LINES]: ends the server that was started last, and shows what it has printed, or keeps only the last lines of it.
finish() {
    local pid=${servers[-1]} status=0
    kill "$pid"
    wait "$pid" || status=$?
    unset 'servers[-1]'
    tail -n "${2:-1000}" "$output/$1" >"$scratch/tail"
    cat "$scratch/tail"
    cp "$scratch/tail" "$output/$1"
    ((status == 0)) || failed+=("$1: status $status at its end")
}

# Usage: talk PORT LINE...: sends each line and shows what comes within a while.
talk() {
    exec 3<>"/dev/tcp/127.0.0.1/$1"
    for line in "${@:2}"; do
        printf '%s\n' "$line" >&3
        printf '> %s\n' "$line"
        timeout 0.3 cat <&3 || true
    done
    exec 3<&- 3>&-
}

# Sets `port` to one that was free a moment ago.
find_port() {
    # What it prints is no part of the course.
    local output=$scratch
    serve UppercaseServer 0 >/dev/null
    finish UppercaseServer >/dev/null
}

skip() { printf '\n%s is left out: %s is not installed\n' "$1" "$2"; }

# The page at a port, once there is one.
page() { curl -sS --retry 20 --retry-connrefused --max-time 10 "$@"; }

printf '== Green threads\n'
for name in HideAndSeek TrafficLights FirstAnswers Deadlock ProducersAndConsumers; do run $name </dev/null; done
run ThreeStages "$scratch/lines" <<<$'one\n\ntwo\nthree'
cat "$scratch/lines" | tee -a "$output/ThreeStages"

printf '\n== Coroutines\n'
for name in PingPong GeneratorPipeline RunningAverage; do run $name </dev/null; done

printf '\n== Pools\n'
for name in Squares LazyConnection ImageDownloads; do run $name </dev/null; done

printf '\n== Processes\n'
for name in Tickets RPC; do run $name </dev/null; done
if [[ -x /usr/sbin/sshd ]]; then
    for key in host user; do ssh-keygen -q -t ed25519 -N '' -f "$scratch/$key"; done
    find_port
    printf '%s\n' "Port $port" 'ListenAddress 127.0.0.1' "HostKey $scratch/host" "AuthorizedKeysFile $scratch/user.pub" 'StrictModes no' \
        'PermitRootLogin yes' 'UsePAM no' 'PidFile none' >"$scratch/sshd"
    ((EUID)) || mkdir -p /run/sshd
    /usr/sbin/sshd -D -e -f "$scratch/sshd" 2>"$scratch/log" &
    servers+=($!)
    until grep -q listening "$scratch/log"; do sleep 0.05; done
    printf '[127.0.0.1]:%s %s\n' "$port" "$(<"$scratch/host.pub")" >"$scratch/known"
    export FLEET_KEY=$scratch/user FLEET_KNOWN_HOSTS=$scratch/known
    run Fleet ssh 10 'echo "a host of $(nproc) processors"' "$(id -un)@127.0.0.1:$port"
    kill "${servers[-1]}"
    unset 'servers[-1]'
else
    skip Fleet sshd
fi

printf '\n== Servers\n'
serve UppercaseServer 0
uppercase=$port
run StartupGate 127.0.0.1 "$uppercase"
run SayHello "$uppercase" 20
serve PortForwarder 0 127.0.0.1 "$uppercase"
talk "$port" 'hello through the forwarder'
finish PortForwarder
finish UppercaseServer 3
serve ChatServer 0
talk "$port" Ann 'hello, is there anyone?'
finish ChatServer
serve HTTPServer 0
web=$port
page -d 'posted' "http://127.0.0.1:$web/"
run Crawler 5 "http://127.0.0.1:$web/"
serve SOCKSProxy 0
page --socks5-hostname "127.0.0.1:$port" "http://localhost:$web/through-the-proxy"
finish SOCKSProxy
finish HTTPServer

if command -v redis-server >/dev/null; then
    find_port
    redis-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no >"$scratch/redis" &
    servers+=($!)
    until grep -q 'Ready to accept' "$scratch/redis"; do sleep 0.05; done
    run RedisClient "$port" <<<$'XADD tasks * job 1 seconds 0.5\nXADD tasks * job 2 seconds 0.3\nXADD tasks * job 3 seconds 0.1'
    printf '\n$ swift run TaskIntake 127.0.0.1 %s\n' "$port"
    "$programs/TaskIntake" 127.0.0.1 "$port" >"$output/TaskIntake" 2>&1 &
    servers+=($!)
    for ((i = 0; i < 100; i++)); do if grep -qs 'done: job 1' "$output/TaskIntake"; then break; else sleep 0.05; fi; done
    finish TaskIntake
    kill "${servers[-1]}"
    unset 'servers[-1]'
else
    skip 'RedisClient and TaskIntake' redis-server
fi

wait
if ((${#failed[@]})); then
    printf 'error: %s\n' "${failed[@]}" >&2
    exit 1
fi
printf '\nAll of the course has run.\n'
