#!/usr/bin/env bash
# Allocations, bytes and instructions of our own functions, against limits.txt. They don't drift, as times do, so CI can assert them.
#
# With which instructions glibc copies depends on the processor: without AVX2 and AVX-512 the counts were within 1 %.
#
#   benches/counts.sh             fails if one is over its limit
#   benches/counts.sh --update    writes what is measured now, and limits with some room above it, except what is promised
set -euo pipefail
cd "$(dirname "$0")/.."

cargo build --quiet --release -p piggyback-benches
program=${CARGO_TARGET_DIR:-target}/release/piggyback-benches
limits=benches/limits.txt
updated=$(mktemp)
trap 'rm -f "$updated"' EXIT

measure() { # workload, figure, calls, laps
    local contender='piggyback #[batch]'
    [[ $1 == D* ]] && contender='piggyback #[dedup]'
    if [ "$2" = instructions ]; then
        benches/callgrind.sh "$1" "$3" "$contender" "$4" </dev/null | sed -n 's/.* \([0-9][0-9]*\) instructions a call/\1/p'
    else
        "$program" --counted "$1" --contender "$contender" </dev/null | awk -F '\t' -v figure="$2" '$1 == figure { print $2 + 0 }'
    fi
}

failed=0
no_valgrind=0
while IFS= read -r line; do
    if [[ $line == '#'* ]]; then
        printf '%s\n' "$line" >>"$updated"
        continue
    fi
    IFS='|' read -r workload figure calls laps before limit room < <(sed 's/ *| */|/g' <<<"$line")
    if [ "$figure" = instructions ] && ! command -v valgrind >/dev/null; then
        no_valgrind=1
        printf '%s\n' "$line" >>"$updated"
        continue
    fi
    now=$(measure "$workload" "$figure" "$calls" "$laps")
    if [ -z "$now" ]; then
        echo "$workload: no $figure could be measured"
        exit 1
    fi
    if [ "${1:-}" = --update ] && [ "$room" != promised ]; then
        limit=$(awk -v now="$now" -v room="$room" 'BEGIN {
            limit = now * (1 + room / 100)
            print limit >= 100 ? int(limit) + 1 : sprintf("%.3g", limit)
        }')
    fi
    printf '%-9s | %-20s | %5s | %4s | %8s | %6s | %s\n' "$workload" "$figure" "$calls" "$laps" "$now" "$limit" "$room" >>"$updated"
    verdict=$(awk -v now="$now" -v limit="$limit" -v before="$before" 'BEGIN {
        if (now > limit) print "OVER ITS LIMIT"
        else if (now < 0.9 * before) print "far below what it was, " before ": benches/counts.sh --update lowers the limit"
        else print "ok"
    }')
    printf '%-11s %-22s %9s, at most %6s: %s\n' "$workload" "$figure" "$now" "$limit" "$verdict"
    [ "$verdict" = 'OVER ITS LIMIT' ] && failed=1
done <"$limits"

[ $no_valgrind = 1 ] && echo 'skipped: instructions: valgrind is not installed'
if [ "${1:-}" = --update ]; then
    cat "$updated" >"$limits"
    echo "$limits is up to date"
fi
exit $failed
