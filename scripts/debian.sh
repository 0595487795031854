# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced after lib.sh by what takes packages from other releases of Debian
# than the host's: signed, through an apt state of our own for each.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror is the one that this host uses for Debian
mirror()
{
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null |
		sed -n 's/^Debian|//p; s/^|\(.*\/debian\/*\)$/\1/p' | sort -u | head -n 1
}

# private_apt SUITE ARGUMENT...: apt-get that knows only SUITE
private_apt()
{
	local apt=$BUILD/apt/$1

	shift
	apt-get -qy -o Dir::Etc::sourcelist="$apt/debian.sources" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# download_debs SUITE DIR PACKAGE...: put the packages' files into DIR
download_debs()
{
	local suite=$1 dir=$2 apt=$BUILD/apt/$1 uri

	shift 2
	[ -f "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring"
	uri=$(mirror)
	[ -n "$uri" ] || die "apt has no Debian mirror configured: add one to /etc/apt"
	mkdir -p "$apt"/{lists,cache/archives}/partial "$dir"
	cat >"$apt/debian.sources" <<-EOF
	Types: deb
	URIs: $uri
	Suites: $suite
	Components: main
	Signed-By: $KEYRING
	EOF
	private_apt "$suite" update && cd "$dir" && private_apt "$suite" download "$@"
}
