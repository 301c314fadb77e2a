#!/bin/sh
# SPDX-License-Identifier: ISC
# apk runs this once at the end of a transaction in which a directory that APKBUILD's triggers= names has changed, with these
# directories as arguments. When it fails, apk says so, and runs it again with the next transaction or 'apk fix'.
# The packages' store lies where the package manager itself lies, so it is there: empty, its last package has been removed. The other
# one may not be mounted: whoever empties that says so ('skeg sync' tells how).
exec skeg sync --if-changed --empty /usr/lib/skeg/services -o /var/lib/skeg/image \
    /usr/lib/skeg/services /etc/skeg/services
