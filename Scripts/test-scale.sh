#!/usr/bin/env bash
# Drains and replaces one of three echo-servers under load, behind HAProxy, nginx, rules of nftables as Kubernetes'
# nodes have, and the kernel's IPVS, with the files of packaging/.  No connection may be lost.
# The servers, the balancer and the clients have a network namespace each, which are removed however this ends.  Needs root.
# Usage: test-scale.sh [DIRECTORY]; DIRECTORY has the programs (default: .build/debug).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PATH=$PATH:/usr/sbin:/sbin

fail() {
    printf 'test-scale: %s\n' "$*" >&2
    exit 1
}

((EUID == 0)) || { printf 'test-scale needs root: it makes network namespaces\n' >&2; exit 77; }
programs=$(realpath "${1:-.build/debug}")
for program in echo-server echo-client; do
    [[ -x $programs/$program ]] || fail "no $programs/$program: build it with swift build --product $program"
done

prefix=echo-scale-$$
scratch=$(mktemp -d)
# The processes that were started here, by what they are.
declare -A processes=()

kill_processes() {
    local name
    for name in "${!processes[@]}"; do
        { kill -KILL "${processes[$name]}" && wait "${processes[$name]}"; } 2>/dev/null || true
        unset "processes[$name]"
    done
}

clean_up() {
    local namespace
    kill_processes
    for namespace in front clients one two three; do
        # Children of nginx, say.
        ip netns pids "$prefix-$namespace" 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
        ip netns delete "$prefix-$namespace" 2>/dev/null || true
    done
    rm -rf "$scratch"
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Usage: inside NAMESPACE COMMAND...
inside() { ip netns exec "$prefix-$1" "${@:2}"; }

# Usage: start NAME NAMESPACE COMMAND...: as processes[NAME], which is the command itself
start() {
    exec_inside "${@:2}" &
    processes[$1]=$!
}

exec_inside() { exec ip netns exec "$prefix-$1" "${@:2}"; }

# Usage: until_true SECONDS WHAT COMMAND...
until_true() {
    local end=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < end)) || fail "$what: not after the time for it; $(tail -qn 2 "$scratch"/*.log 2>/dev/null | cut -c 1-300)"
        sleep 0.1
    done
}

# MARK: the network

make_namespace() {
    ip netns add "$prefix-$1"
    inside "$1" ip link set lo up
}

# Usage: connect NAMESPACE ADDRESS ROUTER: by a pair of interfaces, of which the other end is in `front`.
connect() {
    ip link add eth0 netns "$prefix-$1" type veth peer name "$1" netns "$prefix-front"
    inside "$1" ip address add "$2/24" dev eth0
    inside "$1" ip link set eth0 up
    inside front ip link set "$1" up
    inside "$1" ip route add default via "$3"
}

declare -A addresses=([one]=10.0.0.11 [two]=10.0.0.12 [three]=10.0.0.13)

# The servers are on a bridge in `front`, the clients behind it as its neighbour.
make_network() {
    local name
    make_namespace front
    inside front ip link add bridge type bridge
    inside front ip address add 10.0.0.1/24 dev bridge
    inside front ip link set bridge up
    inside front sysctl -qw net.ipv4.ip_forward=1
    for name in one two three; do
        make_namespace "$name"
        connect "$name" "${addresses[$name]}" 10.0.0.1
        inside front ip link set "$name" master bridge
    done
    make_namespace clients
    inside front ip address add 10.0.0.10/32 dev lo
    connect clients 10.0.1.2 10.0.1.1
    inside front ip address add 10.0.1.1/24 dev clients
}

# MARK: the servers

# Usage: start_server NAME OPTIONS...
start_server() {
    local name=$1
    shift
    start "$name" "$name" "$programs/echo-server" --host 0.0.0.0 --admin 0.0.0.0:9090 --lame-duck 10 --drain-timeout 20 "$@" 2>>"$scratch/$name.log"
    until_true 10 "echo-server $name is not ready" is_ready "$name"
}

# Usage: ask NAME PATH: of the admin port
ask() { inside front curl --silent --max-time 2 "http://${addresses[$1]}:9090$2"; }

is_ready() { [[ $(ask "$1" /readyz) == ready ]]; }

# Usage: metric NAME METRIC; 0 where there is none.
metric() { { ask "$1" /metrics || true; } | awk -v name="$2" '$1 == name { value = $2 } END { print value + 0 }'; }

has_clients() { (($(metric "$1" 'echo_server_connections{state="open"}') >= $2)); }

has_accepted() { (($(metric "$1" echo_server_accepted_total) >= $2)); }

# Usage: end_process NAME SIGNAL STATUS
end_process() {
    local status=0
    kill -"$2" "${processes[$1]}"
    # The shell's own message of a process that was killed is not wanted.
    { wait "${processes[$1]}"; } 2>/dev/null || status=$?
    unset "processes[$1]"
    [[ $status == "$3" ]] || fail "$1 ended with status $status after $2: $(tail -n 3 "$scratch/$1.log")"
}

# MARK: the balancers

start_haproxy() {
    printf 'global\n    maxconn 2000\n' >"$scratch/haproxy.cfg"
    start balancer front haproxy -db -f "$scratch/haproxy.cfg" -f packaging/haproxy/echo-server.cfg >"$scratch/balancer.log" 2>&1
}

start_nginx() {
    printf '%s\n' 'load_module /usr/lib/nginx/modules/ngx_stream_module.so;' 'daemon off;' "pid $scratch/nginx.pid;" "error_log $scratch/nginx.log;" \
        'events { worker_connections 2000; }' "include $PWD/packaging/nginx/echo-server.conf;" >"$scratch/nginx.conf"
    start balancer front nginx -c "$scratch/nginx.conf" >"$scratch/balancer.log" 2>&1
}

