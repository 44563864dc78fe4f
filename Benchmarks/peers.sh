#!/usr/bin/env bash
# Compares echo-server's models with the same service in C, Rust, C++, Go, SwiftNIO and Python.  See Benchmarks/README.md.
# Prints Markdown tables, which are in .build/bench/peers.md too; the raw rounds are in .build/bench/peers*.csv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench=.build/bench
results=$bench
server_program=.build/release/echo-server
rounds=3
seconds=1
cpu=$(($(nproc) - 1))
other_cpu=0
policy=fifo
only=
loads="64 1000 64x16 1000x16 10000 10000x16 bulk churn"
apart_loads="64 1000 64x16 bulk churn"
crowd=10000
extras="hold calls instructions"
# Servers given by --also, in order, and the commands that run them.
also=()
declare -A command_line=()

usage() {
    cat <<END
usage: Benchmarks/peers.sh [--quick] [--rounds N] [--seconds S] [--loads "LOAD..."] [--apart-loads "LOAD..."] [--extras "EXTRA..."]
                           [--crowd N] [--only PATTERN] [--also NAME=COMMAND]... [--server PROGRAM]
                           [--cpu N] [--other-cpu N] [--policy fifo|other] [--results FOLDER]
  --quick              one round of a few short loads, to see that all works
  --rounds N           each server is measured so often with each load, in turn with the others; the medians count (default: $rounds)
  --seconds S          length of one measurement (default: $seconds)
  --loads "LOAD..."    with server and generator on one CPU (default: "$loads"):
                       CONNECTIONS or CONNECTIONSxDEPTH with 64 bytes, bulk (16 x 64 KiB), churn (connect, one message, close)
  --apart-loads "..."  the same with a CPU each (default: "$apart_loads")
  --extras "EXTRA..."  measured once: hold (memory of idle connections), calls (system calls a message),
                       instructions (a message) (default: "$extras")
  --crowd N            connections of hold (default: $crowd)
  --only PATTERN       measures the floor and those servers that match this regular expression
  --also NAME=COMMAND  measures this server too; it says "listening on 127.0.0.1:PORT" on standard error, or has {port} in its arguments
  --server PROGRAM     echo-server (default: $server_program)
  --cpu N              the server's, and the one that both share (default: the last, $cpu)
  --other-cpu N        the generator's, where each has its own (default: $other_cpu)
  --policy fifo|other  who runs keeps its CPU until it waits, whatever else wants it; or the usual way (default: $policy,
                       or other where that is not permitted)
  --results FOLDER     where tables and rounds are kept (default: $results)
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --quick)
            rounds=1 seconds=0.3 loads="64 bulk churn" apart_loads=64 crowd=1000 extras="hold calls"
            shift
            continue
            ;;
        --rounds | --seconds | --cpu | --policy | --only | --crowd | --results) declare "${1#--}=${2:?$1 needs a value}" ;;
        --loads) loads=${2?} ;;
        --apart-loads) apart_loads=${2?} ;;
        --extras) extras=${2?} ;;
        --other-cpu) other_cpu=${2:?} ;;
        --server) server_program=${2:?} ;;
        --also)
            [[ ${2:?} == ?*=?* ]] || { usage >&2 && exit 64; }
            also+=("${2%%=*}")
            command_line[${2%%=*}]=${2#*=}
            ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done

# shellcheck source=Benchmarks/harness.sh
source Benchmarks/harness.sh

tell() { if [[ -t 2 ]]; then printf '\r%-79s' "$*" >&2; fi; }

# --- The servers --------------------------------------------------------------------------------------------------------------------

# In the order of the tables.  The floor comes twice: how far it is from itself is what the numbers cannot tell apart.
servers=(
    "C epoll"
    "C epoll again"
    "C epoll, 16 KiB"
    "C libev"
    "Rust tokio"
    "Boost.Asio"
    "Go net"
    "SwiftNIO"
    "Python uvloop"
    "Python gevent"
    "green"
    "C thread"
    "thread"
    "C fork"
    "process"
    "${also[@]}"
)
declare -A peers=(
    ["C libev"]=libev ["Rust tokio"]=tokio ["Boost.Asio"]=asio ["Go net"]=go ["SwiftNIO"]=nio
    ["Python uvloop"]=uvloop ["Python gevent"]=gevent
)
missing=()

is_wanted() { [[ -z $only || $1 == "C epoll"* || $1 =~ $only || " ${also[*]} " == *" $1 "* ]]; }

# Keeps those servers that are wanted and can be built.
build_peers() {
    local name wanted=()
    for name in "${servers[@]}"; do
        is_wanted "$name" || continue
        if [[ -n ${peers[$name]:-} ]]; then
            tell "building $name"
            if ! command_line[$name]=$(Benchmarks/peers/build.sh "${peers[$name]}" 2>"$scratch/why"); then
                missing+=("$name $(<"$scratch/why")")
                continue
            fi
        fi
        wanted+=("$name")
    done
    servers=("${wanted[@]}")
}

# Where the size of its buffer is its user's choice, a server has 64 KiB for bulk, and else the 16 KiB that are usual.
buffer() { if [[ $load_name == bulk ]]; then command+=(--buffer 65536); fi; }

command_of() {
    case $1 in
        "C epoll, 16 KiB") command=("$bench/epoll-floor") ;;
        "C epoll"*) command=("$bench/epoll-floor") && buffer ;;
        "C thread") command=("$bench/thread-floor") && buffer ;;
        "C fork") command=("$bench/fork-floor") && buffer ;;
        green) command=("$server_program" --port 0) ;;
        thread | process) command=("$server_program" --port 0 --model "$1") ;;
        *)
            read -ra command <<<"${command_line[$1]}"
            if [[ -n ${peers[$1]:-} ]]; then buffer; fi
            ;;
    esac
    if [[ -n $is_bare && $1 =~ ^(green|thread|process|SwiftNIO)$ ]]; then
        strip -g -o "$scratch/bare" "${command[0]}"
        command[0]=$scratch/bare
    fi
}

