#!/usr/bin/env bash
# What the scheduler's steps cost, beside the same in Go and with greenlet and gevent.  See Benchmarks/README.md.
# Prints Markdown tables, which are in .build/bench/micro.md too; the raw rounds are in .build/bench/micro.csv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

bench=.build/bench
program=.build/release/MicroBenchmarks
before=
rounds=9
seconds=0.1
cpu=$(($(nproc) - 1))
policy=fifo

usage() {
    cat <<END
usage: Benchmarks/micro.sh [--rounds N] [--seconds S] [--cpu N] [--policy fifo|other] [--program PROGRAM] [--before PROGRAM]
  --rounds N           GreenNet, Go and gevent are measured so often, in turn; the medians count (default: $rounds)
  --seconds S          processor time of one measurement of one step, at least (default: $seconds)
  --cpu N              the one that all run on (default: the last, $cpu)
  --policy fifo|other  who runs keeps the CPU, whatever else wants it; or the usual way (default: $policy, or other where that
                       is not permitted)
  --program PROGRAM    GreenNet's (default: $program)
  --before PROGRAM     another build of it, measured beside this one; a further table compares the two
END
}

while (($#)); do
    case $1 in
        --help) usage && exit ;;
        --rounds | --seconds | --cpu | --policy | --program | --before) declare "${1#--}=${2:?$1 needs a value}" ;;
        *) usage >&2 && exit 64 ;;
    esac
    shift 2
done

# shellcheck source=Benchmarks/harness.sh
source Benchmarks/harness.sh

missing=()
declare -A command_line=([GreenNet]=$program)
find_programs() {
    local name
    [[ -x $program ]] || fail "no $program: make bench-micro builds it"
    [[ -z $before || -x $before ]] || fail "no $before"
    if [[ -n $before ]]; then command_line[before]=$before; fi
    for name in go gevent; do
        command_line[$name]=$(Benchmarks/peers/build.sh "micro-$name" 2>"$scratch/why") || missing+=("$name $(<"$scratch/why")")
    done
}

