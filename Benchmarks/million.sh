#!/usr/bin/env bash
# A million green threads parked at once, then a million connections open at once.  See Benchmarks/README.md.
# Says first what the machine lacks for it, and does as many as it can bear.  `make bench-million` builds what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

programs=.build/release
wanted=1000000
reserve=5120
ramp=
hold=20
only=

usage() {
    cat <<END
usage: Benchmarks/million.sh [--count N] [--reserve MIB] [--ramp S] [--hold S] [--only threads|connections]
  --count N    green threads, and then connections (default: $wanted)
  --reserve N  MiB of memory to leave to others: with less, nothing more is begun (default: $reserve)
  --ramp S     seconds in which the connections are opened, at least (default: one for each 10,000)
  --hold S     seconds for which all of them stay open, with nothing to do (default: $hold)
END
}

arguments=("$@")
while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --reserve | --ramp | --hold | --only) declare "${1#--}=${2:?$1 needs a value}" ;;
        --count) wanted=${2:?} ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done
: "${ramp:=$((wanted / 10000))}"

fail() {
    printf 'million: %s\n' "$*" >&2
    exit 1
}

# --- A network of its own -----------------------------------------------------------------------------------------------------------

# There the range of ports and the queues of listeners can be set without anybody else noticing, no filter looks at the packets, and what
# is left in TIME_WAIT goes with it.
if [[ -z ${MILLION_NETWORK-} && $only != threads ]]; then
    # Not to be seen from inside.
    MILLION_TCP_MEMORY=$(tr '\t' ' ' </proc/sys/net/ipv4/tcp_mem)
    export MILLION_TCP_MEMORY
    if unshare --net ip link set lo up 2>/dev/null; then
        exec unshare --net env MILLION_NETWORK=own "$PWD/Benchmarks/million.sh" "${arguments[@]}"
    fi
    export MILLION_NETWORK=shared
fi

prepare_network() {
    [[ ${MILLION_NETWORK-} == own ]] || return 0
    ip link set lo up
    echo 1024 65535 >/proc/sys/net/ipv4/ip_local_port_range
    echo 8192 >/proc/sys/net/core/somaxconn
}

# --- What the machine has -----------------------------------------------------------------------------------------------------------

# What one takes, in KiB, generously: a green thread; a connection with both its ends, the kernel's part included.
thread_cost=5
connection_cost=15
# A process of the server or of the client, in MiB.
process_cost=8
descriptor_slack=400
ports_per_source=10000

setting() { cat "/proc/sys/$1"; }
# What can still be given to anybody.  MemAvailable takes a part of the slabs for reclaimable, which here are sockets.
available_mib() { awk '/^(MemFree|Active\(file\)|Inactive\(file\)):/ { sum += $2 } END { print int(sum / 1024) }' /proc/meminfo; }

threads=$wanted
connections=$wanted

# Usage: scale threads|connections N WHY; to N at most.
scale() {
    declare -n number=$1
    ((number > $2)) || return 0
    number=$(($2 < 0 ? 0 : $2))
    printf -- '- **%s scaled down to %s**: %s\n' "$1" "$number" "$3"
}

# Usage: tell NAME VALUE NOTE
tell() { printf -- '- %s: %s%s\n' "$1" "$2" "${3:+ ($3)}"; }

look_at_memory() {
    local free
    free=$(($(available_mib) - reserve))
    tell "memory" "$(available_mib) MiB available" "$reserve of them stay free"
    scale threads $((free * 1024 / thread_cost)) "each takes $thread_cost KiB"
    scale connections $(((free - 2 * process_cost * (connections / places + 1)) * 1024 / connection_cost)) "each takes $connection_cost KiB, the kernel's part included"
}

look_at_descriptors() {
    ulimit -n "$(ulimit -Hn)"
    local limit open
    limit=$(ulimit -n)
    if [[ $limit == unlimited ]]; then limit=$(setting fs/nr_open); fi
    # The kernel spreads by a hash of the addresses: some processes get more than others.
    places=$(((limit - descriptor_slack) * 94 / 100))
    ((places >= 100)) || fail "$limit descriptors a process are too few"
    tell "descriptors a process" "$limit" "fs.nr_open $(setting fs/nr_open)"
    open=$(($(awk '{ print $3 - $1 }' /proc/sys/fs/file-nr) - 10000))
    tell "descriptors of the whole machine" "$open left" "fs.file-max"
    scale connections $((open / 2)) "each takes two descriptors"
}

