#!/bin/sh
# Says what is not as install left it; the exit status is 0 only when nothing differs.
home=@QMAIL@
status=0
test -u "$home/bin/qmail-queue" || { echo "instcheck: $home/bin/qmail-queue is not setuid" >&2; status=1; }
for path in bin/qmail-smtpd bin/qmail-send queue/mess queue/lock/sendmutex queue/lock/tcpto queue/lock/trigger; do
    test -e "$home/$path" || { echo "instcheck: $home/$path is missing" >&2; status=1; }
done
exit $status
