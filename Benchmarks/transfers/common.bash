# Sourced by the scripts beside it.

programs=.build/bench
release=.build/release

# median NUMBER ...
median() { printf '%s\n' "$@" | sort -g | awk '{ value[NR] = $1 } END { print (value[int((NR + 1) / 2)] + value[int(NR / 2) + 1]) / 2 }'; }

# ratio NUMBER NUMBER
ratio() { awk -v one="$1" -v other="$2" 'BEGIN { printf "%.2f", one / other }'; }

# gate NAME RATIO at-most|at-least BOUND: prints, and notes a failure.
failed=0
gate() {
    local holds
    holds=$(awk -v ratio="$2" -v bound="$4" -v kind="$3" 'BEGIN { print (kind == "at-most" ? ratio <= bound : ratio >= bound) }')
    printf '%-62s %s (%s %s)%s\n' "$1" "$2" "$3" "$4" "$([[ $holds == 1 ]] || echo ' MISSED')"
    [[ $holds == 1 ]] || failed=1
}