look_at_mappings() {
    local most release
    most=$(setting vm/max_map_count)
    release=$(uname -r)
    tell "vm.max_map_count" "$most"
    # Without guards by madvise each stack has two mappings.
    if [[ $(printf '6.13\n%s\n' "$release" | sort -V | head -n 1) != 6.13 ]]; then
        scale threads $((most / 2 - 500)) "before Linux 6.13 a guarded stack takes two mappings"
        places=$((places < most / 2 - 500 ? places : most / 2 - 500))
    fi
    # shellcheck disable=SC2154
    if [[ $(setting vm/overcommit_memory) == 2 ]]; then
        tell "vm.overcommit_memory" 2 "address space is promised sparingly: green threads may find none"
    fi
}

look_at_network() {
    local low high
    read -r low high <"/proc/sys/net/ipv4/ip_local_port_range"
    if [[ $MILLION_NETWORK == own ]]; then
        tell "network" "a namespace of its own" "ports $low to $high, listeners' queues of $(setting net/core/somaxconn)"
    else
        tell "network" "the machine's" "no right to make one of its own; ports $low to $high, listeners' queues of $(setting net/core/somaxconn)"
        # An address has fewer than this many ports, half of which are quickly found.
        ports_per_source=$(((high - low) / 3))
        if [[ -e /proc/sys/net/netfilter/nf_conntrack_max ]]; then
            scale connections $(($(setting net/netfilter/nf_conntrack_max) * 9 / 10)) "net.netfilter.nf_conntrack_max"
        fi
    fi
    # It counts what is queued, and here nearly nothing ever is.
    tell "net.ipv4.tcp_mem" "${MILLION_TCP_MEMORY-unknown} pages" "idle connections need none of it"
}

look_at_processes() {
    local limit
    limit=$(ulimit -u)
    [[ $limit != unlimited ]] || return 0
    scale connections $(((limit - 200) * places / 4)) "only $limit processes are permitted"
}

# --- Processes ----------------------------------------------------------------------------------------------------------------------

server=
client=
scratch=$(mktemp -d)

clean_up() {
    if [[ -n $client ]]; then kill -KILL "$client" 2>/dev/null || true; fi
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
    local children
    read -ra children <"/proc/$1/task/$1/children" || true
    echo "$1" "${children[@]}"
}

# Rss, Pss and page tables of a family in KiB, on one line.
memory_of() {
    local -a files=()
    local pid
    for pid in $(family "$1"); do files+=("/proc/$pid/smaps_rollup" "/proc/$pid/status"); done
    cat "${files[@]}" 2>/dev/null | awk '
        $1 == "Rss:" { rss += $2 }
        $1 == "Pss:" { pss += $2 }
        $1 == "VmPTE:" { tables += $2 }
        END { print rss, pss, tables }'
}

# The kernel's own, in KiB: slabs, of which sockets are made.
slab() { awk '$1 == "Slab:" { print $2 }' /proc/meminfo; }

# How many connections the server has, says its admin page.
open_connections() {
    local page line
    exec {page}<>"/dev/tcp/127.0.0.1/$admin"
    printf 'GET /metrics HTTP/1.0\r\n\r\n' >&"$page"
    while read -r -t 5 line <&"$page"; do
        if [[ $line == 'echo_server_connections{state="open"}'* ]]; then echo "${line##* }"; fi
    done
    exec {page}>&-
}

# Usage: address_after WORDS; the port in the log's line with these words.
address_after() {
    local line i
    for ((i = 0; i < 600; i++)); do
        line=$(grep -m 1 -o "${1}127\.0\.0\.1:[0-9]*" "$scratch/log" 2>/dev/null) && break
        kill -0 "$server" 2>/dev/null || fail "the server has ended: $(<"$scratch/log")"
        sleep 0.1
    done
    [[ -n $line ]] || fail "the server does not listen"
    echo "${line##*:}"
}