start_ipvs() {
    start balancer front keepalived --check --dont-fork --log-console --use-file "$PWD/packaging/ipvs/keepalived.conf" \
        --pid "$scratch/keepalived.pid" --checkers_pid "$scratch/checkers.pid" >"$scratch/balancer.log" 2>&1
}

# Usage: spread ADDRESSES...: as kube-proxy does in its mode nftables; the connections that are there keep their server.
spread() {
    local address number=0 map=
    for address in "$@"; do map+="$((number++)) : $address, "; done
    inside front nft -f - <<RULES
table ip spread {
    chain incoming { type nat hook prerouting priority dstnat; }
}
flush chain ip spread incoming
add rule ip spread incoming ip daddr 10.0.0.10 tcp dport 8080 dnat to numgen random mod $# map { ${map%, } }
RULES
}

# In the place of Kubernetes, which asks the pods and tells each node: up to three seconds later than the server knows.
spread_over_ready() {
    local name before= now
    while sleep 1.5; do
        now=
        for name in one two three; do ! is_ready "$name" || now+=" ${addresses[$name]}"; done
        sleep 1.5
        # shellcheck disable=SC2086  # a list
        if [[ -n $now && $now != "$before" ]]; then spread $now; fi
        before=$now
    done
}

start_nftables() {
    spread_over_ready >"$scratch/balancer.log" 2>&1 &
    processes[balancer]=$!
}

# A kernel that has it as a module loads it now.
has_ipvs() { modprobe ip_vs 2>/dev/null || true; inside front ipvsadm --list >/dev/null 2>&1; }

# MARK: the load, always bounded in time and number

client() { inside clients timeout 60 "$programs/echo-client" "$@"; }

answers() { client ping --timeout 1 "$entry" 8080 >/dev/null 2>&1; }

# Connections that stay.
start_steady() {
    start steady clients timeout 60 "$programs/echo-client" load --connections 30 --rate 600 --duration "$1" --json "$entry" 8080 >"$scratch/steady" 2>"$scratch/steady.log"
}

# Connections that come and go, in 60 batches at most, so that no ports run out.
start_churn() {
    rm -f "$scratch/enough"
    (
        for batch in {1..60}; do
            [[ ! -e $scratch/enough ]] || exit 0
            client load --mode churn --connections 5 --messages 200 --json "$entry" 8080 >>"$scratch/churn" 2>>"$scratch/churn.log" || exit 1
            sleep 0.3
        done
    ) &
    processes[churn]=$!
}

# Usage: check_load NAME: what ended without a lost connection or a wrong byte.
check_load() {
    local status=0
    wait "${processes[$1]}" || status=$?
    unset "processes[$1]"
    ((status == 0)) || fail "the load $1 lost something: $(tail -n 1 "$scratch/$1" | grep -o '"failures".*'; tail -n 3 "$scratch/$1.log")"
    jq -s -e 'length > 0 and all(.[]; .failures.total == 0 and .opened > 0)' "$scratch/$1" >/dev/null || fail "the load $1 has failures: $(tail -n 1 "$scratch/$1")"
}

# MARK: the test

# Usage: replace NAME OPTIONS OF echo-server...: drains the server under load, and starts another in its place, which gets its share.
replace() {
    local name=$1 begin=$SECONDS
    shift
    rm -f "$scratch"/{steady,churn}*
    start_steady 20
    start_churn
    until_true 10 "$name gets no clients that stay" has_clients "$name" 5
    end_process "$name" TERM 0
    ((SECONDS - begin >= 12)) || fail "$name ended after $((SECONDS - begin)) seconds, before its lame duck and its clients had"
    start_server "$name" "$@"
    until_true 15 "the new $name gets no clients" has_accepted "$name" 20
    : >"$scratch/enough"
    check_load steady
    check_load churn
    printf 'ok: %s: %s was drained and replaced in %d seconds; %d connections stayed, %d came and went, none was lost\n' "$balancer" "$name" \
        $((SECONDS - begin)) "$(jq .opened "$scratch/steady")" "$(jq -s 'map(.messages) | add' "$scratch/churn")"
}

# A load that notices nothing would find nothing lost either.
check_that_loss_is_seen() {
    rm -f "$scratch"/steady*
    start_steady 5
    until_true 10 "three gets no clients that stay" has_clients three 5
    end_process three KILL 137
    local status=0
    wait "${processes[steady]}" || status=$?
    unset "processes[steady]"
    ((status == 1)) || fail "a server was killed, and the load ended with status $status"
    printf 'ok: %s: without a drain, the load saw %d connections lost\n' "$balancer" "$(jq .failures.total "$scratch/steady")"
}

# Usage: test_behind BALANCER ADDRESS OPTIONS OF echo-server...
test_behind() {
    local name
    balancer=$1 entry=$2
    shift 2
    for name in one two three; do start_server "$name" "$@"; done
    "start_$balancer"
    until_true 20 "$balancer does not answer" answers
    replace two "$@"
    check_that_loss_is_seen
    kill_processes
}

make_network
behind_proxy=(--proxy-protocol required --proxy-trusted 10.0.0.1)
test_behind haproxy 10.0.0.1 "${behind_proxy[@]}"
test_behind nginx 10.0.0.1 "${behind_proxy[@]}"
test_behind nftables 10.0.0.10
inside front nft delete table ip spread
if has_ipvs; then
    test_behind ipvs 10.0.0.10
else
    printf 'NOT TESTED: IPVS: this kernel has none (CONFIG_IP_VS)\n'
fi
