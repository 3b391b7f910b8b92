#!/bin/sh
# Installs the stand-in as netqmail's install does: the same places, owners and modes.
set -eu
home=@QMAIL@
gid=@GID@
set -- @UIDS@
alias=$1 root=$4 queue=$6 remote=$7 send=$8

directory() { # owner mode path...
    owner=$1 mode=$2
    shift 2
    for path in "$@"; do
        mkdir -p "$home/$path"
        chown "$owner:$gid" "$home/$path"
        chmod "$mode" "$home/$path"
    done
}

program() { # owner mode source name
    cp "$3" "$home/bin/$4.new"
    chown "$1:$gid" "$home/bin/$4.new"
    chmod "$2" "$home/bin/$4.new"
    mv "$home/bin/$4.new" "$home/bin/$4"
}

umask 022
directory "$root" 0755 . control users bin boot doc man
directory "$alias" 2755 alias
directory "$queue" 0750 queue queue/todo queue/mess queue/lock
directory "$queue" 0700 queue/pid queue/intd
directory "$send" 0700 queue/bounce queue/info queue/local queue/remote
test -e "$home/queue/lock/sendmutex" || : > "$home/queue/lock/sendmutex"
chown "$send:$gid" "$home/queue/lock/sendmutex"
chmod 0600 "$home/queue/lock/sendmutex"
head -c 1024 /dev/zero > "$home/queue/lock/tcpto"
chown "$remote:$gid" "$home/queue/lock/tcpto"
chmod 0644 "$home/queue/lock/tcpto"
test -p "$home/queue/lock/trigger" || mkfifo "$home/queue/lock/trigger"
chown "$send:$gid" "$home/queue/lock/trigger"
chmod 0622 "$home/queue/lock/trigger"

program "$root" 0755 standin qmail-smtpd
program "$queue" 4711 standin qmail-queue
sed -e "s|@SEND@|$send|" -e "s|@GROUP@|$gid|" qmail-start.sh > qmail-start.tmp
program "$root" 0700 qmail-start.tmp qmail-start
for name in qmail-send qmail-inject qmail-qstat qmail-qread qmail-tcpok qmail-showctl; do
    program "$root" 0755 "$name.sh" "$name"
done
program "$root" 0755 qmail-inject.sh sendmail
# The other names of netqmail are there and say what they are.
printf '#!/bin/sh\necho "$0: not part of the stand-in" >&2\nexit 111\n' > missing.tmp
for name in \
    bouncesaying condredirect datemail elq except forward maildir2mbox maildirmake maildirwatch \
    mailsubj pinq predate preline qail qbiff qmail-clean qmail-getpw qmail-local qmail-lspawn \
    qmail-newmrh qmail-newu qmail-pop3d qmail-popup qmail-pw2u qmail-qmqpc qmail-qmqpd qmail-qmtpd qmail-remote qmail-rspawn qmail-tcpto qreceipt qsmhook splogger tcp-env; do
    program "$root" 0755 missing.tmp "$name"
done
program "$root" 0644 README.md STANDIN