start_server() {
    "${with_us[@]}" "$programs/echo-server" --port 0 --admin 127.0.0.1:0 --processes "$processes" --log-format text --drain-timeout 5 2>"$scratch/log" &
    server=$!
    port=$(address_after 'listening on ')
    admin=$(address_after 'admin on http://')
}

stop_server() {
    local -a pids
    [[ -n $server ]] || return 0
    read -ra pids < <(family "$server")
    kill "$server" 2>/dev/null || true
    for ((i = 0; i < 300; i++)); do
        kill -0 "$server" 2>/dev/null || break
        sleep 0.1
    done
    kill -KILL "${pids[@]}" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

# --- Green threads ------------------------------------------------------------------------------------------------------------------

# Usage: value KEY; from `line`.
value() {
    [[ " $line" =~ \ "$1"=([0-9]+) ]] || fail "no $1 in: $line"
    echo "${BASH_REMATCH[1]}"
}

park_threads() {
    printf '\n### %s green threads parked in one process\n\n' "$threads"
    line=$("$programs/ParkedThreads" "$threads" $((reserve * 1024)))
    (($(value threads) == threads)) || printf 'Stopped at %s green threads: less than %s MiB were left.\n\n' "$(value threads)" "$reserve"
    awk -v n="$(value threads)" -v rss="$(value resident_kib)" -v tables="$(value page_tables_kib)" -v mappings="$(value mappings)" \
        -v spawn="$(value spawn_ms)" -v spawn_cpu="$(value spawn_cpu_ms)" -v end="$(value end_ms)" -v end_cpu="$(value end_cpu_ms)" 'BEGIN {
            print "| what | all | each |"
            print "| --- | ---: | ---: |"
            printf "| resident memory | %.0f MiB | %.2f KiB |\n", rss / 1024, rss / n
            printf "| page tables | %.0f MiB | %.2f KiB |\n", tables / 1024, tables / n
            printf "| mappings | %d | |\n", mappings
            printf "| time to spawn and park | %.2f s, of CPU time %.2f s | %.2f us of CPU time |\n", spawn / 1000, spawn_cpu / 1000, spawn_cpu * 1000 / n
            printf "| time to wake and end | %.2f s, of CPU time %.2f s | %.2f us of CPU time |\n", end / 1000, end_cpu / 1000, end_cpu * 1000 / n
        }'
}

# --- Connections --------------------------------------------------------------------------------------------------------------------

# As many addresses of the loopback as have ports for all.
sources() {
    local count=$(((connections + ports_per_source - 1) / ports_per_source)) i list=
    for ((i = 0; i < count; i++)); do list+=,127.0.$((i / 250)).$((i % 250 + 1)); done
    echo "${list#,}"
}

start_client() {
    "${with_us[@]}" "$programs/echo-client" load 127.0.0.1 "$port" --mode hold --connections "$connections" --processes "$processes" \
        --source "$(sources)" --ramp "$ramp" --duration "$hold" --timeout 60 --json >"$scratch/report" 2>"$scratch/complaints" &
    client=$!
    opening=$EPOCHREALTIME
}

since() { awk -v from="$1" -v to="$EPOCHREALTIME" 'BEGIN { printf "%.1f", to - from }'; }

# Until all are open, or no more can be.
watch_opening() {
    local now last=0 stalled=0
    while now=$(open_connections); ((now < connections)); do
        kill -0 "$client" 2>/dev/null || fail "the client has ended: $(<"$scratch/complaints")"
        if [[ -t 2 ]]; then printf '\r%s open, %s MiB available ' "$now" "$(available_mib)" >&2; fi
        if (($(available_mib) < reserve)); then
            printf 'Stopped after %s connections: less than %s MiB were left.\n\n' "$now" "$reserve"
            kill "$client"
            sleep 1
            break
        fi
        if ((now > last)); then stalled=0; else stalled=$((stalled + 1)); fi
        ((stalled < 300)) || fail "no more than $now connections can be opened: $(tail -n 3 "$scratch/log")"
        last=$now
        sleep 0.2
    done
    opened=$(open_connections)
    open_seconds=$(since "$opening")
    if [[ -t 2 ]]; then printf '\r%60s\r' '' >&2; fi
}

