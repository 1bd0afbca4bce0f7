#!/usr/bin/env bash
# The installed package, as a user of it sees it: install, configure, build and run the out-of-tree examples.
#   sdk_examples.sh BUILD_DIR SOURCE_DIR SCHEDULER_DIR
# Keeps its folder when something fails.
set -euo pipefail
build=$1 source=$2 schedulers=$3
work=$(mktemp -d /tmp/ktstr-sdk-XXXXXX)
trap 'code=$?; if [[ $code -eq 0 ]]; then rm -rf "$work"; else echo "evidence kept in $work" >&2; fi' EXIT
unset RUST_BACKTRACE KTSTR_VERBOSE KTSTR_KERNEL KTSTR_LAUNCH
export XDG_RUNTIME_DIR=$work/rt XDG_STATE_HOME=$work/state
mkdir -p "$XDG_RUNTIME_DIR"

cmake --install "$build" --prefix "$work/prefix" --strip >"$work/install.log" 2>&1 || { cat "$work/install.log"; exit 1; }
for example in cpp-collector cpp-tests scx-stats; do
  # A folder of its own: nothing of the source tree is near.
  cp -r "$source/examples/$example" "$work/"
  if ! { cmake -S "$work/$example" -B "$work/$example/build" -G Ninja -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Debug \
           -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" -DSCHEDULER_DIR="$schedulers" --no-warn-unused-cli \
         && cmake --build "$work/$example/build"; } >"$work/$example.log" 2>&1; then
    cat "$work/$example.log"
    exit 1
  fi
done

# The reader of scx_stats, against a socket that answers as the crate does (the reply that the crate's server.rs builds).
python3 - "$work/stats.sock" <<'END' &
import json, socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen(1)
stream = listener.accept()[0].makefile("rw")
for number in range(2):
    request = json.loads(stream.readline())
    assert request == {"req": "stats", "args": {"target": "top"}}, request
    stream.write(json.dumps({"errno": 0, "args": {"resp": {"nr_queued": number, "cpu": {"busy": 1.5}}}}, separators=(",", ":")) + "\n")
    stream.flush()
END
server=$!
"$work/scx-stats/build/guest-scx-stats" --socket "$work/stats.sock" --interval 0.01 >"$work/stats.out"
wait $server
[[ $(cat "$work/stats.out") == '{"nr_queued":0,"cpu":{"busy":1.5}}'$'\n''{"nr_queued":1,"cpu":{"busy":1.5}}' ]] || { cat "$work/stats.out"; exit 1; }

# A pin that matches anything is refused with the test's place, before anything boots.
cat >"$work/cpp-tests/bad.cc" <<'END'
#include <ktstr/test.h>
KTSTR_TEST(bad_pin, .scheduler = "scx_good", .expect_err = true,
           .assertions = ktstr::Assert::NO_OVERRIDES.expect_scx_bpf_error_matches("a?")) { return ktstr::pass(); }
END
g++ -std=c++20 -I"$work/prefix/include" "$work/cpp-tests/bad.cc" -o "$work/bad" "$work/prefix/lib/libktstr_test.a" \
  "$work/prefix/lib/libktstr_test_core.a" -pthread
code=0
"$work/prefix/bin/ktstr-launch" run "$work/bad" --scheduler-dir "$schedulers" >"$work/bad.out" 2>"$work/bad.err" || code=$?
[[ $code -eq 2 ]] || { echo "a bad pin: exit code $code"; cat "$work/bad.err"; exit 1; }
grep -q 'bad\.cc:[23]: .*expect_scx_bpf_error_matches\|bad\.cc:[23]: .*a?' "$work/bad.err" || { cat "$work/bad.err"; exit 1; }
[[ ! -e $work/state ]] || { echo "something ran"; exit 1; }

# CTest shows each test; they run, with the C++ collector on the first one's bus.
ctest --test-dir "$work/cpp-tests/build" -N >"$work/list"
for test in partition_holds budget_bug; do
  grep -q "my_tests\.$test" "$work/list" || { cat "$work/list"; exit 1; }
done
KTSTR_LAUNCH=$work/prefix/bin/ktstr-launch "$work/cpp-collector/build/my_collector" >"$work/collector.out" 2>&1 &
collector=$!
if ! ctest --test-dir "$work/cpp-tests/build" --output-on-failure >"$work/ctest.out" 2>&1; then
  cat "$work/ctest.out"
  kill $collector 2>/dev/null || true
  exit 1
fi
wait $collector || { cat "$work/collector.out"; exit 1; }
grep -q 'run finished, exit code 0' "$work/collector.out" || { cat "$work/collector.out"; exit 1; }
"$work/prefix/bin/ktstr-launch" log "$(find "$work/state" -path '*partition_holds/events.ktlog')" --source pressure >"$work/lines"
grep -q pressure "$work/lines" || { echo "the collector's lines are not in the log"; exit 1; }
# The body's own workers stand in the log as any others.
"$work/prefix/bin/ktstr-launch" log "$(find "$work/state" -path '*partition_holds/events.ktlog')" --type WorkerReport >"$work/workers"
[[ $(wc -l <"$work/workers") -eq 4 ]] || { cat "$work/workers"; exit 1; }
