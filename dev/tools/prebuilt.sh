#!/usr/bin/env bash
# Prints template.yaml for functions that are built already: dev/tools/prebuilt.sh arm64
# The zips are expected beside the template.
set -euo pipefail
arch=$1
code() { # the resource, the zip
    printf '/^  %s:$/,/^    Properties:$/ s/^    Properties:$/&\\n      CodeUri: %s-%s.zip/\n' "$1" "$2" "$arch"
}
sed -E \
    -e '/^    CodeUri: \.$/d' \
    -e "/^  Architecture:\$/,/^    Default:/ s/^    Default: .*/    Default: $arch/" \
    -e "$(code ProjectorFunction projector)" \
    -e "$(code StreamFunction stream)" \
    -e "$(code ManagedStreamFunction stream)" \
    "$(dirname "$0")/../../template.yaml"
