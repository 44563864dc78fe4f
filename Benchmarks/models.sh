#!/usr/bin/env bash
# Compares echo-server's models with each other and with the C floors: speed, memory, connections a second.  See Benchmarks/README.md.
# Prints Markdown tables; the raw rounds are in .build/bench/*.csv.  `make bench-models` builds what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench=.build/bench
server_program=.build/release/echo-server
rounds=5
seconds=3
cpu=$(($(nproc) - 1))
pool=64
speed_connections="64 1000"
memory_connections=1000
crowd=10000
policy=fifo
only=
before=

usage() {
    cat <<END
usage: Benchmarks/models.sh [--rounds N] [--seconds S] [--cpu N] [--policy fifo|other] [--pool N] [--only PATTERN]
                            [--server PROGRAM] [--before PROGRAM] [--connections "N..."] [--memory-connections N] [--crowd N]
  --rounds N              each server is measured so often, in turn with the others; the medians count (default: $rounds)
  --seconds S             length of one measurement of speed (default: $seconds)
  --cpu N                 the one that server and generator share (default: the last, $cpu)
  --policy fifo|other     who runs keeps the CPU until it waits, whatever else wants it; or the usual way (default: $policy,
                          or other where that is not permitted)
  --pool N                OS threads, or processes, in the pools (default: $pool)
  --only PATTERN          measures the floor and those servers that match this regular expression
  --server PROGRAM        echo-server (default: $server_program)
  --before PROGRAM        another build of it, measured beside this one; a further table compares the two
  --connections "N..."    for the tables of speed (default: "$speed_connections")
  --memory-connections N  for the table of memory (default: $memory_connections)
  --crowd N               that table's second part, for the floor and green (default: $crowd)
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --rounds | --seconds | --cpu | --policy | --pool | --only | --crowd | --before) declare "${1#--}=${2:?$1 needs a value}" ;;
        --server) server_program=${2:?} ;;
        --connections) speed_connections=${2:?} ;;
        --memory-connections) memory_connections=${2:?} ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done

# In the order of the tables.  The floor comes twice: how far it is from itself is what the numbers cannot tell apart.
servers=(
    "C epoll"
    "C epoll again"
    "green"
    "green, 2 workers"
    "green, 2 processes"
    "C thread"
    "thread"
    "thread pool"
    "C fork"
    "process"
    "process pool"
)

# Each of ours with the build before next to it.
if [[ -n $before ]]; then
    both=()
    for name in "${servers[@]}"; do
        both+=("$name")
        if [[ $name != C\ * ]]; then both+=("$name before"); fi
    done
    servers=("${both[@]}")
fi

command_of() {
    case $1 in
        "C epoll"*) command=("$bench/epoll-floor") ;;
        "C thread") command=("$bench/thread-floor") ;;
        "C fork") command=("$bench/fork-floor") ;;
        *before) command=("$before" --port 0) ;;
        *) command=("$server_program" --port 0) ;;
    esac
    case ${1% before} in
        "green, 2 workers") command+=(--workers 2) ;;
        "green, 2 processes") command+=(--processes 2) ;;
        thread) command+=(--model thread) ;;
        "thread pool") command+=(--model thread --pool-size "$pool") ;;
        process) command+=(--model process) ;;
        "process pool") command+=(--model process --pool-size "$pool") ;;
    esac
}

# Usage: places SERVER WANTED; how many connections it can have at once.
places() {
    if [[ ${1% before} == *pool ]] && (($2 > pool)); then echo "$pool"; else echo "$2"; fi
}

is_wanted() { [[ -z $only || $1 == "C epoll"* || ${1% before} =~ $only ]]; }

# shellcheck source=Benchmarks/harness.sh
source Benchmarks/harness.sh

measure_speed() {
    local count
    count=$(places "$1" "$2")
    measure --connections "$count"
    awk -v OFS=, -v round="$round" -v name="$1" -v wanted="$2" -v count="$count" \
        -v messages="$(value messages)" -v seconds="$(value seconds)" -v load="$(value cpu_seconds)" \
        -v p50="$(value p50_us)" -v p99="$(value p99_us)" -v server="$used" \
        'BEGIN { print wanted, round, "\"" name "\"", count, messages / seconds, server / 1e3 / messages,
                 load * 1e6 / messages, p50, p99, (server / 1e9 + load) / seconds }' >>"$bench/speed.csv"
}

measure_churn() {
    local count
    count=$(places "$1" 64)
    measure --mode churn --connections "$count"
    echo "$round,\"$1\",$count,$(value messages_per_second),$(value p99_us)" >>"$bench/churn.csv"
}

measure_memory() {
    local count
    count=$(places "$1" "$2")
    measure_idle "$count"
    echo "$2,$round,\"$1\",$count,$idle" >>"$bench/memory.csv"
}

