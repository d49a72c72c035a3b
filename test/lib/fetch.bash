# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Programs of others that the tests use and nobody installs (sourced by tools/run-tests). Each is
# fetched once into build/cache and put into the stage. Without one its tests skip.

# debian_file PACKAGE PATH: prints where the package's file is. apt checks the package.
debian_file()
{
	local package=$1 path=$2 cache=$build/cache/${2##*/}
	if [ ! -e "$cache/${path##*/}" ]; then
		command -v apt-get >/dev/null || return 1
		mkdir -p "$cache" || return 1
		(cd "$cache" && rm -f ./*.deb && apt-get -q download "$package" && dpkg-deb --fsys-tarfile ./"$package"_*.deb |
			tar -x --transform='s,.*/,,' ".$path" && rm -f ./*.deb) >"$cache/log" 2>&1 ||
			{ say "there is no $package for the tests: $(tail -n 1 "$cache/log")" >&2; return 1; }
	fi
	echo "$cache/${path##*/}"
}

# Puts a docker client into the stage, in front of PATH: the installed one, or that of Debian's
# package docker.io. Nothing installs the package, as that would start its daemon.
docker_client()
{
	local client
	client=$(command -v docker || debian_file docker.io /usr/bin/docker) && install -D -m 755 "$client" "$stage/bin/docker"
}

# nginx of Debian's package, for an image (test/system/clients.bats).
nginx_program()
{
	local program
	program=$(debian_file nginx /usr/sbin/nginx) && install -D -m 755 "$program" "$stage/nginx"
}

# sshd and a library that not each host has, for a machine (test/system/ssh.bats); none if sshd is
# installed. Nothing installs the package, as that would start its daemon.
sshd_program()
{
	local sshd library
	! PATH=$PATH:/usr/sbin command -v sshd >/dev/null || return 0
	sshd=$(debian_file openssh-server /usr/sbin/sshd) && library=$(debian_file libwrap0 /lib/x86_64-linux-gnu/libwrap.so.0.7.6) &&
		install -D -m 755 "$sshd" "$stage/sshd/sshd" && install -D -m 644 "$library" "$stage/sshd/libwrap.so.0"
}

# The folder of npm's packages, those that test/clients/package-lock.json pins.
npm_cache()
{
	echo "$build/cache/npm-$(sha256sum <test/clients/package-lock.json | cut -c1-12)"
}

# Fetches them in the background, as that is half a minute of waiting; npm runs none of their
# scripts. npm_clients puts them into the stage, as test/clients/node_modules.
npm_fetch()
{
	local cache
	cache=$(npm_cache)
	[ ! -d "$cache" ] && command -v npm >/dev/null || return 0
	rm -rf "$build"/cache/npm-*
	mkdir -p "$cache.new" && cp test/clients/package*.json "$cache.new" || return
	(cd "$cache.new" && nice timeout 240 npm ci --ignore-scripts --no-audit --no-fund) >"$build/cache/npm.log" 2>&1 && mv "$cache.new" "$cache" &
	npm_fetching=$!
}

npm_clients()
{
	local cache
	cache=$(npm_cache)
	[ -z "${npm_fetching-}" ] || wait "$npm_fetching" ||
		say "npm cannot fetch the clients of docker.sock: $(tail -n 1 "$build/cache/npm.log")"
	[ ! -d "$cache" ] || cp -al "$cache/node_modules" "$stage/test/clients/" 2>/dev/null || cp -a "$cache/node_modules" "$stage/test/clients/"
}
