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

usage() {
    cat <<END
usage: Benchmarks/models.sh [--rounds N] [--seconds S] [--cpu N] [--policy fifo|other] [--pool N] [--only PATTERN]
                            [--server PROGRAM] [--connections "N..."] [--memory-connections N] [--crowd N]
  --rounds N              each server is measured so often, in turn with the others; the medians count (default: $rounds)
  --seconds S             length of one measurement of speed (default: $seconds)
  --cpu N                 the one that server and generator share (default: the last, $cpu)
  --policy fifo|other     who runs keeps the CPU until it waits, whatever else wants it; or the usual way (default: $policy,
                          or other where that is not permitted)
  --pool N                OS threads, or processes, in the pools (default: $pool)
  --only PATTERN          measures the floor and those servers that match this regular expression
  --server PROGRAM        echo-server (default: $server_program)
  --connections "N..."    for the tables of speed (default: "$speed_connections")
  --memory-connections N  for the table of memory (default: $memory_connections)
  --crowd N               that table's second part, for the floor and green (default: $crowd)
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --rounds | --seconds | --cpu | --policy | --pool | --only | --crowd) declare "${1#--}=${2:?$1 needs a value}" ;;
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

command_of() {
    case $1 in
        "C epoll"*) command=("$bench/epoll-floor") ;;
        "C thread") command=("$bench/thread-floor") ;;
        "C fork") command=("$bench/fork-floor") ;;
        *) command=("$server_program" --port 0) ;;
    esac
    case $1 in
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
    if [[ $1 == *pool ]] && (($2 > pool)); then echo "$pool"; else echo "$2"; fi
}

is_wanted() { [[ -z $only || $1 == "C epoll"* || $1 =~ $only ]]; }

fail() {
    printf 'models: %s\n' "$*" >&2
    exit 1
}

# --- The server's processes ---------------------------------------------------------------------------------------------------------

# The process and all that descend from it.
tree() {
    local file child children
    echo "$1"
    for file in /proc/"$1"/task/*/children; do
        # It may have ended meanwhile, and the list has no newline at its end.
        { read -ra children <"$file" || true; } 2>/dev/null
        for child in "${children[@]}"; do tree "$child"; done
    done
}

# CPU time in nanoseconds of all OS threads that live.  Clock ticks of 10 ms, where the kernel has nothing better.
cpu_time() {
    local -a files=()
    local pid
    if [[ -e /proc/self/schedstat ]]; then
        for pid in $(tree "$server"); do files+=("/proc/$pid/task/"*/schedstat); done
        cat "${files[@]}" | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
    else
        for pid in $(tree "$server"); do files+=("/proc/$pid/stat"); done
        cat "${files[@]}" | sed 's/.*) //' | awk -v tick="$(getconf CLK_TCK)" '{ sum += $12 + $13 } END { printf "%.0f\n", sum * 1e9 / tick }'
    fi
}

# Pss, Rss and page tables in KiB, OS threads, processes: sums over the tree.
memory() {
    local -a rollups=() status=() pids
    mapfile -t pids < <(tree "$server")
    local pid
    for pid in "${pids[@]}"; do
        rollups+=("/proc/$pid/smaps_rollup")
        status+=("/proc/$pid/status")
    done
    cat "${rollups[@]}" "${status[@]}" | awk -v processes="${#pids[@]}" '
        $1 == "Pss:" { pss += $2 }
        $1 == "Rss:" { rss += $2 }
        $1 == "VmPTE:" { tables += $2 }
        $1 == "Threads:" { threads += $2 }
        END { print pss, rss, tables, threads, processes }'
}

server=
load=
scratch=$(mktemp -d)

# On the CPU that all share, under the policy asked for.
on_cpu=(taskset -c "$cpu")
if [[ $policy == fifo ]]; then
    if chrt -f 1 true 2>/dev/null; then on_cpu=(chrt -f 1 "${on_cpu[@]}"); else policy=other; fi
fi

