#!/bin/sh
# Nothing is ever queued: logs its state, again at ALRM and HUP, and waits for TERM.
number() { head -n 1 "/var/qmail/control/$1" 2>/dev/null || echo "$2"; }
status() { echo "status: local 0/$(number concurrencylocal 10) remote 0/$(number concurrencyremote 20)$1"; }
trap 'status " exitasap"; echo "status: exiting"; kill $!; exit 0' TERM
trap : ALRM HUP
while status; do
    sleep 1000000 &
    wait $!
    kill $! 2>/dev/null
done