# Set: programs are wanted without the debug information that Swift's compiler writes, which not every valgrind can read.
is_bare=

# --- Loads --------------------------------------------------------------------------------------------------------------------------

# Usage: choose_load LOAD; sets what the generator is told, and what the table is called.
choose_load() {
    load_name=$1
    case $1 in
        bulk) options=(--connections 16 --size 65536) && title="16 connections, 64 KiB, one message in flight on each (bulk)" ;;
        churn) options=(--connections 64 --mode churn) && title="Connect, one message of 64 bytes, close; 64 at a time (churn)" ;;
        *)
            [[ $1 =~ ^([1-9][0-9]*)(x([1-9][0-9]*))?$ ]] || fail "no such load: $1"
            options=(--connections "${BASH_REMATCH[1]}" --depth "${BASH_REMATCH[3]:-1}")
            title="${BASH_REMATCH[1]} connections, 64 bytes, ${BASH_REMATCH[3]:-1} in flight on each"
            ;;
    esac
}

# Usage: measure_load SERVER
measure_load() {
    start_server "$1" || return
    measure "${options[@]}" || return
    awk -v OFS=, -v key="$arrangement:$load_name" -v round="$round" -v name="$1" -v server="$used" -v messages="$(value messages)" \
        -v seconds="$(value seconds)" -v load="$(value cpu_seconds)" -v p50="$(value p50_us)" -v p99="$(value p99_us)" '
        BEGIN { print key, round, "\"" name "\"", messages / seconds, server / 1e3 / messages, load * 1e6 / messages, p50, p99,
                      server / 1e9 / seconds, load / seconds }' >>"$results/peers.csv"
}

# Usage: try WHAT MEASUREMENT SERVER; a server that fails is out of this measurement, and named.
failures=()
try() {
    tell "$1: $3"
    "$2" "$3" || failures+=("$1: $3")
    is_bare=
    stop_generator
    stop_server
}