for program in "$bench"/{echo-load,epoll-floor,thread-floor,fork-floor} "$server_program" ${before:+"$before"}; do
    [[ -x $program ]] || fail "no $program: make bench-models builds it"
done
use_all_descriptors
use_cpus "$cpu" "$cpu"
make_account
if ((crowd > descriptors - 100)); then crowd=$((descriptors - 100)); fi

echo wanted,round,server,connections,messages_per_second,server_us,load_us,p50_us,p99_us,busy >"$bench/speed.csv"
echo round,server,connections,connections_per_second,p99_us >"$bench/churn.csv"
echo "wanted,round,server,connections,$idle_columns" >"$bench/memory.csv"

# Of two builds, another one is first in each round.
in_turn() {
    local index
    for ((index = 0; index < ${#servers[@]}; index++)); do
        if ((round % 2 == 0)) && [[ ${servers[index + 1]-} == *before ]]; then
            printf '%s\n' "${servers[index + 1]}" "${servers[index]}"
            index=$((index + 1))
        else
            printf '%s\n' "${servers[index]}"
        fi
    done
}

for ((round = 1; round <= rounds; round++)); do
    mapfile -t turn < <(in_turn)
    for name in "${turn[@]}"; do
        is_wanted "$name" || continue
        if [[ -t 2 ]]; then printf '\rround %d of %d: %-20s' "$round" "$rounds" "$name" >&2; fi
        start_server "$name"
        for wanted in $speed_connections; do measure_speed "$name" "$wanted"; done
        measure_churn "$name"
        stop_server
        # Memory hardly varies: three rounds will do.
        if ((round > 3)) || [[ $name == *again ]]; then continue; fi
        for wanted in $memory_connections $crowd; do
            if ((wanted == crowd && wanted != memory_connections)) && [[ $name != "C epoll" && ${name% before} != green ]]; then continue; fi
            start_server "$name"
            measure_memory "$name" "$wanted"
            stop_server
        done
    done
done
if [[ -t 2 ]]; then printf '\r%60s\r' '' >&2; fi

printf '%s; one CPU for server and generator, policy %s; %s rounds of %s s: medians, and in brackets the least and the greatest.\n' \
    "$(describe_machine)" "$policy" "$rounds" "$seconds"

for wanted in $speed_connections; do
    printf '\n### %s connections, 64 bytes, one message in flight on each\n\n' "$wanted"
    cat <<'END'
| server | connections | messages/s | x floor | server CPU us/message | x floor | generator us/message | p50 us | p99 us | CPU used |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
END
    table 'printf "| %s | %d | %.0f | %s | %.2f | %s | %.2f | %.0f | %.0f | %.0f %% |\n", name, median(name, 1), median(name, 2), ratio(name, 2),
            median(name, 3), ratio(name, 3), median(name, 4), median(name, 5), median(name, 6), 100 * median(name, 7)' \
        -v wanted="$wanted" <"$bench/speed.csv"
done

printf '\n### Connect, one message, close\n\n'
cat <<'END'
| server | at a time | connections/s | x floor | p99 us |
| --- | ---: | ---: | ---: | ---: |
END
table 'printf "| %s | %d | %.0f | %s | %.0f |\n", name, median(name, 1), median(name, 2), ratio(name, 2), median(name, 3)' <"$bench/churn.csv"

memory_sizes=("$memory_connections")
if ((crowd != memory_connections)); then memory_sizes+=("$crowd"); fi
for wanted in "${memory_sizes[@]}"; do
    printf '\n### Memory of %s idle connections\n\n' "$wanted"
    memory_table "$wanted" <"$bench/memory.csv"
done

if [[ -n $before ]]; then
    printf '\n### This build beside the one before\n\nThe ratio is the median of those in each round; "C epoll again" beside "C epoll" is the noise.\n\n'
    printf '| server | figure | this | before | this / before |\n| --- | --- | ---: | ---: | ---: |\n'
    for wanted in $speed_connections; do
        table 'compare(name, wanted " connections: messages/s", 2); compare(name, wanted " connections: CPU us/message", 3)' \
            -v wanted="$wanted" <"$bench/speed.csv"
    done
    table 'compare(name, "churn: connections/s", 2)' <"$bench/churn.csv"
    for wanted in "${memory_sizes[@]}"; do
        # With connections, less without them.
        awk -F, -v OFS=, 'NR == 1 { print; next } {
            shift = /"[^",]*, / ? 1 : 0
            n = $(4 + shift)
            print $1, $2, (shift ? $3 "," $4 : $3), ($(10 + shift) - $(5 + shift)) / n, ($(12 + shift) - $(7 + shift)) / n
        }' "$bench/memory.csv" >"$scratch/each.csv"
        table 'compare(name, wanted " idle: Pss KiB each", 1); compare(name, wanted " idle: page tables KiB each", 2)' -v wanted="$wanted" <"$scratch/each.csv"
    done
fi
