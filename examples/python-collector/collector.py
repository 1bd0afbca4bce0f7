#!/usr/bin/env python3
"""An extra collector for ktstr: the host's load into the stream of a live run, and its crashes onto our screen.

    python3 collector.py [RUN] [--period S] [--launch PATH] [--wait S]

Ends with the run. Exit code: 0 the run ended, 1 refused by the hub or the protocol was broken, 2 no such run.
"""

import argparse
import sys
import time

from ktstr import CrashDetected, RunFinished
from ktstr.Payload import Payload

import ktstr_bus


def load_line():
    with open("/proc/loadavg", encoding="ascii") as f:
        one, _, _, tasks, _ = f.read().split()
    return f"load {one}, tasks running/all {tasks}"


def payload_as(table, event):
    """FlatBuffers' way to a union's member in Python."""
    fact = table()
    fact.Init(event.Payload().Bytes, event.Payload().Pos)
    return fact


def text(value):
    # What a guest says may hold anything; a terminal gets only what can be printed.
    raw = (value or b"").decode(errors="replace")
    return "".join(c if c.isprintable() else "?" for c in raw)


def print_crash(event):
    crash = payload_as(CrashDetected.CrashDetected, event)
    vm = {1: "primary", 2: "repro"}.get(event.Stamp().Vm(), "host")
    print(f"crash in the {vm} VM at {event.Stamp().HostNs() / 1e9:.3f} s: {text(crash.Reason())}: "
          f"{text(crash.Message())}", flush=True)
    for i in range(min(crash.BacktraceLength(), 10)):
        print("    " + text(crash.Backtrace(i).Function()), flush=True)


def collect(bus, period_s):
    events = lines = 0
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            bus.line(load_line())
            lines += 1
            due += period_s
        event = bus.next(timeout_ms=max(1, int((due - time.monotonic()) * 1000)))
        if event is None:
            if not bus.run.alive():
                return events, lines
            continue
        events += 1
        if event.PayloadType() == Payload.CrashDetected:
            print_crash(event)
        elif event.PayloadType() == Payload.RunFinished:
            print(f"run finished, exit code {payload_as(RunFinished.RunFinished, event).ExitCode()}", flush=True)
            return events, lines


def main():
    parser = argparse.ArgumentParser(description="host load into a live ktstr run")
    parser.add_argument("run", nargs="?", default="latest", help="a run id or a part of one")
    parser.add_argument("--name", default="hostload", help="our source name in the stream")
    parser.add_argument("--period", type=float, default=1.0, help="seconds between two samples")
    parser.add_argument("--launch", default="ktstr-launch", help="the ktstr-launch that knows the live runs")
    parser.add_argument("--wait", type=float, default=0.0, help="seconds to wait for a run to start")
    options = parser.parse_args()
    try:
        run = ktstr_bus.find_run(options.run, options.launch, options.wait)
    except LookupError as e:
        print(f"error: {e}", file=sys.stderr)
        return 2
    try:
        bus = ktstr_bus.Bus(run, options.name)
        events, lines = collect(bus, options.period)
    except (ktstr_bus.ProtocolError, ktstr_bus.Refused) as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    print(f"{lines} lines into {run.run_id} as {options.name}; {events} events heard, {bus.repaired} of them "
          "from the log", file=sys.stderr)
    bus.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