# Usage: run_steps NAME
run_steps() {
    local -a command
    read -ra command <<<"${command_line[$1]-}"
    if ((${#command[@]})); then
        "${server_on[@]}" "${command[@]}" "$seconds" | awk -F'\t' -v round="$round" -v name="$1" -v OFS=, '{ print name, round, "\"" $1 "\"", $2 }'
    fi
}

# Of the vectors that the uppercase was compiled for, the widest that this processor has, in bits.
vector_width() {
    command -v objdump >/dev/null || return 0
    objdump -d --no-show-raw-insn "$program" | awk -v flags="$(grep -m 1 -E '^(flags|Features)' /proc/cpuinfo)" '
        /^[0-9a-f]+ </ { inside = tolower($2) ~ /uppercase/ }
        inside && /%zmm/ && flags ~ /avx512bw/ { width = 512 }
        inside && /%ymm/ && flags ~ /avx2/ && width < 256 { width = 256 }
        inside && (/%xmm/ || /v[0-9]+\.16b/) && width < 128 { width = 128 }
        END { if (width) print width }'
}

# `at(WHO, STEP)` is a median in nanoseconds; `against(WHO, STEP, OTHER, OTHER STEP, TIMES)` that of the ratios in the same round.
report_steps() {
    tail -n +2 "$bench/micro.csv" | sed -E 's/"([^",]*), /"\1; /; s/"([^",;]*); ([^",;]*), /"\1; \2; /' | awk -F, -v width="$(vector_width)" -v has_before="$before" '
        function middle(list, count,    i, j, value) {
            for (i = 2; i <= count; i++) {
                value = list[i]
                for (j = i - 1; j > 0 && list[j] > value; j--) list[j + 1] = list[j]
                list[j + 1] = value
            }
            return count % 2 ? list[(count + 1) / 2] : (list[count / 2] + list[count / 2 + 1]) / 2
        }
        function at(who, step,    list, count, i) {
            for (i = 1; i <= rounds; i++) if ((who, step, i) in cell) list[++count] = cell[who, step, i]
            return count ? middle(list, count) : 0
        }
        function against(who, step, other, other_step, times,    list, count, i) {
            for (i = 1; i <= rounds; i++)
                if ((who, step, i) in cell && (other, other_step, i) in cell)
                    list[++count] = cell[who, step, i] / (times * cell[other, other_step, i])
            return count ? sprintf(other == "before" ? "%.3f" : "%.2f", middle(list, count)) : "-"
        }
        function show(value) { return value == 0 ? "-" : value < 100 ? sprintf("%.1f", value) : sprintf("%.0f", value) }
        function speed(who, step) { return at(who, step) ? sprintf("%.1f", 65536 / at(who, step)) : "-" }
        {
            gsub(/"/, "", $3)
            gsub(/;/, ",", $3)
            if (!($3 in seen)) { seen[$3] = 1; steps[++count] = $3 }
            if ($2 > rounds) rounds = $2
            cell[$1, $3, $2] = $4
        }
        END {
            print "| one | GreenNet ns | Go ns | greenlet, gevent ns | GreenNet / Go |\n| --- | ---: | ---: | ---: | ---: |"
            for (i = 1; i <= count; i++) {
                step = steps[i]
                if (step ~ /64 KiB/) continue
                printf "| %s | %s | %s | %s | %s |\n", step, show(at("GreenNet", step)), show(at("go", step)), show(at("gevent", step)),
                    against("GreenNet", step, "go", step, 1)
            }
            print "\n| 64 KiB in cache, GB/s | GreenNet | Go | Python |\n| --- | ---: | ---: | ---: |"
            split("uppercase of 64 KiB,copy of 64 KiB", bytes, ",")
            for (i = 1; i <= 2; i++)
                printf "| %s | %s | %s | %s |\n", substr(bytes[i], 1, index(bytes[i], " ") - 1), speed("GreenNet", bytes[i]),
                    speed("go", bytes[i]), speed("gevent", bytes[i])
            if (width) printf "\nGreenNet has its uppercase in vectors of %d bits.\n", width
            print "\n| ratio | is | aim: at most |\n| --- | ---: | ---: |"
            print "| yield / two bare switches | " against("GreenNet", "yield, 2 threads", "GreenNet", "bare switch", 2) " | 2.0 |"
            print "| spawn, run, join / a goroutine | " against("GreenNet", "spawn, run, join", "go", "spawn, run, join", 1) " | 0.5 |"
            print "| uppercase / memcpy | " against("GreenNet", "uppercase of 64 KiB", "GreenNet", "copy of 64 KiB", 1) " | 1.5 |"
            if (!has_before) exit
            print "\n| this build beside the one before | this ns | before ns | this / before |\n| --- | ---: | ---: | ---: |"
            for (i = 1; i <= count; i++)
                printf "| %s | %s | %s | %s |\n", steps[i], show(at("GreenNet", steps[i])), show(at("before", steps[i])), against("GreenNet", steps[i], "before", steps[i], 1)
        }'
}

report() {
    printf '%s; policy %s; medians of %s rounds.\n\n' "$(describe_machine)" "$policy" "$rounds"
    if ((${#missing[@]})); then printf 'Missing:\n\n' && printf -- '- %s\n' "${missing[@]}" && printf '\n'; fi
    report_steps
}

find_programs
use_cpus "$cpu" "$cpu"
echo who,round,step,nanoseconds >"$bench/micro.csv"
for ((round = 1; round <= rounds; round++)); do
    order="GreenNet before go gevent"
    # Of two builds, another one is first in each round.
    if ((round % 2 == 0)); then order="before GreenNet go gevent"; fi
    for name in $order; do run_steps "$name" >>"$bench/micro.csv"; done
done
report | tee "$bench/micro.md"
