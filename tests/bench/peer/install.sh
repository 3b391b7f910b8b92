# The peer's packages, in a container of the base image. Nothing is to start while they are installed, and
# amavisd-new's script asks for systemd.
set -eu
export DEBIAN_FRONTEND=noninteractive
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
ln -sf /bin/true /usr/bin/deb-systemd-invoke
apt-get update -q
apt-get install -y -q --no-install-recommends \
  postfix postfix-cdb postgrey amavisd-new clamav-daemon clamdscan spamassassin spamd spamc procps
apt-get clean
rm -rf /var/lib/apt/lists/*_*
