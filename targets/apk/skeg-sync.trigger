#!/bin/sh
# SPDX-License-Identifier: ISC
# apk runs this once at the end of a transaction in which a directory that APKBUILD's triggers= names has changed, with these
# directories as arguments. When it fails, apk says so, and runs it again with the next transaction or 'apk fix'.
exec skeg sync --if-changed -o /var/lib/skeg/image /usr/lib/skeg/services /etc/skeg/services
