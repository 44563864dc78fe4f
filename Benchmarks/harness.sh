# What models.sh and peers.sh share: a server, a generator, what the kernel says of both, and tables of it.  To be sourced.
#
# Whoever sources it sets `bench` (where programs and results lie) and `policy`, defines `command_of NAME`, which sets `command`, and
# calls `use_cpus`.  A server is any command that says `listening on 127.0.0.1:PORT` on standard error, or has {port} where it is
# told one.  Ends only what it started.
# shellcheck shell=bash disable=SC2034,SC2154

server=
load=
scratch=$(mktemp -d)

complain() { printf '%s: %s\n' "$(basename "$0" .sh)" "$*" >&2; }

fail() {
    complain "$@"
    exit 1
}

clean_up() {
    stop_generator
    stop_server
    if [[ -n $account ]]; then rmdir "$account" || true; fi
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# What ends with this script, also where SIGKILL ends it.
with_us=()
if command -v setpriv >/dev/null; then with_us=(setpriv --pdeathsig KILL); fi

# Usage: use_cpus SERVER GENERATOR; on these CPUs, under the policy asked for.
use_cpus() {
    server_on=(taskset -c "$1")
    generator_on=(taskset -c "$2")
    if [[ $policy == fifo ]]; then
        if chrt -f 1 true 2>/dev/null; then
            server_on=(chrt -f 1 "${server_on[@]}")
            generator_on=(chrt -f 1 "${generator_on[@]}")
        else
            policy=other
        fi
    fi
}

use_all_descriptors() {
    ulimit -n "$(ulimit -Hn)"
    descriptors=$(ulimit -n)
    if [[ $descriptors == unlimited ]]; then descriptors=1000000; fi
}

describe_machine() { echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), Linux $(uname -r)"; }

# --- The server's processes ---------------------------------------------------------------------------------------------------------

# A control group of its own, where that is permitted: it also counts what processes used that have ended.
account=
make_account() {
    local mount
    mount=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
    [[ -n $mount ]] && mkdir "$mount/green-bench-$$" 2>/dev/null || return 0
    account=$mount/green-bench-$$
    # A process must be let in, and have the policy asked for there.
    if ! (echo "$BASHPID" >"$account/cgroup.procs" && "${server_on[@]}" true && grep -q usage_usec "$account/cpu.stat") 2>/dev/null; then
        rmdir "$account"
        account=
    fi
}

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

# The server's CPU time in nanoseconds.  Without a control group, that of the OS threads that live, and of children that it waited for;
# in clock ticks of 10 ms, where the kernel has nothing better.
cpu_time() {
    local -a threads=() processes=()
    local pid
    if [[ -n $account ]]; then
        awk '$1 == "usage_usec" { print $2 "000" }' "$account/cpu.stat"
        return
    fi
    for pid in $(tree "$server"); do
        processes+=("/proc/$pid/stat")
        threads+=("/proc/$pid/task/"*/schedstat)
    done
    {
        cat "${processes[@]}" | sed 's/.*) //'
        if [[ -e /proc/self/schedstat ]]; then cat "${threads[@]}"; fi
    } | awk -v tick="$(getconf CLK_TCK)" '
        NF > 3 { living += $12 + $13; ended += $14 + $15 }
        NF == 3 { exact += $1 }
        END { printf "%.0f\n", (exact ? exact : living * 1e9 / tick) + ended * 1e9 / tick }'
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

# A port that nobody listens on, for a server that wants to be told one.
free_port() {
    local candidate
    while candidate=$((20000 + RANDOM % 10000)); do
        if ! (: <"/dev/tcp/127.0.0.1/$candidate") 2>/dev/null; then echo "$candidate" && return; fi
    done
}

# Whether the server listens; then `port` says where.
listens() {
    local said
    if [[ -n $told_port ]]; then
        port=$told_port
        (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null
        return
    fi
    # Whole lines only: not every language writes one at once.
    while read -r said; do
        if [[ $said =~ listening\ on\ 127\.0\.0\.1:([0-9]+) ]]; then
            port=${BASH_REMATCH[1]}
            return
        fi
    done <"$scratch/log"
    return 1
}

# Usage: start_server NAME [WRAPPER...]
start_server() {
    local name=$1 told_port=
    local -a command
    shift
    command_of "$name"
    if [[ ${command[*]} == *'{port}'* ]]; then told_port=$(free_port); fi
    command=("${command[@]//'{port}'/$told_port}")
    : >"$scratch/log"
    {
        if [[ -n $account ]]; then echo "$BASHPID" >"$account/cgroup.procs"; fi
        exec "${with_us[@]}" "${server_on[@]}" "$@" "${command[@]}"
    } 2>"$scratch/log" >&2 &
    server=$!
    for ((i = 0; i < 1500; i++)); do
        if listens; then break; fi
        kill -0 "$server" 2>/dev/null || { complain "$name has ended: $(<"$scratch/log")" && return 1; }
        sleep 0.02
    done
    ((i < 1500)) || { complain "$name does not listen" && return 1; }
    # All that is done once is done before anything is measured.
    generate --connections 1 --seconds 0.1 >"$scratch/line"
}

# TERM first; what is still there after five seconds is killed.
stop_server() {
    local -a pids
    [[ -n $server ]] || return 0
    mapfile -t pids < <(tree "$server")
    kill "$server" 2>/dev/null || true
    for ((i = 0; i < 250; i++)); do
        kill -0 "${pids[@]}" 2>/dev/null || break
        sleep 0.02
    done
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# --- The generator ------------------------------------------------------------------------------------------------------------------

generate() { "${generator_on[@]}" timeout 300 "$bench/echo-load" 127.0.0.1 "$port" "$@"; }

# A generator that waits for `go`, and reports in `line`.
start_generator() {
    coproc GENERATOR { exec "${with_us[@]}" "${generator_on[@]}" timeout 300 "$bench/echo-load" 127.0.0.1 "$port" "$@"; }
    load=$GENERATOR_PID
    # Copies, for bash takes back its own when the coprocess ends.
    exec {answers}<&"${GENERATOR[0]}" {orders}>&"${GENERATOR[1]}"
    hear
}

hear() { read -r -t 120 line <&"$answers" || { complain "the generator says nothing: $(tail -n 1 "$scratch/log")" && return 1; }; }

go() { echo >&"$orders"; }

end_generator() {
    go
    exec {answers}<&- {orders}>&-
    wait "$load" || { load= && complain "the generator has failed" && return 1; }
    load=
}

# Where a measurement was broken off.
stop_generator() {
    [[ -n $load ]] || return 0
    exec {answers}<&- {orders}>&-
    kill "$load" 2>/dev/null || true
    wait "$load" 2>/dev/null || true
    load=
}

# Usage: value KEY; from `line`.
value() {
    [[ " $line" =~ \ "$1"=([0-9.]+) ]] || fail "no $1 in: $line"
    echo "${BASH_REMATCH[1]}"
}

# --- Measurements: each returns 1 where server or generator fails -------------------------------------------------------------------

# Usage: measure [OPTION OF echo-load...]; leaves what the generator says in `line`, and the server's CPU time meanwhile in `used`, ns.
measure() {
    local before
    start_generator --attended --seconds "$seconds" "$@" || return
    before=$(cpu_time)
    go
    hear || return
    used=$(($(cpu_time) - before))
    end_generator
}

# Usage: measure_idle CONNECTIONS; leaves in `idle` what `memory` says without and with them, separated by commas.
measure_idle() {
    local before after
    before=$(memory)
    start_generator --mode hold --connections "$1" || return
    after=$(memory)
    end_generator || return
    idle=${before// /,},${after// /,}
}
idle_columns=before_pss_kib,before_rss_kib,before_page_tables_kib,before_threads,before_processes
idle_columns+=,after_pss_kib,after_rss_kib,after_page_tables_kib,after_threads,after_processes

# --- Tables -------------------------------------------------------------------------------------------------------------------------

# Usage: table PROGRAM [VARIABLES...] <CSV; PROGRAM prints the rows from `cell[server, column, round]`.
table() {
    local program=$1
    shift
    tail -n +2 | sed -E 's/"([^",]*), ([^"]*)"/"\1; \2"/' | awk -F, "$@" '
        # Nth of the rounds: 0 the least, 0.5 the median, 1 the greatest; of a column, or of its ratio to that of server `base` in the same round.
        function nth(name, column, share, base,    i, j, count, list, value) {
            for (i = 1; i <= rounds; i++) {
                if (!((name, column, i) in cell)) continue
                value = cell[name, column, i]
                if (base) {
                    if (!cell[base, column, i]) continue
                    value /= cell[base, column, i]
                }
                for (j = count++; j > 0 && list[j - 1] > value; j--) list[j] = list[j - 1]
                list[j] = value
            }
            i = (count - 1) * share
            j = int(i)
            return j == i ? list[j] : (list[j] + list[j + 1]) / 2
        }
        function median(name, column) { return nth(name, column, 0.5, 0) }
        function against(name, column, base) {
            return sprintf("%.2f (%.2f-%.2f)", nth(name, column, 0.5, base), nth(name, column, 0, base), nth(name, column, 1, base))
        }
        function ratio(name, column) { return against(name, column, "C epoll") }
        # A row of the comparison with the build before, where `name` was measured in both.
        function compare(name, figure, column,    base) {
            base = name == "C epoll again" ? "C epoll" : name " before"
            if (base in seen)
                printf "| %s | %s | %.2f | %.2f | %.3f (%.2f-%.2f) |\n", name, figure, median(name, column), median(base, column),
                    nth(name, column, 0.5, base), nth(name, column, 0, base), nth(name, column, 1, base)
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

# The table of memory, from what `measure_idle` left: wanted,round,server,connections,idle.
memory_table() {
    cat <<'END_OF_HEAD'
| server | connections | Pss KiB/connection | page tables KiB/connection | Rss KiB/connection | MiB without | MiB with | OS threads | processes |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
END_OF_HEAD
    table 'n = median(name, 1)
            printf "| %s | %d | %.2f | %.2f | %.2f | %.1f | %.1f | %d | %d |\n", name, n, (median(name, 7) - median(name, 2)) / n,
            (median(name, 9) - median(name, 4)) / n, (median(name, 8) - median(name, 3)) / n, (median(name, 2) + median(name, 4)) / 1024,
            (median(name, 7) + median(name, 9)) / 1024, median(name, 10), median(name, 11)' \
        -v wanted="$1"
}
