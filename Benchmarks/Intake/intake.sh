#!/usr/bin/env bash
# Compares TaskIntake, with its own client and with hiredis, with the same worker on redis-py and gevent: tasks a second, each with two lines of output, in turns.
# Usage: intake.sh ROUNDS TASKS PYTHON   (a Python that has redis and gevent)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

rounds=$1 tasks=$2 python=$3
port=36380
declare -A workers=(
    [own]=".build/release/TaskIntake 127.0.0.1 $port own"
    [hiredis]=".build/release/TaskIntake 127.0.0.1 $port hiredis"
    [gevent]="$python Benchmarks/Intake/worker.py 127.0.0.1 $port"
)
fill="for i = 1, tonumber(ARGV[1]) do redis.call('XADD', 'tasks', '*', 'job', i, 'seconds', '0') end"

"$python" -c 'import gevent, redis' || {
    echo "bench-intake needs a Python with redis and gevent: python3 -m venv V; V/bin/pip install redis gevent; make bench-intake PYTHON=V/bin/python" >&2
    exit 69
}
redis-server --port $port --bind 127.0.0.1 --save '' --appendonly no --loglevel warning >/dev/null &
server=$!
trap 'kill $server; wait' EXIT
ask() { redis-cli -p $port "$@"; }
until ask PING >/dev/null 2>&1; do sleep 0.05; done

# Usage: measure WORKER: tasks a second, from the first that is taken to the last that is confirmed, without the worker's start.
measure() {
    local worker start end output
    output=$(mktemp)
    ask FLUSHALL >/dev/null
    ${workers[$1]} >"$output" &
    worker=$!
    until grep -q 'takes tasks' "$output"; do sleep 0.02; done
    ask EVAL "$fill" 0 "$tasks" >/dev/null
    start=$(date +%s%N)
    until [[ $(ask HLEN tasks:done) == "$tasks" ]]; do sleep 0.02; done
    end=$(date +%s%N)
    kill $worker
    wait $worker
    [[ $(grep -c '^done: ' "$output") == "$tasks" ]] || { echo "$1: not each task is told" >&2; exit 70; }
    rm "$output"
    echo $((tasks * 1000000000 / (end - start)))
}

for ((round = 1; round <= rounds; round++)); do
    own=$(measure own) hiredis=$(measure hiredis) gevent=$(measure gevent)
    echo "round $round, tasks/s: own client $own, hiredis on GreenPatch $hiredis, redis-py and gevent $gevent"
    results+="$own $hiredis $gevent"$'\n'
done
# Usage: ratio COLUMN: the median of a column's ratios to gevent's.
ratio() {
    awk -v column="$1" '{ print $column / $3 }' <<<"${results%$'\n'}" | sort -n | awk '{ ratio[NR] = $1 } END { print ratio[int((NR + 1) / 2)] }'
}
echo "median ratio to gevent: own client $(ratio 1), hiredis on GreenPatch $(ratio 2)"
