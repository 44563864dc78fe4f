#!/usr/bin/env bash
# One worker, two workers, two processes, each under two generators at once: what a second core brings, and how connections spread.
# See Benchmarks/README.md.  `make bench-cores` builds what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

server_program=.build/release/echo-server
load_program=.build/bench/echo-load
rounds=5
seconds=3
connections="64 1000"

usage() {
    cat <<END
usage: Benchmarks/cores.sh [--rounds N] [--seconds S] [--connections "N..."]
  --rounds N            each server is measured so often, in turn with the others; the medians count (default: $rounds)
  --seconds S           length of one measurement (default: $seconds)
  --connections "N..."  of both generators together (default: "$connections")
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --rounds | --seconds | --connections) declare "${1#--}=${2:?$1 needs a value}" ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done

fail() {
    printf 'cores: %s\n' "$*" >&2
    exit 1
}

servers=("1 worker" "1 worker again" "2 workers" "2 processes")

options_of() {
    case $1 in
        "1 worker"*) options=() ;;
        "2 workers") options=(--workers 2) ;;
        "2 processes") options=(--processes 2) ;;
    esac
}

# --- The server ---------------------------------------------------------------------------------------------------------------------

server=
scratch=$(mktemp -d)

clean_up() {
    stop_server
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# What ends with this script, also where SIGKILL ends it.
with_us=()
if command -v setpriv >/dev/null; then with_us=(setpriv --pdeathsig KILL); fi

# The process and its children, which have none.
family() {
    local -a children=()
    local file list
    for file in /proc/"$1"/task/*/children; do
        # The list has no newline at its end.
        { read -ra list <"$file" || true; } 2>/dev/null
        children+=("${list[@]}")
    done
    echo "$1" "${children[@]}"
}

# CPU time in nanoseconds of all OS threads that live.
cpu_time() {
    local -a files=()
    local pid
    for pid in $(family "$server"); do files+=("/proc/$pid/task/"*/schedstat); done
    cat "${files[@]}" | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}

# Usage: address_after WORDS; of the log's line with these words.
address_after() {
    local line i
    for ((i = 0; i < 500; i++)); do
        line=$(grep -m 1 -o "${1}127\.0\.0\.1:[0-9]*" "$scratch/log" 2>/dev/null) && break
        kill -0 "$server" 2>/dev/null || fail "the server has ended: $(<"$scratch/log")"
        sleep 0.02
    done
    [[ -n $line ]] || fail "the server does not listen"
    echo "${line##*:}"
}

start_server() {
    local -a options
    options_of "$1"
    rm -f "$scratch/log"
    "${with_us[@]}" "$server_program" --port 0 --admin 127.0.0.1:0 --log-format text "${options[@]}" 2>"$scratch/log" &
    server=$!
    port=$(address_after 'listening on ')
    admin=$(address_after 'admin on http://')
    # All that is done once is done before anything is measured.
    "$load_program" 127.0.0.1 "$port" --connections 16 --seconds 0.2 >"$scratch/first"
}

