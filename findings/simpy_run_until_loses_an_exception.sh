#!/usr/bin/env bash
# simpy: Environment.run(until=event) drops the exception of the very process that ends it.
#
# Behaviour seen (simpy 4.1.2): a process that triggers the event of `until` and raises an exception
# right after, before it waits for anything, ends as failed; run() returns the event's value all
# the same, and nobody is told. Both happen at one instant, and the event was scheduled first: run()
# stops there, and the failure of the process stays in the queue. A process that raises first is
# told of, as is one that raises where run() has no `until`, or a time as `until`. Who ends a
# simulation by an event and then evaluates in the same process has to keep the exception itself.
#
# Output:
#   until an event: done, no exception; the process is alive: False, ok: False
#   until a time: ValueError after the event
#   until nothing is left: ValueError after the event
#
# Ends with 0 if it still behaves so, and with something else if not.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet simpy==4.1.2

cat >"$folder/run.py" <<'END'
import simpy


def work(env, done):
    yield env.timeout(1)
    done.succeed("done")
    raise ValueError("after the event")


for name in ("an event", "a time", "nothing is left"):
    env = simpy.Environment()
    done = env.event()
    process = env.process(work(env, done))
    until = {"an event": done, "a time": 2, "nothing is left": None}[name]
    try:
        value = env.run(until=until)
        state = f"the process is alive: {process.is_alive}, ok: {process.ok}"
        print(f"until {name}: {value}, no exception; {state}")
    except ValueError as error:
        print(f"until {name}: ValueError {error}")
END
"$folder/venv/bin/python" "$folder/run.py" | tee "$folder/seen"

# The lines of "Output" above.
sed -n '/^# Output:/,/^#$/s/^#   //p' "$0" | diff - "$folder/seen"