clean_up() {
    if [[ -n $load ]]; then kill "$load" 2>/dev/null || true; fi
    stop_server
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT TERM HUP

start_server() {
    local -a command
    local line
    command_of "$1"
    rm -f "$scratch/log"
    "${on_cpu[@]}" "${command[@]}" 2>"$scratch/log" &
    server=$!
    for ((i = 0; i < 500; i++)); do
        line=$(grep -m 1 -o 'listening on 127\.0\.0\.1:[0-9]*' "$scratch/log" 2>/dev/null) && break
        kill -0 "$server" 2>/dev/null || fail "$1 has ended: $(<"$scratch/log")"
        sleep 0.02
    done
    [[ -n $line ]] || fail "$1 does not listen"
    port=${line##*:}
    # All that is done once is done before anything is measured.
    generate --connections 1 --seconds 0.1 >"$scratch/line"
}

# TERM first; what is still there after five seconds is killed.
stop_server() {
    local -a pids
    [[ -n $server ]] || return 0
    mapfile -t pids < <(tree "$server")
    kill "$server" 2>/dev/null || true
    for ((i = 0; i < 100; i++)); do
        kill -0 "${pids[@]}" 2>/dev/null || break
        sleep 0.05
    done
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# --- Measurements -------------------------------------------------------------------------------------------------------------------

generate() { "${on_cpu[@]}" timeout 300 "$bench/echo-load" 127.0.0.1 "$port" "$@"; }

# A generator that waits for `go`, and reports in `line`.
start_generator() {
    coproc GENERATOR { exec "${on_cpu[@]}" timeout 300 "$bench/echo-load" 127.0.0.1 "$port" "$@"; }
    load=$GENERATOR_PID
    # Copies, for bash takes back its own when the coprocess ends.
    exec {answers}<&"${GENERATOR[0]}" {orders}>&"${GENERATOR[1]}"
    hear
}

hear() { read -r -t 120 line <&"$answers" || fail "the generator says nothing: $(tail -n 1 "$scratch/log")"; }

go() { echo >&"$orders"; }

end_generator() {
    go
    exec {answers}<&- {orders}>&-
    wait "$load" || fail "the generator has failed"
    load=
}

# Usage: value KEY; from `line`.
value() {
    [[ " $line" =~ \ "$1"=([0-9.]+) ]] || fail "no $1 in: $line"
    echo "${BASH_REMATCH[1]}"
}

measure_speed() {
    local server_name=$1 wanted=$2 count before after
    count=$(places "$server_name" "$wanted")
    start_generator --attended --connections "$count" --seconds "$seconds"
    before=$(cpu_time)
    go
    hear
    after=$(cpu_time)
    end_generator
    awk -v OFS=, -v round="$round" -v name="$server_name" -v wanted="$wanted" -v count="$count" \
        -v messages="$(value messages)" -v seconds="$(value seconds)" -v load="$(value cpu_seconds)" \
        -v p50="$(value p50_us)" -v p99="$(value p99_us)" -v server="$((after - before))" \
        'BEGIN { print wanted, round, "\"" name "\"", count, messages / seconds, server / 1e3 / messages,
                 load * 1e6 / messages, p50, p99, (server / 1e9 + load) / seconds }' >>"$bench/speed.csv"
}

measure_churn() {
    local count
    count=$(places "$1" 64)
    line=$(generate --mode churn --connections "$count" --seconds "$seconds") || fail "the generator has failed"
    echo "$round,\"$1\",$count,$(value messages_per_second),$(value p99_us)" >>"$bench/churn.csv"
}

measure_memory() {
    local server_name=$1 wanted=$2 count before after
    count=$(places "$server_name" "$wanted")
    before=$(memory)
    start_generator --mode hold --connections "$count"
    after=$(memory)
    end_generator
    echo "$wanted,$round,\"$server_name\",$count,${before// /,},${after// /,}" >>"$bench/memory.csv"
}

for program in "$bench"/{echo-load,epoll-floor,thread-floor,fork-floor} "$server_program"; do
    [[ -x $program ]] || fail "no $program: make bench-models builds it"
done
ulimit -n "$(ulimit -Hn)"
descriptors=$(ulimit -n)
if [[ $descriptors != unlimited ]] && ((crowd > descriptors - 100)); then crowd=$((descriptors - 100)); fi

echo wanted,round,server,connections,messages_per_second,server_us,load_us,p50_us,p99_us,busy >"$bench/speed.csv"
echo round,server,connections,connections_per_second,p99_us >"$bench/churn.csv"
states=({before,after}_{pss_kib,rss_kib,page_tables_kib,threads,processes})
(IFS=, && echo "wanted,round,server,connections,${states[*]}") >"$bench/memory.csv"

for ((round = 1; round <= rounds; round++)); do
    for name in "${servers[@]}"; do
        is_wanted "$name" || continue
        if [[ -t 2 ]]; then printf '\rround %d of %d: %-20s' "$round" "$rounds" "$name" >&2; fi
        start_server "$name"
        for wanted in $speed_connections; do measure_speed "$name" "$wanted"; done
        measure_churn "$name"
        stop_server
        # Memory hardly varies: three rounds will do.
        if ((round > 3)) || [[ $name == *again ]]; then continue; fi
        for wanted in $memory_connections $crowd; do
            if ((wanted == crowd && wanted != memory_connections)) && [[ $name != "C epoll" && $name != green ]]; then continue; fi
            start_server "$name"
            measure_memory "$name" "$wanted"
            stop_server
        done
    done
done
if [[ -t 2 ]]; then printf '\r%60s\r' '' >&2; fi

# --- Tables -------------------------------------------------------------------------------------------------------------------------

# Usage: table PROGRAM [VARIABLES...] <CSV; PROGRAM prints the rows from `cell[server, column, round]`.
table() {
    local program=$1
    shift
    tail -n +2 | sed -E 's/"([^",]*), ([^"]*)"/"\1; \2"/' | awk -F, "$@" '
        # Nth of the rounds: 0 the least, 0.5 the median, 1 the greatest; of a column, or of its ratio to the floor in the same round.
        function nth(name, column, share, floor,    i, j, count, list, value) {
            for (i = 1; i <= rounds; i++) {
                if (!((name, column, i) in cell)) continue
                value = cell[name, column, i]
                if (floor) value /= cell["C epoll", column, i]
                for (j = count++; j > 0 && list[j - 1] > value; j--) list[j] = list[j - 1]
                list[j] = value
            }
            i = (count - 1) * share
            j = int(i)
            return j == i ? list[j] : (list[j] + list[j + 1]) / 2
        }
        function median(name, column) { return nth(name, column, 0.5, 0) }
        function ratio(name, column) {
            return sprintf("%.2f (%.2f-%.2f)", nth(name, column, 0.5, 1), nth(name, column, 0, 1), nth(name, column, 1, 1))
        }
        wanted == "" || $1 == wanted {
            first = wanted == "" ? 1 : 2
            name = $(first + 1)
            gsub(/"/, "", name)
            sub(/;/, ",", name)
            if (!(name in seen)) { seen[name] = 1; names[++count] = name }
            if ($first > rounds) rounds = $first
            for (column = first + 2; column <= NF; column++) cell[name, column - first - 1, $first] = $column
        }
        END { for (row = 1; row <= count; row++) { name = names[row]; '"$program"' } }'
}

printf '%s; one CPU for server and generator, policy %s; %s rounds of %s s: medians, and in brackets the least and the greatest.\n' \
    "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)" "$policy" "$rounds" "$seconds"

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
    cat <<'END'
| server | connections | Pss KiB/connection | page tables KiB/connection | Rss KiB/connection | MiB without | MiB with | OS threads | processes |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
END
    table 'n = median(name, 1)
            printf "| %s | %d | %.2f | %.2f | %.2f | %.1f | %.1f | %d | %d |\n", name, n, (median(name, 7) - median(name, 2)) / n,
            (median(name, 9) - median(name, 4)) / n, (median(name, 8) - median(name, 3)) / n, (median(name, 2) + median(name, 4)) / 1024,
            (median(name, 7) + median(name, 9)) / 1024, median(name, 10), median(name, 11)' \
        -v wanted="$wanted" <"$bench/memory.csv"
done