stop_server() {
    local -a pids
    [[ -n $server ]] || return 0
    read -ra pids < <(family "$server")
    kill "$server" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# What the admin page says of METRIC, a value a line.
metric() {
    local line
    exec {page}<>"/dev/tcp/127.0.0.1/$admin"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$page"
    while read -r -t 5 line <&"$page"; do
        if [[ $line == "$1{"* ]]; then echo "${line##* }"; fi
    done
    exec {page}>&-
}

# Each hub notes four times a second how many green threads it has: a few of its own, and one for each connection.
green_threads() {
    local -a counts
    sleep 0.6
    mapfile -t counts < <(metric echo_server_green_threads)
    echo "${counts[@]}"
}

# Until whoever was there before has left.
wait_until_idle() {
    local i
    for ((i = 0; i < 100; i++)); do
        if (($(metric echo_server_connections | head -n 1) == 0)); then return; fi
        sleep 0.05
    done
    fail "connections stay behind"
}

# Usage: difference BEFORE NOW; as in `31 33`.
difference() {
    local -a before now
    local hub
    read -ra before <<<"$1"
    read -ra now <<<"$2"
    for hub in "${!now[@]}"; do now[hub]=$((now[hub] - before[hub])); done
    echo "${now[@]}"
}

# --- Two generators -----------------------------------------------------------------------------------------------------------------

# Usage: start_generator NUMBER COUNT; it says what it has connected, and waits for a line.
start_generator() {
    mkfifo "$scratch/orders$1" "$scratch/answers$1"
    "${with_us[@]}" "$load_program" 127.0.0.1 "$port" --attended --connections "$2" --seconds "$seconds" <"$scratch/orders$1" >"$scratch/answers$1" &
    generators+=($!)
    exec {orders}>"$scratch/orders$1" {answers}<"$scratch/answers$1"
    orders_of+=("$orders") answers_of+=("$answers")
    rm "$scratch/orders$1" "$scratch/answers$1"
}

# Usage: hear NUMBER; a line of that generator.
hear() { read -r -t 120 line <&"${answers_of[$1]}" || fail "a generator says nothing"; }

# Usage: value KEY; from `line`.
value() {
    [[ " $line" =~ \ "$1"=([0-9.]+) ]] || fail "no $1 in: $line"
    echo "${BASH_REMATCH[1]}"
}

measure() {
    local name=$1 count=$2 idle places before after messages=0 length=0 load=0 p99=0 number
    local -a generators=() orders_of=() answers_of=()
    wait_until_idle
    idle=$(green_threads)
    for number in 0 1; do start_generator "$number" $((count / 2)); done
    for number in 0 1; do hear "$number"; done
    places=$(difference "$idle" "$(green_threads)")
    before=$(cpu_time)
    for number in 0 1; do echo >&"${orders_of[$number]}"; done
    for number in 0 1; do
        hear "$number"
        read -r messages load length p99 < <(awk -v m="$messages" -v l="$load" -v s="$length" -v p="$p99" \
            -v messages="$(value messages)" -v cpu="$(value cpu_seconds)" -v seconds="$(value seconds)" -v p99="$(value p99_us)" \
            'BEGIN { printf "%d %f %f %f\n", m + messages, l + cpu, (seconds > s ? seconds : s), (p99 > p ? p99 : p) }')
    done
    after=$(cpu_time)
    for number in 0 1; do
        orders=${orders_of[$number]} answers=${answers_of[$number]}
        echo >&"$orders"
        exec {orders}>&- {answers}<&-
    done
    wait "${generators[@]}" || fail "a generator has failed"
    awk -v OFS=, -v count="$count" -v round="$round" -v name="$name" -v messages="$messages" -v seconds="$length" -v load="$load" \
        -v server="$((after - before))" -v p99="$p99" -v places="$places" \
        'BEGIN { print count, round, name, messages / seconds, server / 1e3 / messages, load * 1e6 / messages, p99, server / 1e9 / seconds, places }' \
        >>"$bench/cores.csv"
}

# ------------------------------------------------------------------------------------------------------------------------------------

bench=.build/bench
for program in "$load_program" "$server_program"; do
    [[ -x $program ]] || fail "no $program: make bench-cores builds it"
done
ulimit -n "$(ulimit -Hn)"
echo connections,round,server,messages_per_second,server_us,load_us,p99_us,server_cpus,spread >"$bench/cores.csv"

for ((round = 1; round <= rounds; round++)); do
    for name in "${servers[@]}"; do
        if [[ -t 2 ]]; then printf '\rround %d of %d: %-20s' "$round" "$rounds" "$name" >&2; fi
        for count in $connections; do
            start_server "$name"
            measure "$name" "$count"
            stop_server
        done
    done
done
if [[ -t 2 ]]; then printf '\r%60s\r' '' >&2; fi

cpus=$(nproc)
printf '%s, Linux %s, %s CPUs; two generators; %s rounds of %s s: medians, and in brackets the least and the greatest.\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" "$cpus" "$rounds" "$seconds"
if ((cpus < 4)); then
    printf '\nWith %s CPUs the generators share them with the server: what a second worker wins, a generator loses.\n' "$cpus"
    printf 'The rate says little here; CPU time a message says what it costs, and the spread is the kernel'\''s anyway.\n'
fi

for count in $connections; do
    printf '\n### %s connections, 64 bytes, one message in flight on each\n\n' "$count"
    cat <<'END'
| server | messages/s | x 1 worker | server CPU us/message | x 1 worker | generator us/message | p99 us | server uses CPUs | connections of each hub |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |
END
    awk -F, -v wanted="$count" '
        # Nth of the rounds: 0 the least, 0.5 the median, 1 the greatest; of a column, or of its ratio to one worker in the same round.
        function nth(name, column, share, is_ratio,    i, j, n, list, value) {
            for (i = 1; i <= rounds; i++) {
                value = cell[name, column, i]
                if (is_ratio) value /= cell["1 worker", column, i]
                for (j = n++; j > 0 && list[j - 1] > value; j--) list[j] = list[j - 1]
                list[j] = value
            }
            i = (n - 1) * share
            j = int(i)
            return j == i ? list[j] : (list[j] + list[j + 1]) / 2
        }
        function median(name, column) { return nth(name, column, 0.5, 0) }
        function ratio(name, column) {
            return sprintf("%.2f (%.2f-%.2f)", nth(name, column, 0.5, 1), nth(name, column, 0, 1), nth(name, column, 1, 1))
        }
        NR > 1 && $1 == wanted {
            if (!($3 in spread)) names[++count] = $3
            if ($2 > rounds) rounds = $2
            for (i = 4; i <= 8; i++) cell[$3, i, $2] = $i
            text = $9
            gsub(/ /, " + ", text)
            spread[$3] = spread[$3] (spread[$3] == "" ? "" : ", ") text
        }
        END {
            for (row = 1; row <= count; row++) {
                name = names[row]
                printf "| %s | %.0f | %s | %.2f | %s | %.2f | %.0f | %.2f | %s |\n", name, median(name, 4), ratio(name, 4),
                    median(name, 5), ratio(name, 5), median(name, 6), median(name, 7), median(name, 8), spread[name]
            }
        }' "$bench/cores.csv"
done
