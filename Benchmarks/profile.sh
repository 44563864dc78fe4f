#!/usr/bin/env bash
# Where the time of one message goes, in the C epoll floor and in green threads: perf samples each for some seconds, at each number of
# connections.  Prints a Markdown table in nanoseconds a message; `make profile` builds what it needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench=.build/bench
server_program=.build/release/echo-server
connections="64 1000"
seconds=5
cpu=$(($(nproc) - 1))
policy=fifo

usage() {
    cat <<END
usage: Benchmarks/profile.sh [--connections "N..."] [--seconds S] [--cpu N] [--policy fifo|other] [--server PROGRAM]
  --connections "N..."  (default: "$connections")
  --seconds S           sampled for each server and number of connections (default: $seconds)
  --cpu N               the one that server and generator share (default: the last, $cpu)
  --policy fifo|other   as in models.sh (default: $policy)
  --server PROGRAM      echo-server, not stripped (default: $server_program)
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --connections | --seconds | --cpu | --policy) declare "${1#--}=${2:?$1 needs a value}" ;;
        --server) server_program=${2:?} ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done

source Benchmarks/harness.sh

command_of() {
    case $1 in
        "C epoll") command=("$bench/epoll-floor") ;;
        green) command=("$server_program" --port 0) ;;
    esac
}

# Ours by what they do, as a reader would name them; the rest by the file that it lies in.
name_places() {
    awk '
        $2 ~ /kernel/ { place = "the kernel" }
        $2 !~ /kernel/ { place = $2 == "[vdso]" || $2 ~ /^libc/ ? "libc" : $2 ~ /^libev/ ? "libev" : "the rest of the program" }
        $2 !~ /kernel|libc|libev|vdso/ && $4 ~ /green_switch/ { place = "the switch" }
        $2 !~ /kernel|libc|libev|vdso/ && $4 ~ /becameReadable|Scheduler.*schedule/ { place = "callback and scheduler" }
        $2 !~ /kernel|libc|libev|vdso/ && $4 ~ /10Connection/ { place = "Connection: receive and send" }
        $2 !~ /kernel|libc|libev|vdso/ && $4 ~ /Handler|ascii_uppercase/ { place = "the handler and upper case" }
        { share[place] += $1 }
        END { for (place in share) printf "%s,%.4f\n", place, share[place] / 100 }'
}

# Usage: profile NAME CONNECTIONS; a line for each place: nanoseconds a message, place.
profile() {
    local sampler messages
    start_server "$1"
    start_generator --attended --connections "$2" --seconds "$((seconds + 1))"
    local before after
    before=$(cpu_time)
    perf record -q -e cpu-clock -F 4000 -t "$server" -o "$scratch/perf" -- sleep "$seconds" >/dev/null 2>"$scratch/perf.log" &
    sampler=$!
    go
    hear
    after=$(cpu_time)
    wait "$sampler" || fail "perf: $(<"$scratch/perf.log")"
    messages=$(value messages)
    end_generator
    stop_server
    perf report -i "$scratch/perf" --no-children --stdio -F overhead,dso,symbol 2>/dev/null | sed -n 's/^ *\([0-9.]*\)%/\1/p' | name_places |
        awk -F, -v cost="$(((after - before) / messages))" '{ printf "%.0f,%s\n", $2 * cost, $1 }'
}

command -v perf >/dev/null || fail "no perf here: apt-get install linux-perf"
use_cpus "$cpu" "$cpu"
use_all_descriptors
make_account

echo "$(describe_machine); nanoseconds a message of 64 bytes"
for count in $connections; do
    profile "C epoll" "$count" >"$scratch/floor"
    profile green "$count" >"$scratch/green"
    printf '\n| %s connections | C epoll | green |\n| --- | ---: | ---: |\n' "$count"
    awk -F, '
        NR == FNR { floor[$2] = $1; next }
        { green[$2] = $1 }
        END {
            floor["the handler and upper case"] += floor["the rest of the program"]
            delete floor["the rest of the program"]
            count = split("the kernel;libc;libev;callback and scheduler;the switch;Connection: receive and send;the handler and upper case;the rest of the program", order, ";")
            for (i = 1; i <= count; i++) printf "| %s | %d | %d |\n", order[i], floor[order[i]], green[order[i]]
        }' "$scratch/floor" "$scratch/green"
done
