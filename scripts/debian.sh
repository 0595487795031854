# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash
# Sourced after lib.sh by what takes packages from other releases of Debian
# than the host's: signed, through an apt state of our own for each.

KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# The mirror is MIRROR=uri, or the one that this host uses for Debian
mirror()
{
	[ -z "${MIRROR:-}" ] || { echo "$MIRROR"; return; }
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null |
		sed -n 's/^Debian|//p; s/^|\(.*\/debian\/*\)$/\1/p' | sort -u | head -n 1
}

# need_mirror: packages can be fetched at all; sets uri
need_mirror()
{
	command -v apt-get >/dev/null || die "there is no apt here, which fetches Debian's packages"
	[ -f "$KEYRING" ] || die "$KEYRING is missing: install debian-archive-keyring"
	uri=$(mirror)
	[ -n "$uri" ] || die "apt has no Debian mirror configured: add one to /etc/apt, or name it with MIRROR=uri"
}

# private_apt SUITES TOOL ARGUMENT...: apt-get or apt-cache that knows only
# SUITES, one or several words, and not what is installed here: of that, suites
# may have other versions
private_apt()
{
	local apt=$BUILD/apt/${1// /+} tool=$2

	shift 2
	"$tool" -q -o APT::Get::Assume-Yes=true -o Dir::Etc::sourcelist="$apt/debian.sources" \
		-o Dir::Etc::sourceparts=- -o Dir::State::lists="$apt/lists" \
		-o Dir::State::status=/dev/null \
		-o Dir::Cache="$apt/cache" -o APT::Sandbox::User="$(id -un)" \
		-o Acquire::Retries=3 -o Acquire::Languages=none "$@"
}

# private_update SUITES: fetch the lists of packages
private_update()
{
	local apt=$BUILD/apt/${1// /+} uri

	need_mirror
	mkdir -p "$apt"/{lists,cache/archives}/partial
	cat >"$apt/debian.sources" <<-EOF
	Types: deb
	URIs: $uri
	Suites: $1
	Components: main
	Signed-By: $KEYRING
	EOF
	private_apt "$1" apt-get update --error-on=any
}

# newest SUITES PACKAGE: its newest version there, after private_update
newest()
{
	private_apt "$1" apt-cache madison "$2" | awk '{ print $3 }' | sort -V | tail -n 1
}

# download_debs SUITES DIR PACKAGE...: put the packages' files into DIR
download_debs()
{
	local suites=$1 dir=$2

	shift 2
	mkdir -p "$dir"
	private_update "$suites" && cd "$dir" && private_apt "$suites" apt-get download "$@"
}

# libraries SUITES PACKAGE: the packages of libraries that it needs, and they
libraries()
{
	local first

	mapfile -t first < <(private_apt "$1" apt-cache depends -i "$2" |
		sed -nE 's/^ *(Pre)?Depends: ((z?lib)[^ ]*)$/\2/p')
	private_apt "$1" apt-cache depends -i --recurse "${first[@]}" |
		grep -E '^z?lib' | sort -u
}
