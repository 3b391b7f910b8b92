#!/bin/sh
# Starts everything in the peer's container. In /bench: these files, and denied and recipients for postmap; clamd's and
# SpamAssassin's configuration and the certificates are in place already, they are the gateway's own.
set -eu
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
cd /bench
ulimit -n 65536 2>/dev/null || true
getent group nofiles >/dev/null || groupadd --system nofiles
usermod -a -G clamav amavis
usermod -a -G amavis clamav
install -d -o clamav -g clamav /run/clamav /var/log/clamav /var/lib/clamav/tmp
install -d -o postfix -g postfix -m 755 /var/log/mail
rm -f /var/lib/clamav/*.cvd /var/lib/clamav/*.cld
su -s /bin/sh clamav -c 'exec clamd --config-file=/etc/clamav/clamd.conf --foreground=yes' >/var/log/clamd.log 2>&1 &

install -d -m 755 /etc/amavis/conf.d
install -m 644 amavis.conf /etc/amavis/conf.d/50-user
echo mx1.example.test > /etc/mailname
sed -i 's/^#\? *\$myhostname = .*/$myhostname = "mx1.example.test";/' /etc/amavis/conf.d/05-node_id
install -m 644 main.cf master.cf /etc/postfix/
(
  umask 077
  cd /etc/mailgate/tls/current
  cat key.pem certificate.pem key-2.pem certificate-2.pem > /etc/postfix/chain.pem
)
for list in denied recipients; do
  mv "$list" "/etc/postfix/$list"
  postmap "cdb:/etc/postfix/$list"
  rm "/etc/postfix/$list"
done
for i in $(seq 100); do [ -S /run/clamav/clamd.ctl ] && break; sleep 0.2; done
[ -S /run/clamav/clamd.ctl ] || { echo "clamd did not start: $(tail -n 2 /var/log/clamd.log)"; exit 1; }
amavisd start 2>/var/log/amavisd.err || amavisd-new start
/usr/lib/postfix/configure-instance.sh - 2>/dev/null || true
postfix check
postfix start
postgrey -d --unix=/var/spool/postfix/private/postgrey --lookup-by-host --delay=60 --pidfile=/run/postgrey.pid
for i in $(seq 50); do [ -S /var/spool/postfix/private/postgrey ] && break; sleep 0.2; done
chmod 666 /var/spool/postfix/private/postgrey