# Usage: run_loads ARRANGEMENT LOAD...; each round another server begins, so that nobody always has the best moment.
run_loads() {
    local arrangement=$1 turn name
    shift
    for load_name in "$@"; do
        choose_load "$load_name"
        for ((turn = 0; turn < ${#servers[@]}; turn++)); do
            name=${servers[(turn + 5 * (round - 1)) % ${#servers[@]}]}
            if [[ $name == "C epoll, 16 KiB" && $load_name != bulk ]]; then continue; fi
            try "round $round of $rounds, $arrangement, $load_name" measure_load "$name"
        done
    done
}

# --- Measured once ------------------------------------------------------------------------------------------------------------------

measure_hold() {
    start_server "$1" || return
    measure_idle "$crowd" || return
    echo "hold,1,\"$1\",$crowd,$idle" >>"$results/peers-memory.csv"
}

# Usage: all_traced PID...; whether strace has each of their OS threads.
all_traced() {
    local pid
    for pid in "$@"; do
        if grep -qs '^TracerPid:[[:space:]]0$' /proc/"$pid"/task/*/status; then return 1; fi
    done
}

# Usage: watch_messages SECONDS PROGRAM [ARGUMENT...]; runs that, with `-p PIDS` of the server, while 64 connections are served and no longer.
watch_messages() {
    local -a pids
    local watcher result=0
    start_generator --attended --connections 64 --seconds "$1" || return
    shift
    mapfile -t pids < <(tree "$server")
    "$@" -p "$(IFS=, && echo "${pids[*]}")" 2>/dev/null &
    watcher=$!
    # strace shows when it is there; perf does not.
    if [[ $1 == strace ]]; then
        until all_traced "${pids[@]}" || ! kill -0 "$watcher" 2>/dev/null; do sleep 0.02; done
    else
        sleep 0.5
    fi
    go
    hear || result=1
    # Both write their result at this; other signals just end perf.
    kill -INT "$watcher" 2>/dev/null || result=1
    wait "$watcher" || true
    end_generator && return "$result"
}

measure_calls() {
    start_server "$1" || return
    watch_messages 0.5 strace -qq -f -c -S calls -o "$scratch/calls" || return
    awk -v name="$1" -v messages="$(value messages)" '
        $1 ~ /^[0-9.]+$/ && $NF != "total" {
            all += $4
            if ($4 / messages >= 0.005) list = list sprintf("%s%s %.2f", list == "" ? "" : "; ", $NF, $4 / messages)
        }
        END { printf "calls,1,\"%s\",%.3f,%s\n", name, all / messages, list }' "$scratch/calls" >>"$results/peers-calls.csv"
}

# Where the processor counts: exactly, in the kernel too.  Else valgrind does.
measure_instructions() {
    if has_counters; then count_by_processor "$1"; else count_by_valgrind "$1"; fi
}

has_counters() { perf stat -x, -e instructions:u true 2>&1 | grep -qE '^[0-9]+,'; }

count_by_processor() {
    start_server "$1" || return
    watch_messages "$seconds" perf stat -x, -e instructions:u -e instructions:k -o "$scratch/counters" || return
    awk -F, -v name="$1" -v messages="$(value messages)" '
        $3 ~ /:u/ { user = $1 / messages }
        $3 ~ /:k/ { kernel = $1 / messages }
        END { printf "instructions,1,\"%s\",%.0f,%.0f\n", name, user, kernel }' "$scratch/counters" >>"$results/peers-instructions.csv"
}

# The difference of two runs: what starting and ending costs is in both.
count_by_valgrind() {
    local less few
    run_in_valgrind "$1" 0.1 || return
    less=$instructions
    few=$(value messages)
    run_in_valgrind "$1" 2 || return
    echo "instructions,1,\"$1\",$(((instructions - less) / ($(value messages) - few))),0" >>"$results/peers-instructions.csv"
}

# Usage: run_in_valgrind SERVER SECONDS; leaves `instructions`, from start to end, and `line`.
run_in_valgrind() {
    rm -f "$scratch"/valgrind.*
    is_bare=yes
    start_server "$1" valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --log-file="$scratch/valgrind.%p" || return
    is_bare=
    line=$(generate --connections 64 --seconds "$2") || return
    stop_server
    # One that had to be killed has written nothing.
    instructions=$(awk '/I +refs:/ { gsub(",", "", $NF); sum += $NF; told++ }
        END { if (told != ARGC - 1) exit 1; printf "%.0f\n", sum }' "$scratch"/valgrind.*)
}

# Usage: run_extra EXTRA
run_extra() {
    local name
    for name in "${servers[@]}"; do
        if [[ $name == "C epoll, 16 KiB" || $name == *again ]]; then continue; fi
        try "$1" "measure_$1" "$name"
    done
}

# What a measurement needs and can't be installed, is named, and the measurement left out.
drop_extra() {
    missing+=("$1: $(tail -n 1 "$scratch/why")")
    extras=${extras//$1/}
}

install_tools() {
    if [[ $extras == *calls* ]]; then Scripts/setup.sh strace >"$scratch/why" 2>&1 || drop_extra calls; fi
    if [[ $extras == *instructions* ]] && ! has_counters; then
        Scripts/setup.sh valgrind binutils >"$scratch/why" 2>&1 || drop_extra instructions
    fi
}

# --- Tables -------------------------------------------------------------------------------------------------------------------------

# Medians of the ratio to the floor: a column for each load.
summary() {
    local load_name
    printf '| server |'
    printf ' %s |' "$@"
    printf '\n| --- |'
    for load_name in "$@"; do printf ' ---: |'; done
    printf '\n'
    for load_name in "$@"; do
        table 'printf "%s|%s|%.2f\n", wanted, name, nth(name, 2, 0.5, "C epoll")' -v wanted="$arrangement:$load_name" <"$results/peers.csv"
    done | awk -F'|' -v loads="$*" -v arrangement="$arrangement" '
        { cell[$1, $2] = $3; if (!($2 in seen)) { seen[$2] = 1; names[++count] = $2 } }
        END {
            columns = split(loads, list, " ")
            for (row = 1; row <= count; row++) {
                printf "| %s |", names[row]
                for (i = 1; i <= columns; i++) {
                    key = arrangement ":" list[i]
                    printf " %s |", (key, names[row]) in cell ? cell[key, names[row]] : "-"
                }
                printf "\n"
            }
        }'
}

load_table() {
    choose_load "$1"
    printf '\n### %s\n\n' "$title"
    cat <<'END'
| server | messages/s | server CPU us/message | x floor | p50 us | p99 us | server busy | generator busy |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
END
    table 'busier = arrangement == "apart" && median(name, 6) < 0.97 && median(name, 7) > median(name, 6)
            printf "| %s | %s%.0f | %.2f | %s | %.0f | %.0f | %.0f %% | %.0f %% |\n", name, busier ? "at least " : "", median(name, 1),
            median(name, 2), ratio(name, 2), median(name, 4), median(name, 5), 100 * median(name, 6), 100 * median(name, 7)' \
        -v wanted="$arrangement:$1" -v arrangement="$arrangement" <"$results/peers.csv"
}

# Usage: arrangement_tables ARRANGEMENT HEADING LOAD...
arrangement_tables() {
    local arrangement=$1 load_name
    printf '\n## %s\n\n' "$2"
    shift 2
    printf 'CPU time a message against the C epoll floor in the same round, medians:\n\n'
    summary "$@"
    for load_name in "$@"; do load_table "$load_name"; done
}

# A server that has used up its CPU is the bottleneck, however busy the generator was.
generator_verdict() {
    awk -F, '$1 ~ /^apart:/ { rows++; fine += $(NF - 1) >= 0.97 || $NF <= $(NF - 1); if ($NF > most) most = $NF }
        END {
            printf "\nIn %d of %d measurements the server had used up its CPU, or was busier than the generator, which was never busier than %.0f %%. ", fine, rows, 100 * most
            print "In the others the generator was the bottleneck, and the table says \"at least\"."
        }' "$results/peers.csv"
}

calls_table() {
    printf '\n## System calls a message\n\n64 connections, 64 bytes, one in flight on each; counted by strace, in a run of its own.\n\n'
    printf '| server | calls | of these |\n| --- | ---: | --- |\n'
    table 'printf "| %s | %.2f | %s |\n", name, cell[name, 1, 1], cell[name, 2, 1]' -v wanted=calls <"$results/peers-calls.csv"
}

instructions_table() {
    printf '\n## Instructions a message\n\n64 connections, 64 bytes, one in flight on each; counted in runs of their own, by the processor or else by valgrind.\n\n'
    printf '| server | in user space | in the kernel |\n| --- | ---: | ---: |\n'
    table 'printf "| %s | %d | %s |\n", name, cell[name, 1, 1], cell[name, 2, 1] ? cell[name, 2, 1] : "-"' \
        -v wanted=instructions <"$results/peers-instructions.csv"
}

report() {
    printf '%s; policy %s; %s rounds of %s s: medians, and in brackets the least and the greatest.\n' \
        "$(describe_machine)" "$policy" "$rounds" "$seconds"
    if [[ -z $account ]]; then printf '\nNo control group here: CPU time of processes that have ended may be missing (churn).\n'; fi
    if ((${#missing[@]})); then printf '\nMissing:\n\n' && printf -- '- %s\n' "${missing[@]}"; fi
    if ((${#failures[@]})); then printf '\nFailed:\n\n' && printf -- '- %s\n' "${failures[@]}"; fi
    # shellcheck disable=SC2086
    if [[ -n $loads ]]; then arrangement_tables shared "Server and generator on one CPU" $loads; fi
    # shellcheck disable=SC2086
    if [[ -n $apart_loads ]]; then arrangement_tables apart "A CPU each" $apart_loads && generator_verdict; fi
    if [[ $extras == *hold* ]]; then printf '\n## Memory of %s idle connections\n\n' "$crowd" && memory_table hold <"$results/peers-memory.csv"; fi
    if [[ $extras == *calls* ]]; then calls_table; fi
    if [[ $extras == *instructions* ]]; then instructions_table; fi
}

# --- All of it ----------------------------------------------------------------------------------------------------------------------

for program in "$bench"/{echo-load,epoll-floor,thread-floor,fork-floor} "$server_program"; do
    [[ -x $program ]] || fail "no $program: make bench-peers builds it"
done
for load_name in $loads $apart_loads; do choose_load "$load_name"; done
for extra in $extras; do [[ $extra =~ ^(hold|calls|instructions)$ ]] || fail "no such extra: $extra"; done
use_all_descriptors
if ((crowd > descriptors - 100)); then crowd=$((descriptors - 100)); fi
if (($(nproc) < 2)); then apart_loads=; fi
use_cpus "$cpu" "$cpu"
make_account
build_peers
install_tools

mkdir -p "$results"
echo wanted,round,server,messages_per_second,server_us,generator_us,p50_us,p99_us,server_busy,generator_busy >"$results/peers.csv"
echo "wanted,round,server,connections,$idle_columns" >"$results/peers-memory.csv"
echo wanted,round,server,calls,list >"$results/peers-calls.csv"
echo wanted,round,server,user,kernel >"$results/peers-instructions.csv"

for ((round = 1; round <= rounds; round++)); do
    use_cpus "$cpu" "$cpu"
    # shellcheck disable=SC2086
    run_loads shared $loads
    use_cpus "$cpu" "$other_cpu"
    # shellcheck disable=SC2086
    run_loads apart $apart_loads
done
use_cpus "$cpu" "$cpu"
load_name=
for extra in $extras; do run_extra "$extra"; done
tell ""
report | tee "$results/peers.md"
