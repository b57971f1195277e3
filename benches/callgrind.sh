#!/bin/sh
# Instructions per call, as valgrind's callgrind counts them: the same from run to run, whatever else
# the machine does. Each contender runs alone, N calls and then 2N calls; the difference is what N calls
# take, without start-up and set-up. Where a lap is too short for that, L laps of N calls and then 2L.
#
#   benches/callgrind.sh                            D1, everybody
#   benches/callgrind.sh "B1 ct 100" 20000          another workload, with its N
#   benches/callgrind.sh D1 5000 piggyback          only contenders whose name has this in it
#   benches/callgrind.sh "D2 100" 100 piggyback 50  with its L
set -eu

workload=${1:-D1}
calls=${2:-5000}
only=${3:-}
laps=${4:-}

cd "$(dirname "$0")/.."
cargo build --quiet --release -p piggyback-benches
program=${CARGO_TARGET_DIR:-target}/release/piggyback-benches

instructions() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null \
        "$program" --callgrind "$workload" --contender "$1" --calls "$2" --laps "$3" 2>&1 |
        sed -n 's/.*Collected : *\([0-9]*\).*/\1/p'
}

"$program" --only "$workload" --list | while IFS="$(printf '\t')" read -r id contender; do
    [ "$id" = "$workload" ] || continue
    case $contender in *"$only"*) ;; *) continue ;; esac
    if [ -z "$laps" ]; then
        once=$(instructions "$contender" "$calls" 1 </dev/null)
        twice=$(instructions "$contender" $((2 * calls)) 1 </dev/null)
    else
        once=$(instructions "$contender" "$calls" "$laps" </dev/null)
        twice=$(instructions "$contender" "$calls" $((2 * laps)) </dev/null)
    fi
    printf '%-52s %10d instructions a call\n' "$contender" $(((twice - once) / (${laps:-1} * calls)))
done