# What a client among others sees meanwhile.
ask_meanwhile() {
    "$programs/echo-client" load 127.0.0.1 "$port" --connections 50 --rate 1000 --duration 5 --timeout 60 \
        --source 127.0.100.1 --json >"$scratch/meanwhile" || fail "$(<"$scratch/meanwhile")"
}

# Usage: from_json FILE FIELD...; a number.  Of an object in the object, give both names.
from_json() {
    local text
    text=$(<"$scratch/$1")
    if (($# > 2)); then text=${text#*\""$2"\":}; fi
    [[ $text =~ \"${!#}\":\ ?([0-9.]+) ]] || fail "no ${!#} in: $(<"$scratch/$1")"
    echo "${BASH_REMATCH[1]}"
}

hold_connections() {
    local slab_before slab_after server_before server_after client_after answered
    processes=$(((connections + places - 1) / places))
    printf '\n### %s connections, %s processes on each side\n\n' "$connections" "$processes"
    start_server
    # All that is done once is done before anything is measured.
    "$programs/echo-client" load 127.0.0.1 "$port" --connections $((processes * 4)) --messages $((processes * 8)) --json >"$scratch/first"
    server_before=$(memory_of "$server") slab_before=$(slab)
    start_client
    watch_opening
    ((opened > 0)) || fail "no connection was opened: $(<"$scratch/complaints")"
    server_after=$(memory_of "$server") client_after=$(memory_of "$client") slab_after=$(slab)
    available_mib >"$scratch/left"
    sockets=$(awk '$1 == "TCP:" { print $3 " in use, " $11 " pages of buffers" }' /proc/self/net/sockstat)
    ask_meanwhile
    wait "$client" || (($? == 143)) || fail "$(<"$scratch/complaints") $(<"$scratch/report")"
    client=
    answered=$(from_json report messages)
    report "$answered" "$server_before $server_after" "$client_after" "$slab_before" "$slab_after"
    stop_server
}

# Usage: report ANSWERED SERVER CLIENT SLAB-BEFORE SLAB-AFTER; memory as `memory_of` has it, before and after.
report() {
    awk -v n="$opened" -v answered="$1" -v server="$2" -v client="$3" -v slab="$(($5 - $4))" -v seconds="$open_seconds" \
        -v all50="$(from_json report latency_us p50)" -v all99="$(from_json report latency_us p99)" -v left="$(<"$scratch/left")" \
        -v few50="$(from_json meanwhile latency_us p50)" -v few99="$(from_json meanwhile latency_us p99)" -v sockets="$sockets" 'BEGIN {
            split(server, s, " ")
            split(client, c, " ")
            print "| what | all | each |"
            print "| --- | ---: | ---: |"
            row("server: resident memory", s[5] - s[2])
            row("server: page tables", s[6] - s[3])
            row("client, all of it: resident memory", c[2])
            row("client, all of it: page tables", c[3])
            row("kernel: slabs, for both ends", slab)
            printf "| memory left | %d MiB | |\n", left
            printf "| sockets | %s | |\n", sockets
            printf "| time to open | %.1f s | %.0f us |\n", seconds, seconds * 1e6 / n
            printf "| answered once more, 64 at a time | %d | p50 %.2f ms, p99 %.2f ms |\n", answered, all50 / 1000, all99 / 1000
            printf "| 50 more clients, 1,000 messages a second | 5 s | p50 %.2f ms, p99 %.2f ms |\n", few50 / 1000, few99 / 1000
        }
        function row(what, kib) { printf "| %s | %.0f MiB | %.2f KiB |\n", what, kib / 1024, kib / n }'
}

# ------------------------------------------------------------------------------------------------------------------------------------

for program in echo-server echo-client ParkedThreads; do
    [[ -x $programs/$program ]] || fail "no $programs/$program: make bench-million builds it"
done
prepare_network
printf '%s, Linux %s, %s CPUs\n\n' "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" "$(nproc)"
look_at_descriptors
look_at_mappings
if [[ $only != threads ]]; then
    look_at_processes
    look_at_network
fi
look_at_memory
if [[ $only != connections ]] && ((threads > 0)); then park_threads; fi
if [[ $only != threads ]] && ((connections > 0)); then hold_connections; fi
