#!/bin/sh
# Runs qmail-send as its user, with the ids that were read when this was built.
exec setpriv --reuid=@SEND@ --regid=@GROUP@ --clear-groups /var/qmail/bin/qmail-send
